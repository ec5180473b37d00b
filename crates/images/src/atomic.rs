//! Files that are there whole or not at all: written under a temporary name, flushed to the disk, renamed.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ilsvrc_diagnostics::{Error, Result, WRITE_FAILED};

/// Ends the names of unfinished files.
const SUFFIX: &str = ".ilsvrc-tmp";

static COUNTER: AtomicU64 = AtomicU64::new(0);
/// Tells processes apart, also those of other machines that share the folder: numbers of processes would not.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));

/// A file being written. It is removed unless [`AtomicFile::commit`] is reached.
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    file: Option<BufWriter<File>>,
    written: u64,
}

/// So many bytes are handed to the disk at a time.
const PIECE: u64 = 4 << 20;

impl AtomicFile {
    /// Starts to write what will become `path`.
    pub fn create(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_file_name(format!(".{name}.{:016x}-{number}{SUFFIX}", *PROCESS));
        let file = File::create(&temporary).map_err(|e| Error::io(WRITE_FAILED, "create", path, &e))?;
        Ok(Self {
            path: path.to_owned(),
            temporary,
            file: Some(BufWriter::with_capacity(1 << 18, file)),
            written: 0,
        })
    }

    /// Makes the file appear under its name, replacing an older one. What it holds survives a power failure.
    pub fn commit(mut self) -> Result<()> {
        let result = self.file.take().map_or(Ok(()), |buffer| {
            let file = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            fs::rename(&self.temporary, &self.path)?;
            sync_folder(&self.path)
        });
        result.map_err(|error| self.failed(&error))
    }

    /// The error for the user when writing to this file failed.
    pub fn failed(&self, error: &io::Error) -> Error {
        Error::io(WRITE_FAILED, "write", &self.path, error)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Ok(0) };
        let length = file.write(bytes)?;
        let before = self.written / PIECE;
        self.written += length as u64;
        if self.written / PIECE > before {
            start_writing(file.get_ref(), before * PIECE);
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // What is still buffered need not reach a file that is about to be removed.
            drop(file.into_parts());
        }
        // After a commit nothing bears this name.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Asks the system to begin with the piece at `offset`, so that little is left to wait for in the end.
#[cfg(target_os = "linux")]
fn start_writing(file: &File, offset: u64) {
    use rustix::fs::{Advice, fadvise};
    // Pages that are not on the disk yet are written and stay in memory. Where a file system takes no advice, nothing is lost.
    let _ = fadvise(file, offset, std::num::NonZeroU64::new(PIECE), Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
fn start_writing(_: &File, _: u64) {}

/// The new name itself must reach the disk too. Only Unix can open a folder to flush it.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Writes `path` with `write`; on any failure the file that was there before is still there.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut AtomicFile) -> io::Result<()>) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    write(&mut file).map_err(|error| file.failed(&error))?;
    file.commit()
}

/// Removes what killed processes left unfinished in `folder`, as far as `is_mine` says so of the temporary name, which
/// begins with a dot and the file's name.
pub fn remove_unfinished(folder: &Path, is_mine: &dyn Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(SUFFIX) && is_mine(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(b"new")?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert_eq!(error.code, WRITE_FAILED);
        assert!(error.message.contains("disk is full"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(&folder.path().join("no/a"), |_| Ok(())).unwrap_err();
        assert_eq!(error.code, WRITE_FAILED);
    }

    #[test]
    fn unfinished_files_are_removed_and_others_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(format!(".x.tar.1-0{SUFFIX}")), b"half").unwrap();
        fs::write(folder.path().join("mine.tmp"), b"kept").unwrap();
        remove_unfinished(folder.path(), &|name| name.starts_with(".y.")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        remove_unfinished(folder.path(), &|_| true).unwrap();
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["mine.tmp"]);
    }

    /// /dev/full fails every write the way a full disk does.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_has_its_own_words() {
        let error = fs::write("/dev/full", b"x").unwrap_err();
        let error = Error::io(WRITE_FAILED, "write", Path::new("x"), &error);
        assert!(error.message.starts_with("the disk is full"), "{error}");
    }
}
