use std::cell::Cell;
use std::sync::atomic::AtomicBool;

use ilsvrc_diagnostics::{INTERRUPTED, Result, SOURCE_EMPTY, SOURCE_UNREADABLE, TAR_MALFORMED};

use super::*;
use crate::samples::{Place, archive, gzip, jpeg};

fn listed(paths: &[PathBuf]) -> Result<Listing> {
    list(&Sources { paths, cancel: &AtomicBool::new(false), progress: &|_| () })
}

fn paths(listing: &Listing) -> Vec<String> {
    listing.entries.iter().map(Entry::shown).collect()
}

fn count(listing: &Listing) -> u64 {
    listing.entries.len() as u64 + listing.rejected.len() as u64 + listing.ignored.values().sum::<u64>()
}

#[test]
fn a_folder_is_listed_by_bytes_and_everything_else_is_counted() {
    let place = Place::new();
    place.photos(&[
        "b/2.jpg",
        "b/1.JPEG",
        "a/x.png",
        "a.jpg",
        "a/._x.png",
        ".cache/y.jpg",
        "__MACOSX/a/x.png",
    ]);
    place.write("readme.md", "");
    place.write("labels.txt", "hello");
    let listing = listed(&[place.path().to_owned()]).unwrap();
    assert_eq!(paths(&listing), ["a.jpg", "a/x.png", "b/1.JPEG", "b/2.jpg", "labels.txt"]);
    assert_eq!(listing.entries[0].size, jpeg().len() as u64);
    let ignored = [("hidden", 1), ("left by macOS (AppleDouble)", 2), (NO_IMAGE, 1)];
    assert!(listing.ignored.iter().map(|(reason, count)| (reason.as_str(), *count)).eq(ignored));
    let entry = &listing.entries[listing.find(0, b"labels.txt").unwrap()];
    let off = AtomicBool::new(false);
    assert_eq!(Reader::new(&listing, &off).read(entry).unwrap(), b"hello");
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_loops_cut() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    let (place, other) = (Place::new(), Place::new());
    other.photos(&["1.jpg"]);
    place.photos(&["a/1.jpg"]);
    symlink(other.path(), place.join("b")).unwrap();
    symlink(place.path(), place.join("a/loop")).unwrap();
    symlink("nowhere", place.join("a/broken.jpg")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"caf\xe9.jpg");
    std::fs::write(place.join("a").join(odd), jpeg()).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.join("a/s.jpg")).unwrap();
    let listing = listed(&[place.path().to_owned()]).unwrap();
    let bytes: Vec<&[u8]> = listing.entries.iter().map(Entry::bytes).collect();
    assert_eq!(bytes, [&b"a/1.jpg"[..], b"a/caf\xe9.jpg", b"b/1.jpg"]);
    assert_eq!(listing.ignored["a link back to a folder above"], 1);
    assert_eq!(listing.ignored["a pipe, a socket or a device"], 1);
    assert!(
        listing.rejected[0].path == "a/broken.jpg"
            && listing.rejected[0].reason.starts_with("cannot be read")
    );
    assert_eq!(count(&listing), 6);
}

#[test]
fn folders_may_be_deep_but_not_endless() {
    let place = Place::new();
    place.photos(&["a.jpg", &format!("{}x.jpg", "d/".repeat(100))]);
    let listing = listed(&[place.path().to_owned()]).unwrap();
    assert_eq!(paths(&listing), ["a.jpg"]);
    assert!(listing.rejected[0].reason.contains("more than 64 folders deep"));
}

#[test]
fn members_with_bad_names_are_rejected_alone() {
    let place = Place::new();
    let members: [(&str, &[u8]); 7] = [
        ("a/1.jpg", b"old"),
        ("../2.jpg", b""),
        ("/3.jpg", b""),
        ("a/._1.jpg", b""),
        (".hidden/4.jpg", b""),
        ("a/1.jpg", b"new"),
        ("./b/x.cls", b"7"),
    ];
    place.write("x.tar", archive(&members));
    let listing = listed(&[place.join("x.tar")]).unwrap();
    assert_eq!(paths(&listing), ["a/1.jpg", "b/x.cls"]);
    assert_eq!(listing.rejected.len(), 2);
    assert_eq!(listing.rejected[0].reason, "its name leads out of the archive");
    assert_eq!(count(&listing), members.len() as u64);
    let off = AtomicBool::new(false);
    let mut reader = Reader::new(&listing, &off);
    assert_eq!(reader.read(&listing.entries[0]).unwrap(), b"new");
    assert_eq!(reader.read(&listing.entries[1]).unwrap(), b"7");
}

#[test]
fn archives_in_a_folder_are_looked_into_unless_they_are_strays() {
    let place = Place::new();
    place.write("shards/train-0.tar", archive(&[("k.jpg", b"1")]));
    place.write("shards/val-0.tar", archive(&[("k.jpg", b"22")]));
    let listing = listed(&[place.path().to_owned()]).unwrap();
    assert_eq!(paths(&listing), ["shards/train-0/k.jpg", "shards/val-0/k.jpg"]);
    assert_eq!(listing.sources.len(), 3);

    place.photos(&["a/1.jpg"]);
    place.write("ILSVRC2012_img_val.tar", archive(&[("v.JPEG", b"3")]));
    let listing = listed(&[place.path().to_owned()]).unwrap();
    assert_eq!(paths(&listing), ["ILSVRC2012_img_val/v.JPEG", "a/1.jpg"]);
    assert_eq!(listing.ignored[NO_IMAGE], 2);
}

#[test]
fn compressed_archives_are_read_for_their_texts() {
    let place = Place::new();
    place.photos(&["a.jpg"]);
    place.write("ILSVRC2012_devkit_t12.tar.gz", gzip(&archive(&[("kit/data/t.txt", b"text")])));
    let listing = listed(&[place.path().to_owned()]).unwrap();
    assert_eq!(paths(&listing), ["ILSVRC2012_devkit_t12/kit/data/t.txt", "a.jpg"]);
    assert_eq!(Reader::new(&listing, &AtomicBool::new(false)).read(&listing.entries[0]).unwrap(), b"text");

    let refused = |bytes: &[u8]| {
        place.write("x.tar.gz", bytes);
        listed(&[place.join("x.tar.gz")]).unwrap_err()
    };
    let photos = refused(&gzip(&archive(&[("1.jpg", b"x")])));
    assert_eq!((photos.code, photos.hint.unwrap().starts_with("unpack it first")), (TAR_MALFORMED, true));
    let large = refused(&gzip(&vec![0; (64 << 20) + 1]));
    assert_eq!(large.info.as_deref(), Some("and unpacks to more than 67108864 bytes"));
    assert_eq!(refused(&gzip(b"no tar")).code, TAR_MALFORMED);
    assert_eq!(refused(b"\x1f\x8bnonsense").code, TAR_MALFORMED);
}

#[test]
fn sources_are_there_hold_images_and_count_once() {
    let place = Place::new();
    assert_eq!(listed(&[place.join("none")]).unwrap_err().code, SOURCE_UNREADABLE);
    place.write("a.txt", "");
    assert_eq!(listed(&[place.path().to_owned()]).unwrap_err().code, SOURCE_EMPTY);
    place.photos(&["1.jpg"]);
    let found = Cell::new(0);
    let mut sources = Sources {
        paths: &[place.path().to_owned(), place.join(".")],
        cancel: &AtomicBool::new(false),
        progress: &|count| found.set(count),
    };
    assert_eq!((list(&sources).unwrap().roots.len(), found.get()), (1, 2));
    let stop = AtomicBool::new(true);
    sources.cancel = &stop;
    assert_eq!(list(&sources).unwrap_err().code, INTERRUPTED);
}
