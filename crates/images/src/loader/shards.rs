//! The open shards of a split, and what is said when they cannot be read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use ilsvrc_diagnostics::{Error, SHARD_CORRUPT, SHARD_SHORT};

/// Shards kept open. Systems allow 1024 files or more for a process by default.
const OPEN_SHARDS: usize = 256;

pub(super) struct Shards {
    paths: Vec<PathBuf>,
    open: HashMap<u32, File>,
    /// Tells the system how a shard will be read.
    advise: fn(&File),
}

impl Shards {
    pub(super) fn new(paths: Vec<PathBuf>, advise: fn(&File)) -> Self {
        Self { paths, open: HashMap::new(), advise }
    }

    /// The file of a shard.
    pub(super) fn file(&mut self, shard: u32) -> io::Result<&mut File> {
        if self.open.len() >= OPEN_SHARDS && !self.open.contains_key(&shard) {
            self.open.clear();
        }
        match self.open.entry(shard) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let file = File::open(&self.paths[shard as usize])?;
                (self.advise)(&file);
                Ok(entry.insert(file))
            }
        }
    }

    /// Fills `bytes` from `offset` on.
    pub(super) fn read(&mut self, shard: u32, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let file = self.file(shard)?;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }

    /// What is wrong with a shard where reading up to `end` failed, as `its image x.jpg`.
    pub(super) fn failed(&self, shard: u32, end: &str, error: &io::Error) -> Error {
        let path = &self.paths[shard as usize];
        let hint = crate::index::check_hint(path.parent().unwrap_or(path));
        let error = if error.kind() == io::ErrorKind::UnexpectedEof {
            Error::new(SHARD_SHORT, format!("{} ends before {end}", path.display()))
                .info("it was cut short after the data set was opened")
        } else {
            Error::io(SHARD_CORRUPT, "read", path, error)
        };
        error.hint(hint)
    }
}
