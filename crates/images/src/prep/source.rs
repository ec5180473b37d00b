//! The bytes of one image of a source.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use ilsvrc_diagnostics::{Error, Result, SOURCE_UNREADABLE, TAR_MALFORMED};

use super::plan::{Item, Source, SourceKind};

/// Larger files are not read: no photo within the decoder's limits needs as much.
const MAX_FILE: u64 = 256 << 20;

/// Either the file's bytes are in the buffer, or it is rejected for a reason.
pub(super) type Outcome = std::result::Result<(), String>;

/// Reads items; each thread has its own, as it keeps archives open.
pub(super) struct Reader<'a> {
    sources: &'a [Source],
    archives: Vec<Option<File>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a [Source]) -> Self {
        Self { sources, archives: sources.iter().map(|_| None).collect() }
    }

    /// Reads `item` to `bytes`. A file that cannot be read is rejected; a source that fails stops everything.
    pub(super) fn read(&mut self, item: &Item, bytes: &mut Vec<u8>) -> Result<Outcome> {
        bytes.clear();
        let source = &self.sources[item.source];
        match source.kind {
            SourceKind::Folder => read_file(&source.path, &item.path, bytes),
            SourceKind::Tar => {
                let (offset, size) = (item.offset.unwrap_or(0), item.size.unwrap_or(0));
                if size > MAX_FILE {
                    return Ok(Err(too_large(size)));
                }
                self.read_member(item.source, offset, size, bytes).map(Ok).map_err(|error| {
                    if error.kind() == io::ErrorKind::UnexpectedEof {
                        Error::new(
                            TAR_MALFORMED,
                            format!("{} ends within {}", source.path.display(), item.path),
                        )
                        .info("it became shorter while it was read")
                    } else {
                        Error::io(SOURCE_UNREADABLE, "read", &source.path, &error)
                    }
                })
            }
        }
    }

    fn read_member(&mut self, source: usize, offset: u64, size: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        let archive = &mut self.archives[source];
        let file = match archive {
            Some(file) => file,
            None => archive.insert(File::open(&self.sources[source].path)?),
        };
        file.seek(SeekFrom::Start(offset))?;
        bytes.resize(size as usize, 0);
        file.read_exact(bytes)
    }
}

fn too_large(size: u64) -> String {
    format!("{size} bytes; at most {MAX_FILE} are read")
}

fn read_file(folder: &Path, name: &str, bytes: &mut Vec<u8>) -> Result<Outcome> {
    let path = folder.join(name);
    let read = |bytes: &mut Vec<u8>| -> io::Result<Outcome> {
        // Opening a pipe would wait for ever.
        let metadata = path.metadata()?;
        if !metadata.is_file() {
            return Ok(Err("not a regular file".to_owned()));
        }
        if metadata.len() > MAX_FILE {
            return Ok(Err(too_large(metadata.len())));
        }
        File::open(&path)?.take(MAX_FILE).read_to_end(bytes)?;
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
