//! What to prepare: written by the program that recognised the source's layout, checked here.

use std::io::Write;
use std::path::{Component, Path, PathBuf};

use ilsvrc_diagnostics::{Error, INTERNAL, Result, SOURCE_EMPTY, SOURCE_UNREADABLE};
use ilsvrc_random::{Purpose, Stream, permutation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dataset::{Class, MAX_SIZE};
use crate::resize::Resize;

/// Part of the hash of a plan: a change of what the same plan produces needs a new number.
const PLAN_VERSION: u32 = 1;

/// Everything that `prep` needs.
#[derive(Clone, Debug, Deserialize)]
pub struct PrepPlan {
    /// The folder to write.
    pub out: PathBuf,
    /// The data set's name.
    pub name: String,
    /// Side of the images.
    pub size: usize,
    /// How photos become square.
    pub resize: Resize,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    /// Threads.
    pub workers: usize,
    /// Seed of the order.
    pub seed: u64,
    /// Images in a shard, rejected ones counted.
    pub shard_images: usize,
    /// Share of the files that may be undecodable, 0 to 1.
    pub max_rejected: f64,
    /// Replace what `out` holds.
    pub force: bool,
    /// The layout recognised, for the record.
    pub layout: String,
    /// Where files come from.
    pub sources: Vec<Source>,
    /// The classes.
    pub classes: Vec<Class>,
    /// The splits.
    pub splits: Vec<SplitPlan>,
    /// Files that are no images, for the record.
    pub ignored: u64,
}

/// A folder or an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Which of both.
    pub kind: SourceKind,
}

/// How the files of a source are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Files below a folder.
    Folder,
    /// Members of a tar archive, read in place.
    Tar,
}

/// A split and its images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SplitPlan {
    /// `train` or `val`; becomes part of file names.
    pub name: String,
    /// Its images in the source's order.
    pub items: Vec<Item>,
}

/// An image of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Number of its source.
    pub source: usize,
    /// Its path in the folder or its name in the archive.
    pub path: String,
    /// Where it starts in the archive.
    #[serde(default)]
    pub offset: Option<u64>,
    /// Its length in the archive.
    #[serde(default)]
    pub size: Option<u64>,
    /// Its class.
    pub class: u32,
}

/// A unit of work: shard `number` of split `split`, images `range` of the split's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardPlan {
    pub(crate) split: usize,
    pub(crate) number: usize,
    /// The shard's place among the images of its split.
    pub(crate) first: usize,
    /// Indices of its items.
    pub(crate) items: Vec<u32>,
}

impl PrepPlan {
    /// Refuses plans that make no sense, and sources that are not there.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::new(INTERNAL, format!("the plan of prep is wrong: {what}")));
        let ranges = [
            ("size", self.size, 1..=MAX_SIZE),
            ("quality", usize::from(self.quality), 1..=100),
            ("shard_images", self.shard_images, 1..=100_000),
            ("workers", self.workers, 1..=1024),
        ];
        for (name, value, allowed) in ranges {
            if !allowed.contains(&value) {
                return wrong(format!(
                    "{name} is {value}; allowed: {} to {}",
                    allowed.start(),
                    allowed.end()
                ));
            }
        }
        for (i, split) in self.splits.iter().enumerate() {
            let plain = split.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            if !plain || split.name.is_empty() || self.splits[..i].iter().any(|s| s.name == split.name) {
                return wrong(format!("the split name {:?}", split.name));
            }
            if u32::try_from(split.items.len()).is_err() {
                return wrong(format!("{} images in a split", split.items.len()));
            }
            if let Some(item) = split.items.iter().find(|item| !self.fits(item)) {
                return wrong(format!("{item:?}"));
            }
        }
        if self.images() == 0 {
            return Err(Error::new(SOURCE_EMPTY, "the source holds no images"));
        }
        self.sources.iter().try_for_each(check_source)
    }

    fn fits(&self, item: &Item) -> bool {
        let inside = |path: &str| {
            Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        };
        let found = self.sources.get(item.source).is_some_and(|source| match source.kind {
            SourceKind::Folder => inside(&item.path),
            SourceKind::Tar => item.offset.is_some() && item.size.is_some(),
        });
        found && (item.class as usize) < self.classes.len()
    }

    /// Images in all splits.
    pub(crate) fn images(&self) -> usize {
        self.splits.iter().map(|split| split.items.len()).sum()
    }

    /// The split that statistics are taken of: `train`, or the first where there is none.
    pub(crate) fn statistics_split(&self) -> usize {
        self.splits.iter().position(|split| split.name == "train").unwrap_or(0)
    }

    /// All units of work, in order.
    pub(crate) fn shards(&self) -> Vec<ShardPlan> {
        let mut shards = Vec::new();
        for (split, plan) in self.splits.iter().enumerate() {
            let stream = Stream::new(self.seed, Purpose::Shards, 0, split as u32);
            let order = permutation(&stream, plan.items.len() as u32);
            shards.extend(order.chunks(self.shard_images).enumerate().map(|(number, items)| ShardPlan {
                split,
                number,
                first: number * self.shard_images,
                items: items.to_vec(),
            }));
        }
        shards
    }

    /// SHA-256 of everything that shapes the result; the number of workers and where it is written do not.
    pub(crate) fn hash(&self) -> Result<String> {
        let shape = (
            (PLAN_VERSION, super::DECODER, crate::resize::FILTER),
            (&self.name, self.size, self.resize, self.quality, self.seed, self.shard_images, &self.layout),
            (&self.sources, &self.classes, &self.splits, self.ignored),
        );
        let mut hash = Hashing(Sha256::new());
        serde_json::to_writer(&mut hash, &shape)
            .map_err(|error| Error::new(INTERNAL, "cannot hash the plan of prep").info(error.to_string()))?;
        Ok(crate::index::hex(&hash.0.finalize()))
    }
}

struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn check_source(source: &Source) -> Result<()> {
    let unreadable = |reason: String| {
        Error::new(SOURCE_UNREADABLE, format!("cannot read {}", source.path.display())).info(reason)
    };
    let metadata = source.path.metadata().map_err(|error| unreadable(error.to_string()))?;
    match source.kind {
        SourceKind::Folder if !metadata.is_dir() => Err(unreadable("it is not a folder".to_owned())),
        SourceKind::Tar if !metadata.is_file() => Err(unreadable("it is not a file".to_owned())),
        _ => Ok(()),
    }
}
