//! The bytes of one image of a source.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use ilsvrc_diagnostics::{Error, Result, SOURCE_UNREADABLE, TAR_MALFORMED};

use super::plan::{Item, Source};

/// Larger files are not read: no photo within the decoder's limits needs as much.
const MAX_FILE: u64 = 128 << 20;
/// Archives kept open by a reader. Systems allow a process 1024 files or more by default.
const OPEN_ARCHIVES: usize = 32;

/// Either the file's bytes are in the buffer, or it is rejected for a reason.
pub(super) type Outcome = std::result::Result<(), String>;

/// Reads items; each thread has its own, as it keeps archives open.
pub(super) struct Reader<'a> {
    sources: &'a [Source],
    archives: HashMap<u32, File>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a [Source]) -> Self {
        Self { sources, archives: HashMap::new() }
    }

    /// Reads `item` to `bytes`. A file that cannot be read is rejected; a source that fails stops everything.
    pub(super) fn read(&mut self, item: &Item, bytes: &mut Vec<u8>) -> Result<Outcome> {
        bytes.clear();
        if item.size > MAX_FILE {
            return Ok(Err(too_large(item.size)));
        }
        let source = &self.sources[item.source as usize];
        let Some(offset) = item.offset else { return read_file(&source.path, item, bytes) };
        self.read_member(item, offset, bytes).map(Ok).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                let (archive, path) = (source.path.display(), item.path.display());
                Error::new(TAR_MALFORMED, format!("{archive} ends within {path}"))
                    .info("it became shorter while it was read")
            } else {
                Error::io(SOURCE_UNREADABLE, "read", &source.path, &error)
            }
        })
    }

    fn read_member(&mut self, item: &Item, offset: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        if self.archives.len() >= OPEN_ARCHIVES && !self.archives.contains_key(&item.source) {
            self.archives.clear();
        }
        let file = match self.archives.entry(item.source) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(File::open(&self.sources[item.source as usize].path)?),
        };
        file.seek(SeekFrom::Start(offset))?;
        bytes.resize(item.size as usize, 0);
        file.read_exact(bytes)
    }
}

fn too_large(size: u64) -> String {
    format!("{size} bytes; at most {MAX_FILE} are read")
}

fn read_file(folder: &Path, item: &Item, bytes: &mut Vec<u8>) -> Result<Outcome> {
    let path = folder.join(&item.path);
    let read = |bytes: &mut Vec<u8>| -> io::Result<Outcome> {
        // Opening a pipe would wait for ever.
        if !path.metadata()?.is_file() {
            return Ok(Err("not a regular file".to_owned()));
        }
        File::open(&path)?.take(MAX_FILE).read_to_end(bytes)?;
        if bytes.len() as u64 != item.size {
            return Ok(Err(format!("it changed: {} bytes were listed, {} read", item.size, bytes.len())));
        }
        Ok(Ok(()))
    };
    read(bytes).or_else(|error| match error.kind() {
        // One file's fault, unless the whole folder went away.
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied if folder.is_dir() => {
            Ok(Err(format!("cannot be read: {error}")))
        }
        _ => Err(Error::io(SOURCE_UNREADABLE, "read", &path, &error)),
    })
}
