//! What sources hold: folders, archives and archives in folders seen as one list of paths, so that layouts need not know
//! which. Every file is an entry, rejected, or ignored for a reason.

mod build;
mod read;
mod walk;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ilsvrc_images::{Rejected, Source};

pub(crate) use build::path_of;
pub use build::{Sources, list};
pub use read::Reader;

/// Why files that hold no image are ignored.
pub const NO_IMAGE: &str = "no image by its name";

/// A file that may be an image, or that may say something of images. ImageNet has 1.3 million, so this is kept small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to its source. What lies in an archive of a folder is below the archive's name without `.tar`.
    pub path: Box<Path>,
    /// Where it starts in its archive; 0 for a file of a folder.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u64,
    /// Which of [`Listing::stores`] holds it.
    pub store: u32,
    /// What its name says that it is.
    pub kind: Kind,
}

/// What a file is by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `.jpg`, `.jpeg`, `.png`, `.bmp`, `.gif` or `.webp`; whether it is one is for the decoder to say.
    Image,
    /// `.txt`, `.csv`, `.xml`, `.mat`, `.json` or `.cls`.
    Text,
}

impl Entry {
    /// Its path, in bytes.
    pub fn bytes(&self) -> &[u8] {
        self.path.as_os_str().as_encoded_bytes()
    }

    /// The parts of its path.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.bytes().split(|&byte| byte == b'/' || (cfg!(windows) && byte == b'\\'))
    }

    /// The last part of its path.
    pub fn file_name(&self) -> &[u8] {
        self.parts().next_back().unwrap_or_default()
    }

    /// The name of the folder that it is in; empty at the top.
    pub fn folder_name(&self) -> &[u8] {
        self.parts().rev().nth(1).unwrap_or_default()
    }

    /// Its file name up to the last dot.
    pub fn stem(&self) -> &[u8] {
        stem(self.file_name())
    }

    /// Its path as messages show it.
    pub fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

/// `name` up to its last dot.
pub fn stem(name: &[u8]) -> &[u8] {
    let dot = name.iter().rposition(|&byte| byte == b'.').filter(|&dot| dot > 0);
    &name[..dot.unwrap_or(name.len())]
}

/// Where the bytes of entries are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In [`Listing::sources`]`[source]`, under their paths without the first `prefix` bytes.
    Source {
        /// Which source.
        source: u32,
        /// The length of an archive's place in its folder, with a slash.
        prefix: usize,
    },
    /// In memory: a small compressed archive.
    Memory {
        /// The archive, unpacked.
        bytes: Vec<u8>,
    },
}

/// What the user named, and the entries found there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The folder or archive.
    pub path: PathBuf,
    /// Its entries: a part of [`Listing::entries`].
    pub entries: Range<usize>,
}

/// The files of all sources.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Source by source in the order in which they were named, each sorted by path, byte by byte.
    pub entries: Vec<Entry>,
    /// What the user named.
    pub roots: Vec<Root>,
    /// Where entries' bytes are.
    pub stores: Vec<Store>,
    /// Folders and archives that images can be read from.
    pub sources: Vec<Source>,
    /// Files that are neither image nor text, by reason.
    pub ignored: BTreeMap<String, u64>,
    /// Files that cannot be used whatever the layout.
    pub rejected: Vec<Rejected>,
}

impl Listing {
    /// The entries of root `root` whose path is `path`.
    pub fn find(&self, root: usize, path: &[u8]) -> Option<usize> {
        let range = self.roots[root].entries.clone();
        let found = self.entries[range.clone()].binary_search_by(|entry| entry.bytes().cmp(path)).ok()?;
        Some(range.start + found)
    }

    /// The sources as messages name them.
    pub fn shown(&self) -> String {
        let paths: Vec<_> = self.roots.iter().map(|root| root.path.display().to_string()).collect();
        paths.join(", ")
    }

    fn ignore(&mut self, reason: &str, count: u64) {
        count_up(&mut self.ignored, reason, count);
    }
}

/// Adds to a count by reason.
pub fn count_up(counts: &mut BTreeMap<String, u64>, reason: &str, count: u64) {
    if count > 0 {
        *counts.entry(reason.to_owned()).or_default() += count;
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
