//! From what the user named to a listing.

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use flate2::read::MultiGzDecoder;
use ilsvrc_diagnostics::{Error, Result, SOURCE_EMPTY, SOURCE_UNREADABLE, TAR_MALFORMED};
use ilsvrc_images::tar::{self, Contents};
use ilsvrc_images::{Rejected, Source, SourceKind};

use super::walk::{hidden, walk};
use super::{Entry, Kind, Listing, NO_IMAGE, Root, Store};

/// The most that a compressed archive may unpack to, in bytes; ImageNet's development kit has 10 MB.
const MAX_UNPACKED: u64 = 64 << 20;

/// What to list, and who watches.
pub struct Sources<'a> {
    /// Folders and archives.
    pub paths: &'a [PathBuf],
    /// Stops the listing.
    pub cancel: &'a AtomicBool,
    /// Gets the number of files found so far.
    pub progress: &'a dyn Fn(usize),
}

/// Lists all sources. One that is named twice is listed once.
pub fn list(sources: &Sources<'_>) -> Result<Listing> {
    let mut listing = Listing::default();
    let mut seen = Vec::new();
    for path in sources.paths {
        let real = path.canonicalize().map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
                _ => error.to_string(),
            };
            unusable(format!("cannot read {}", path.display())).info(reason)
        })?;
        if !seen.contains(&real) {
            seen.push(real.clone());
            add_root(&mut listing, path, real, sources)?;
        }
    }
    if listing.entries.iter().all(|entry| entry.kind != Kind::Image) {
        let others = listing.entries.len() as u64 + listing.ignored.values().sum::<u64>();
        return Err(Error::new(SOURCE_EMPTY, format!("{} holds no images", listing.shown()))
            .info(format!(
                "looked for .jpg .jpeg .png .bmp .gif .webp; ignored {others} other files, {} cannot be used",
                listing.rejected.len()
            ))
            .hint("give the folder above the class folders: photos/cats/1.jpg, photos/dogs/2.jpg …"));
    }
    Ok(listing)
}

fn unusable(message: String) -> Error {
    Error::new(SOURCE_UNREADABLE, message)
        .hint("give the folder or the tar archive that holds your photos: `ilsvrc prep photos/`")
}

fn add_root(listing: &mut Listing, path: &Path, real: PathBuf, sources: &Sources<'_>) -> Result<()> {
    let first = listing.entries.len();
    let found = fs::metadata(&real).map_err(|error| Error::io(SOURCE_UNREADABLE, "read", path, &error))?;
    if found.is_dir() {
        add_folder(listing, &real, sources)?;
    } else if !found.is_file() {
        return Err(unusable(format!("{} is neither a folder nor a file", path.display())));
    } else if is_gzip(&real) {
        add_compressed(listing, &real, b"", sources)?;
    } else {
        add_archive(listing, &real, b"", sources)?;
    }
    listing.entries[first..].sort_unstable_by(|a, b| a.bytes().cmp(b.bytes()).then(a.store.cmp(&b.store)));
    let entries = first..listing.entries.len();
    listing.roots.push(Root { path: path.to_owned(), entries });
    Ok(())
}

fn add_folder(listing: &mut Listing, root: &Path, sources: &Sources<'_>) -> Result<()> {
    let before = listing.entries.len();
    let found = walk(root, sources.cancel, &|count| (sources.progress)(before + count))?;
    found.ignored.iter().for_each(|(reason, &count)| listing.ignore(reason, count));
    for (path, reason) in found.refused {
        listing.rejected.push(Rejected { split: String::new(), path: path.display().to_string(), reason });
    }
    let store = add_source(listing, root, SourceKind::Folder, 0);
    let has_images = found.files.iter().any(|(path, _)| kind_of(path) == Some(Kind::Image));
    for (path, size) in found.files {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes().to_ascii_lowercase();
        // A stray archive among photos is no part of them.
        let is_known = name.starts_with(b"ilsvrc20");
        let prefix = |ending: &str| {
            let bytes = path.as_os_str().as_encoded_bytes();
            [&bytes[..bytes.len() - ending.len()], b"/"].concat()
        };
        if name.ends_with(b".tar") && (is_known || !has_images) {
            add_archive(listing, &root.join(&path), &prefix(".tar"), sources)?;
        } else if name.ends_with(b".tar.gz") && is_known && name.windows(6).any(|part| part == b"devkit") {
            add_compressed(listing, &root.join(&path), &prefix(".tar.gz"), sources)?;
        } else {
            add(listing, path, 0, size, store);
        }
    }
    Ok(())
}

fn add_source(listing: &mut Listing, path: &Path, kind: SourceKind, prefix: usize) -> u32 {
    listing.sources.push(Source { path: path.to_owned(), kind });
    add_store(listing, Store::Source { source: listing.sources.len() as u32 - 1, prefix })
}

fn add_store(listing: &mut Listing, store: Store) -> u32 {
    listing.stores.push(store);
    listing.stores.len() as u32 - 1
}

fn add_archive(listing: &mut Listing, path: &Path, prefix: &[u8], sources: &Sources<'_>) -> Result<()> {
    let before = listing.entries.len();
    let contents = tar::scan_with(path, sources.cancel, &|count| (sources.progress)(before + count))?;
    let store = add_source(listing, path, SourceKind::Tar, prefix.len());
    add_members(listing, contents, prefix, store);
    Ok(())
}

/// A `.tar.gz` is unpacked to memory, for its texts alone.
fn add_compressed(listing: &mut Listing, path: &Path, prefix: &[u8], sources: &Sources<'_>) -> Result<()> {
    let refused = |reason: String| {
        Error::new(TAR_MALFORMED, format!("{} is compressed with gzip", path.display()))
            .info(reason)
            .hint(format!("unpack it first: tar xzf {}", path.display()))
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| Error::io(SOURCE_UNREADABLE, "read", path, &error))?;
    let unpacked = MultiGzDecoder::new(file).take(MAX_UNPACKED + 1).read_to_end(&mut bytes);
    unpacked.map_err(|error| refused(format!("and cannot be unpacked: {error}")))?;
    if bytes.len() as u64 > MAX_UNPACKED {
        return Err(refused(format!("and unpacks to more than {MAX_UNPACKED} bytes")));
    }
    let length = bytes.len() as u64;
    let contents = tar::scan_from(Cursor::new(&bytes), length, path, sources.cancel, &|_| ())?;
    if contents.members.iter().any(|member| kind_of(&member.name) == Some(Kind::Image)) {
        return Err(refused(
            "images are read in place, which a compressed archive does not allow".to_owned(),
        ));
    }
    let store = add_store(listing, Store::Memory { bytes });
    add_members(listing, contents, prefix, store);
    Ok(())
}

fn add_members(listing: &mut Listing, contents: Contents, prefix: &[u8], store: u32) {
    listing.ignore("replaced by a later file of the same name in its archive", contents.superseded);
    for member in contents.members {
        let bytes = member.name.as_os_str().as_encoded_bytes();
        if member.unsafe_name {
            let path = member.name.display().to_string();
            let reason = "its name leads out of the archive".to_owned();
            listing.rejected.push(Rejected { split: String::new(), path, reason });
        } else if let Some(reason) = bytes.split(|&byte| byte == b'/').find_map(hidden) {
            listing.ignore(reason, 1);
        } else {
            let path = if prefix.is_empty() { member.name } else { joined(prefix, &member.name) };
            add(listing, path, member.offset, member.size, store);
        }
    }
}

/// `prefix`, which is text from a path and ends with a slash, before `path`.
fn joined(prefix: &[u8], path: &Path) -> Box<Path> {
    let bytes = [prefix, path.as_os_str().as_encoded_bytes()].concat();
    path_of(&bytes)
}

/// A path of these bytes.
#[cfg(unix)]
pub(crate) fn path_of(bytes: &[u8]) -> Box<Path> {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes)).into()
}

#[cfg(not(unix))]
pub(crate) fn path_of(bytes: &[u8]) -> Box<Path> {
    Path::new(&*String::from_utf8_lossy(bytes)).into()
}

fn add(listing: &mut Listing, path: Box<Path>, offset: u64, size: u64, store: u32) {
    match kind_of(&path) {
        Some(kind) => listing.entries.push(Entry { path, offset, size, store, kind }),
        None => listing.ignore(NO_IMAGE, 1),
    }
}

fn kind_of(path: &Path) -> Option<Kind> {
    let is = |extensions: &[&str]| {
        path.extension()
            .is_some_and(|own| extensions.iter().any(|extension| own.eq_ignore_ascii_case(extension)))
    };
    if is(&["jpg", "jpeg", "png", "bmp", "gif", "webp"]) {
        Some(Kind::Image)
    } else {
        is(&["txt", "csv", "xml", "mat", "json", "cls"]).then_some(Kind::Text)
    }
}

fn is_gzip(path: &Path) -> bool {
    let mut magic = [0; 2];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == [0x1f, 0x8b]
}
