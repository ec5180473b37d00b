//! What the benchmarks work on: photos drawn into a temporary folder, and data sets made of them. Made when first asked
//! for, gone at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ilsvrc_builtin::photos::{Photos, SIZE, write_photos};
use ilsvrc_diagnostics::{Error, Result, WRITE_FAILED};
use serde::Serialize;
use tempfile::TempDir;

use crate::machine::threads;
use crate::memory::Memory;
use crate::stored::Stored;
use crate::{Watch, work};

/// The photos that were drawn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhotoFacts {
    /// How many.
    pub count: usize,
    /// Width and height of those that do not stand upright.
    pub size: [usize; 2],
    /// Bytes of a file in the mean.
    pub mean_bytes: f64,
}

/// What is there so far.
pub(crate) struct Fixtures<'a> {
    folder: TempDir,
    /// Photos to draw.
    count: usize,
    watch: Watch<'a>,
    photos: Option<Photos>,
    dataset: Option<Rc<Stored>>,
    memory: Option<Rc<Memory>>,
}

impl<'a> Fixtures<'a> {
    /// Fixtures of `count` photos.
    pub(crate) fn new(count: usize, watch: Watch<'a>) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("ilsvrc-bench-")
            .tempdir()
            .map_err(|error| Error::io(WRITE_FAILED, "make a folder in", &std::env::temp_dir(), &error))?;
        Ok(Self { folder, count, watch, photos: None, dataset: None, memory: None })
    }

    /// A name in the temporary folder.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What is read for the rate of memory.
    pub(crate) fn memory(&mut self) -> Rc<Memory> {
        self.memory.get_or_insert_with(|| Rc::new(Memory::new())).clone()
    }

    pub(crate) fn facts(&self) -> Option<PhotoFacts> {
        self.photos.as_ref().map(|Photos { bytes, .. }| PhotoFacts {
            count: bytes.len(),
            size: SIZE,
            mean_bytes: bytes.iter().sum::<u64>() as f64 / bytes.len() as f64,
        })
    }

    /// The folder of the photos and their paths in it.
    pub(crate) fn photos(&mut self) -> Result<(PathBuf, Vec<String>)> {
        let folder = self.place("photos");
        let photos = match &self.photos {
            Some(photos) => photos,
            None => {
                let progress = |done, total| {
                    // The generator looks at `cancel` itself.
                    let _ = self.watch.step("drawing photos", done, total);
                };
                let photos = write_photos(&folder, self.count, 0, threads(), self.watch.cancel, &progress)?;
                self.photos.insert(photos)
            }
        };
        Ok((folder, photos.paths.clone()))
    }

    /// Every second photo, in memory: enough of them for the mean of all.
    pub(crate) fn files(&mut self) -> Result<Vec<Vec<u8>>> {
        let (folder, paths) = self.photos()?;
        paths.iter().step_by(2).map(|path| read(&folder.join(path))).collect()
    }

    /// A prepared data set of more images than there are photos: each comes several times.
    pub(crate) fn dataset(&mut self) -> Result<Rc<Stored>> {
        if let Some(dataset) = &self.dataset {
            return Ok(dataset.clone());
        }
        let (folder, paths) = self.photos()?;
        let repeats = 4;
        let images: Vec<String> = paths.iter().cycle().take(paths.len() * repeats).cloned().collect();
        self.watch.step("preparing a data set", 0, 1)?;
        let out = self.place("shards");
        work::prepare(&folder, &images, &out, threads(), self.watch.cancel)?;
        Ok(self.dataset.insert(Rc::new(Stored::open(&out)?)).clone())
    }
}

/// A file of the temporary folder.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io(ilsvrc_diagnostics::SOURCE_UNREADABLE, "read", path, &error))
}

/// Removes what a round wrote, so that the disk does not fill.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).map_err(|error| Error::io(WRITE_FAILED, "remove", folder, &error))
}
