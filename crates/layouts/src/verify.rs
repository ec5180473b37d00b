//! Whether archives are those that were published: their MD5, for files whose names are in a recipe.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ilsvrc_diagnostics::{ARCHIVE_DIFFERS, Error, INTERRUPTED, Result, SOURCE_UNREADABLE};
use md5::{Digest, Md5};
use serde::Serialize;

use crate::recipe::{Published, recipes};

const CHUNK: usize = 1 << 20;

/// A file and its checksum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The file.
    pub file: PathBuf,
    /// The MD5 that was published, in hexadecimal.
    pub expected: Option<String>,
    /// The MD5 of its bytes; nothing where none was published: the file is not read then.
    pub found: Option<String>,
    /// Whether a recipe knows a file of that name.
    pub known: bool,
}

/// Checks the files among `sources`, and those right in the folders among them. `progress` gets the bytes read so far and
/// in all. Fails with `ARCHIVE_DIFFERS` where one is another than the published one.
pub fn verify(
    sources: &[PathBuf],
    progress: &dyn Fn(u64, u64),
    cancel: &AtomicBool,
) -> Result<Vec<Verified>> {
    let published: Vec<Published> = recipes()?.into_iter().flat_map(|recipe| recipe.files).collect();
    verify_against(&published, sources, progress, cancel)
}

fn verify_against(
    published: &[Published],
    sources: &[PathBuf],
    progress: &dyn Fn(u64, u64),
    cancel: &AtomicBool,
) -> Result<Vec<Verified>> {
    let mut files = Vec::new();
    for path in files_of(sources)? {
        let name = path.file_name().and_then(|name| name.to_str());
        let known = published.iter().find(|file| Some(file.name.as_str()) == name);
        let size = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?.len();
        files.push((path, size, known));
    }
    let has_checksum = |known: &Option<&Published>| known.is_some_and(|file| file.md5.is_some());
    let total = files.iter().filter(|(_, _, known)| has_checksum(known)).map(|(_, size, _)| size).sum();
    let mut done = 0;
    let mut verified = Vec::new();
    for (file, _, known) in files {
        let expected = known.and_then(|known| known.md5.clone());
        let found = match expected {
            Some(_) => Some(md5_of(&file, cancel, &mut |bytes| {
                done += bytes;
                progress(done, total);
            })?),
            None => None,
        };
        verified.push(Verified { file, expected, found, known: known.is_some() });
    }
    let differing: Vec<String> = verified
        .iter()
        .filter(|file| file.found != file.expected)
        .map(|file| {
            let text = |sum: &Option<String>| sum.clone().unwrap_or_default();
            format!("{}: MD5 {}, published {}", file.file.display(), text(&file.found), text(&file.expected))
        })
        .collect();
    if differing.is_empty() {
        return Ok(verified);
    }
    Err(Error::new(
        ARCHIVE_DIFFERS,
        format!("{} of the archives are not the published ones", differing.len()),
    )
    .info(differing.join("; "))
    .hint("download them again; a file of the right length with another checksum was damaged on its way"))
}

fn files_of(sources: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for source in sources {
        let found = fs::metadata(source).map_err(|error| unreadable(source, &error))?;
        if !found.is_dir() {
            files.push(source.clone());
            continue;
        }
        let mut inside = Vec::new();
        for child in fs::read_dir(source).map_err(|error| unreadable(source, &error))? {
            let path = child.map_err(|error| unreadable(source, &error))?.path();
            if path.is_file() {
                inside.push(path);
            }
        }
        inside.sort_unstable();
        files.extend(inside);
    }
    Ok(files)
}

fn md5_of(path: &Path, cancel: &AtomicBool, progress: &mut dyn FnMut(u64)) -> Result<String> {
    let mut file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let (mut hash, mut chunk) = (Md5::new(), vec![0; CHUNK]);
    loop {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::new(INTERRUPTED, format!("stopped while reading {}", path.display())));
        }
        let read = file.read(&mut chunk).map_err(|error| unreadable(path, &error))?;
        if read == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&chunk[..read]);
        progress(read as u64);
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::io(SOURCE_UNREADABLE, "read", path, error)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn archives_are_compared_with_the_published_ones() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        let file = |name: &str, md5: Option<&str>| Published {
            name: name.to_owned(),
            bytes: None,
            md5: md5.map(str::to_owned),
        };
        // RFC 1321, A.5.
        let published = [file("a.tar", Some("900150983cd24fb0d6963f7d28e17f72")), file("b.tar", None)];
        write("a.tar", b"abc");
        write("b.tar", b"not read");
        write("c.tar", b"not known");
        let (seen, off) = (Cell::new((0, 0)), AtomicBool::new(false));
        let check = |cancel| {
            verify_against(
                &published,
                &[folder.path().to_owned()],
                &|done, all| seen.set((done, all)),
                cancel,
            )
        };
        let verified = check(&off).unwrap();
        let known: Vec<(bool, bool)> =
            verified.iter().map(|file| (file.known, file.found.is_some())).collect();
        assert_eq!((known, seen.get()), (vec![(true, true), (true, false), (false, false)], (3, 3)));
        write("a.tar", b"abd");
        let error = check(&off).unwrap_err();
        assert_eq!(error.code, ARCHIVE_DIFFERS);
        assert!(error.info.unwrap().contains("a.tar: MD5 "));
        assert_eq!(check(&AtomicBool::new(true)).unwrap_err().code, INTERRUPTED);
        assert_eq!(verify(&["nowhere.tar".into()], &|_, _| (), &off).unwrap_err().code, SOURCE_UNREADABLE);
    }
}
