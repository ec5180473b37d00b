//! What to prepare: made by `ilsvrc-layouts` from what people have on disk, checked here.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use ilsvrc_diagnostics::{Error, INTERNAL, Result, SOURCE_EMPTY, SOURCE_UNREADABLE};
use ilsvrc_random::{Purpose, Stream, permutation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dataset::{Class, MAX_SIZE};
use crate::resize::Resize;

/// Part of the hash of a plan: a change of what the same plan produces needs a new number.
const PLAN_VERSION: u32 = 2;

/// Everything that `prep` needs.
#[derive(Clone, Debug)]
pub struct PrepPlan {
    /// The folder to write.
    pub out: PathBuf,
    /// Threads.
    pub workers: usize,
    /// Replace what `out` holds.
    pub force: bool,
    /// Only these of the shards; [`merge`](super::merge) joins them.
    pub part: Option<Part>,
    /// Everything but the images.
    pub about: About,
    /// The splits.
    pub splits: Vec<SplitPlan>,
}

/// What a plan says beside its images: small, and kept with the shards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The data set's name.
    pub name: String,
    /// What shapes the shards.
    pub settings: Settings,
    /// Share of the files that may be undecodable, 0 to 1.
    pub max_rejected: f64,
    /// The layout recognised, for the record.
    pub layout: String,
    /// How the source numbered its classes, for the record; ours are always sorted by WNID.
    pub class_order: String,
    /// Where files come from.
    pub sources: Vec<Source>,
    /// The classes.
    pub classes: Vec<Class>,
    /// Inputs that were refused before anything was decoded.
    pub rejected: Vec<Rejected>,
    /// Files that are no image of a split, by reason.
    pub ignored: BTreeMap<String, u64>,
    /// What the user asked for, so that a repair can plan again.
    pub request: serde_json::Value,
}

/// What shapes the shards besides the photos. A data set of other settings is another data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Side of the images.
    pub size: usize,
    /// How photos become square.
    pub resize: Resize,
    /// Turn photos as their EXIF orientation says.
    pub exif_rotate: bool,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    /// Seed of the order.
    pub seed: u64,
    /// Images in a shard, rejected ones counted.
    pub shard_images: usize,
}

/// Part `index` (from 0) of `of`: every `of`-th shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which one, from 0.
    pub index: usize,
    /// How many there are.
    pub of: usize,
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
#[derive(Clone, Debug)]
pub struct SplitPlan {
    /// `train` or `val`; becomes part of file names.
    pub name: String,
    /// Its images in the source's order.
    pub items: Vec<Item>,
}

/// An image of a source. ImageNet has 1.3 million, so this is kept small.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its path in the folder or its name in the archive; not always UTF-8.
    pub path: Box<Path>,
    /// Where it starts in the archive; nothing in a folder.
    pub offset: Option<u64>,
    /// Its length in bytes.
    pub size: u64,
    /// Number of its source.
    pub source: u32,
    /// Its class.
    pub class: u32,
    /// Boxes around objects of its class: left, top, right, bottom, in pixels of the photo.
    pub boxes: Box<[[f32; 4]]>,
}

/// A line of `rejected.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The split it would have been in.
    pub split: String,
    /// As in the source; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// A unit of work: shard `number` of split `split`, and the images that belong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardPlan {
    pub(crate) split: usize,
    pub(crate) number: usize,
    /// The shard's place among the images of its split.
    pub(crate) first: usize,
    /// Indices of its items.
    pub(crate) items: Vec<u32>,
    /// SHA-256 of everything that shapes its bytes.
    pub(crate) hash: String,
}

impl PrepPlan {
    /// Refuses plans that make no sense, and sources that are not there.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::new(INTERNAL, format!("the plan of prep is wrong: {what}")));
        let Settings { size, quality, shard_images, .. } = self.about.settings;
        let ranges = [
            ("size", size, 1..=MAX_SIZE),
            ("quality", usize::from(quality), 1..=100),
            ("shard_images", shard_images, 1..=100_000),
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
        if let Some(Part { index, of }) = self.part
            && index >= of
        {
            return wrong(format!("part {index} of {of}, counted from 0"));
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
        self.about.sources.iter().try_for_each(check_source)
    }

    fn fits(&self, item: &Item) -> bool {
        let inside = |path: &Path| {
            path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        };
        let found = self.about.sources.get(item.source as usize).is_some_and(|source| match source.kind {
            SourceKind::Folder => item.offset.is_none() && inside(&item.path),
            SourceKind::Tar => item.offset.is_some(),
        });
        found && (item.class as usize) < self.about.classes.len()
    }

    /// Images in all splits.
    pub fn images(&self) -> usize {
        self.splits.iter().map(|split| split.items.len()).sum()
    }

    /// The split that statistics are taken of: `train`, or the first where there is none.
    pub(crate) fn statistics_split(&self) -> usize {
        self.splits.iter().position(|split| split.name == "train").unwrap_or(0)
    }

    /// All units of work, in order.
    pub(crate) fn shards(&self) -> Vec<ShardPlan> {
        let size = self.about.settings.shard_images;
        let mut shards = Vec::new();
        for (split, plan) in self.splits.iter().enumerate() {
            let stream = Stream::new(self.about.settings.seed, Purpose::Shards, 0, split as u32);
            let order = permutation(&stream, plan.items.len() as u32);
            shards.extend(order.chunks(size).enumerate().map(|(number, items)| ShardPlan {
                split,
                number,
                first: number * size,
                items: items.to_vec(),
                hash: self.shard_hash(split, number, items),
            }));
        }
        shards
    }

    /// Where photos lie does not count, so machines may mount them at different places.
    fn shard_hash(&self, split: usize, number: usize, items: &[u32]) -> String {
        let settings = &self.about.settings;
        let head = (PLAN_VERSION, crate::photo::DECODER, crate::resize::FILTER, settings);
        let place = (&self.splits[split].name, number, split == self.statistics_split());
        let mut hash = Sha256::new();
        hash.update(serde_json::to_vec(&(head, place)).unwrap_or_default());
        for &item in items {
            let Item { path, size, class, boxes, .. } = &self.splits[split].items[item as usize];
            let path = path.as_os_str().as_encoded_bytes();
            hash.update((path.len() as u64).to_le_bytes());
            hash.update(path);
            hash.update(size.to_le_bytes());
            hash.update(class.to_le_bytes());
            hash.update((boxes.len() as u64).to_le_bytes());
            boxes.iter().flatten().for_each(|edge| hash.update(edge.to_le_bytes()));
        }
        crate::index::hex(&hash.finalize())
    }

    /// SHA-256 of everything that shapes the result; the number of workers, where photos lie and where the result is
    /// written do not.
    pub(crate) fn hash(&self, shards: &[ShardPlan]) -> Result<String> {
        let About { name, settings, layout, class_order, classes, rejected, ignored, .. } = &self.about;
        let hashes: Vec<&str> = shards.iter().map(|shard| shard.hash.as_str()).collect();
        let shape = (name, settings, layout, class_order, classes, rejected, ignored, hashes);
        let text = serde_json::to_vec(&shape)
            .map_err(|error| Error::new(INTERNAL, "cannot hash the plan of prep").info(error.to_string()))?;
        Ok(crate::index::sha256(&text))
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
