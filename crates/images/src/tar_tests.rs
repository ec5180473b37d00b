use std::fs;

use super::header::checksum;
use super::*;

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (name, data) in members {
        writer.append(name, data).unwrap();
    }
    writer.finish().unwrap().0
}

fn scan_bytes(bytes: &[u8]) -> Result<Vec<Member>> {
    let (length, off) = (bytes.len() as u64, AtomicBool::new(false));
    Ok(scan_from(io::Cursor::new(bytes), length, Path::new("a.tar"), &off, &|_| ())?.members)
}

fn reason(bytes: &[u8]) -> String {
    let error = scan_bytes(bytes).unwrap_err();
    assert_eq!(error.code, TAR_MALFORMED);
    error.info.unwrap()
}

/// A header of `kind` for `name`, and its data.
fn entry(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = archive(&[(name, data)]);
    bytes.truncate(bytes.len() - 1024);
    bytes[156] = kind;
    seal(&mut bytes[..512]);
    bytes
}

/// Writes the checksum of a header.
fn seal(block: &mut [u8]) {
    let sum = checksum((&*block).try_into().unwrap());
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn names(members: &[Member]) -> Vec<&str> {
    members.iter().map(|m| m.name.to_str().unwrap()).collect()
}

const END: [u8; 1024] = [0; 1024];
/// Two records; each begins with its own length.
const PAX: &[u8] = b"27 path=photos/\xc3\xa4 long.jpg\n10 size=3\n";

#[test]
fn what_is_written_is_found() {
    let long = format!("{}/{}.jpg", "a".repeat(90), "b".repeat(60));
    let bytes = archive(&[("x/1.jpg", b"hello"), (&long, &[7; 1000]), ("empty", b""), ("./y.jpg", b"!")]);
    let members = scan_bytes(&bytes).unwrap();
    let found: Vec<(&str, &[u8])> = members
        .iter()
        .map(|m| (m.name.to_str().unwrap(), &bytes[m.offset as usize..(m.offset + m.size) as usize]))
        .collect();
    assert_eq!(found, [("x/1.jpg", &b"hello"[..]), (&long, &[7; 1000]), ("empty", b""), ("y.jpg", b"!")]);
    assert_eq!(bytes.len() % 512, 0);
}

#[test]
fn pax_headers_prefixes_and_big_sizes_are_understood() {
    let pax = entry("PaxHeaders/x", b'x', PAX);
    let mut plain = entry("ignored", b'0', b"abc");
    // The size comes from the pax record.
    plain[124..136].copy_from_slice(b"00000000000\0");
    seal(&mut plain[..512]);
    let mut prefixed = entry("name.jpg", b'0', b"de");
    prefixed[345..351].copy_from_slice(b"folder");
    // GNU's binary numbers.
    prefixed[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    seal(&mut prefixed[..512]);
    let global = entry("g", b'g', b"13 comment=x\n");
    let members = scan_bytes(&[global, pax, plain, prefixed, END.to_vec()].concat()).unwrap();
    let found: Vec<_> = members.iter().map(|m| (m.name.to_str().unwrap(), m.size)).collect();
    assert_eq!(found, [("photos/\u{e4} long.jpg", 3), ("folder/name.jpg", 2)]);
}

#[test]
fn links_and_folders_are_passed_over() {
    let bytes =
        [entry("d", b'5', b""), entry("l", b'2', b""), entry("old/", b'0', b""), entry("a", b'0', b"1")];
    let members = scan_bytes(&[bytes.concat(), END.to_vec()].concat()).unwrap();
    assert_eq!(names(&members), ["a"]);
}

/// One bad name is that member's fault alone.
#[test]
fn names_that_lead_out_are_marked() {
    for name in ["../x", "a/../../x", "/etc/passwd", "a\\..\\x", "./../x", ".//etc", "../y.tar"] {
        let members = scan_bytes(&archive(&[(name, b"x"), ("a..b/c", b"x")])).unwrap();
        assert_eq!(members.iter().map(|m| m.unsafe_name).collect::<Vec<_>>(), [true, false], "{name}");
    }
}

#[cfg(unix)]
#[test]
fn names_keep_their_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let mut bytes = archive(&[("caf_.jpg", b"x")]);
    bytes[3] = 0xe9;
    seal(&mut bytes[..512]);
    let members = scan_bytes(&bytes).unwrap();
    assert_eq!(members[0].name.as_os_str().as_bytes(), b"caf\xe9.jpg");
    assert!(!members[0].unsafe_name);
}

#[test]
fn the_last_of_the_same_name_counts() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = archive(&[("a", b"old"), ("b", b"x"), ("a", b"older"), ("./a", b"new!")]);
    fs::write(file.path(), &bytes).unwrap();
    let found = std::cell::Cell::new(0);
    let contents = scan_with(file.path(), &AtomicBool::new(false), &|n| found.set(n)).unwrap();
    assert_eq!((names(&contents.members), contents.superseded, found.get()), (vec!["b", "a"], 2, 2));
    let last = &contents.members[1];
    assert_eq!(&bytes[last.offset as usize..][..last.size as usize], b"new!");
}

#[test]
fn archives_in_an_archive_are_looked_into() {
    let deepest = archive(&[("c.jpg", b"c")]);
    let inner = archive(&[("n01_1.JPEG", b"one"), ("../out", b"x"), ("deep.tar", &deepest)]);
    let bytes = archive(&[("x/n01.tar", &inner), ("n02.tar", &archive(&[("2.JPEG", b"two")])), ("z", b"z")]);
    let members = scan_bytes(&bytes).unwrap();
    let expected = ["x/n01/n01_1.JPEG", "x/n01/../out", "x/n01/deep.tar", "n02/2.JPEG", "z"];
    assert_eq!(names(&members), expected);
    assert_eq!(members.iter().map(|m| m.unsafe_name).collect::<Vec<_>>(), [false, true, false, false, false]);
    assert_eq!(&bytes[members[3].offset as usize..][..3], b"two");
}

#[test]
fn a_broken_archive_in_an_archive_is_named() {
    let inner = archive(&[("1.JPEG", &[1; 700])]);
    for length in [600, 1024, 1536] {
        let bytes = archive(&[("n01.tar", &inner[..length]), ("b", &[9; 4000])]);
        assert!(reason(&bytes).contains("n01.tar in it: "), "{length}");
    }
    assert!(reason(&archive(&[("n01.tar", b"")])).contains("n01.tar in it: the file stops"));
}

#[test]
fn names_longer_than_any_path_are_refused() {
    let long = |length: usize| archive(&[(&"n".repeat(length), b"")]);
    assert_eq!(scan_bytes(&long(4096)).unwrap().len(), 1);
    assert!(reason(&long(4097)).ends_with("a name of 4097 bytes; at most 4096 are read"));
}

#[test]
fn a_scan_can_be_cancelled() {
    let mut writer = Writer::new(Vec::new());
    for i in 0..REPORT_EVERY {
        writer.append(&i.to_string(), b"").unwrap();
    }
    let bytes = writer.finish().unwrap().0;
    let length = bytes.len() as u64;
    let stopped =
        scan_from(io::Cursor::new(bytes), length, Path::new("a.tar"), &AtomicBool::new(true), &|_| ());
    assert_eq!(stopped.unwrap_err().code, INTERRUPTED);
}

#[test]
fn every_truncation_is_found() {
    let bytes = archive(&[("a", &[1; 700]), ("b", b"xyz")]);
    // The second of the two blocks of zeros at the end is not needed.
    for length in 0..bytes.len() - 512 {
        assert!(scan_bytes(&bytes[..length]).is_err(), "{length}");
    }
    assert!(reason(&bytes[..1024]).contains("\"a\" has 700 bytes, but only 512 are left"));
    assert!(reason(&bytes[..1536]).contains("without the mark of the end"));
}

#[test]
fn sizes_beyond_the_file_are_refused() {
    let mut bytes = archive(&[("a", b"x")]);
    bytes[124..136].copy_from_slice(b"77777777777\0");
    seal(&mut bytes[..512]);
    assert!(reason(&bytes).contains("\"a\" has 8589934591 bytes"));
    bytes[124..136].fill(0xff);
    seal(&mut bytes[..512]);
    assert!(reason(&bytes).contains("size that is no number"));
    let huge = [entry("x", b'L', &vec![b'n'; 2 << 20]), END.to_vec()].concat();
    assert!(reason(&huge).contains("extension header of 2097152 bytes"));
}

#[test]
fn other_files_are_told_apart() {
    assert_eq!(scan(Path::new("/nowhere/x.tar")).unwrap_err().code, SOURCE_UNREADABLE);
    let compressed = scan_bytes(&[b"\x1f\x8b".as_slice(), &[9; 1000]].concat()).unwrap_err();
    assert!(compressed.message.ends_with("is compressed with gzip"), "{compressed}");
    assert!(reason(&[b'x'; 2000]).contains("no tar header here"));
    assert!(reason(b"").contains("without the mark"));
    assert_eq!(scan_bytes(&END).unwrap(), []);
}

/// No flipped byte makes the scanner panic, and what it finds lies within the file.
#[test]
fn flipped_bytes_do_no_harm() {
    let pax = entry("PaxHeaders/x", b'x', PAX);
    let long = archive(&[(&"n".repeat(130), &[1; 600])]);
    let inner = entry("n.tar", b'0', &archive(&[("i", b"abc")]));
    let bytes = [pax, entry("p", b'0', b"abc"), inner, long].concat();
    for (at, flip) in (0..bytes.len()).flat_map(|at| [(at, 0xff), (at, 0x01), (at, 0x80)]) {
        let mut damaged = bytes.clone();
        damaged[at] ^= flip;
        // With a valid checksum, so that the fields behind it are reached.
        for header in (0..damaged.len())
            .step_by(512)
            .filter(|&h| at / 512 * 512 == h && bytes[h + 257..].starts_with(b"ustar"))
        {
            seal(&mut damaged[header..header + 512]);
        }
        let length = damaged.len() as u64;
        let cancel = AtomicBool::new(false);
        let contents = scan_from(io::Cursor::new(damaged), length, Path::new("a.tar"), &cancel, &|_| ());
        for member in contents.unwrap_or_default().members {
            assert!(member.offset + member.size <= length);
        }
    }
}
