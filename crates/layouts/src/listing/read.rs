//! The bytes of small files of a listing.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};

use ilsvrc_diagnostics::{Error, INTERRUPTED, Result, SOURCE_UNREADABLE};
use ilsvrc_images::SourceKind;

use super::{Entry, Listing, Store};

/// The longest file of labels or names: Kaggle's boxes of ImageNet are in one of 35 MB.
const LONGEST: u64 = 256 << 20;

/// Reads entries; keeps the last archive open, as annotations lie side by side.
pub struct Reader<'a> {
    listing: &'a Listing,
    cancel: &'a AtomicBool,
    open: Option<(u32, File)>,
}

impl<'a> Reader<'a> {
    /// A reader that fails with `INTERRUPTED` when `cancel` is set.
    pub fn new(listing: &'a Listing, cancel: &'a AtomicBool) -> Self {
        Self { listing, cancel, open: None }
    }

    /// The bytes of `entry`.
    pub fn read(&mut self, entry: &Entry) -> Result<Vec<u8>> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Error::new(INTERRUPTED, "stopped while reading annotations"));
        }
        if entry.size > LONGEST {
            return Err(Error::new(SOURCE_UNREADABLE, format!("{} has {} bytes", entry.shown(), entry.size))
                .info(format!("of files of labels or names at most {LONGEST} bytes are read")));
        }
        match &self.listing.stores[entry.store as usize] {
            Store::Memory { bytes } => {
                let start = entry.offset as usize;
                bytes.get(start..start + entry.size as usize).map(<[u8]>::to_vec).ok_or_else(|| {
                    Error::new(SOURCE_UNREADABLE, format!("{} lies outside its archive", entry.shown()))
                })
            }
            Store::Source { source, .. } => self.read_source(entry, *source),
        }
    }

    fn read_source(&mut self, entry: &Entry, source: u32) -> Result<Vec<u8>> {
        let place = &self.listing.sources[source as usize];
        let mut bytes = Vec::new();
        let read = match place.kind {
            SourceKind::Folder => File::open(place.path.join(&entry.path))
                .and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)),
            SourceKind::Tar => self.archive(source).and_then(|file| {
                file.seek(SeekFrom::Start(entry.offset))?;
                file.take(entry.size).read_to_end(&mut bytes)
            }),
        };
        read.map_err(|error| Error::io(SOURCE_UNREADABLE, "read", &place.path.join(&entry.path), &error))?;
        Ok(bytes)
    }

    fn archive(&mut self, source: u32) -> std::io::Result<&mut File> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != source) {
            self.open = None;
        }
        let file = match self.open.take() {
            Some((_, file)) => file,
            None => File::open(&self.listing.sources[source as usize].path)?,
        };
        Ok(&mut self.open.insert((source, file)).1)
    }
}
