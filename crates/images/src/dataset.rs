//! A prepared data set: `dataset.json`, the mean image, shards and their indexes.
//!
//! `dataset.json` is written last, so a folder that has one is complete. It holds the hash of every other file and its own:
//! `checksum` is the SHA-256 of the file with those 64 digits replaced by zeros.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ilsvrc_diagnostics::{
    Error, INTERRUPTED, MANIFEST_INVALID, MANIFEST_VERSION, Result, SHARD_CORRUPT, SHARD_SHORT, SPLIT_EMPTY,
};
use serde::{Deserialize, Serialize};

use crate::index::{self, ShardIndex, VERSION};
use crate::npy;
use crate::prep::Source;
use crate::resize::Resize;

/// The manifest's name.
pub const MANIFEST: &str = "dataset.json";
/// The mean image's name.
pub const MEAN: &str = "mean.npy";
/// The name of the list of what was left out.
pub const REJECTED: &str = "rejected.jsonl";
/// The largest side of prepared images.
pub(crate) const MAX_SIZE: usize = 4096;
pub(crate) const NO_CHECKSUM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A class: its key and its name for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// The key, in ImageNet a WordNet id; names are not unique there.
    pub wnid: String,
    /// What is shown.
    pub name: String,
    /// `ILSVRC2012_ID` of the devkit, 1 to 1000, where the source has one: submissions are numbered so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devkit_id: Option<u32>,
}

/// `dataset.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// See the module's description.
    pub checksum: String,
    /// The data set's name.
    pub name: String,
    /// Side of the images in pixels.
    pub size: usize,
    /// Class `i` is label `i`.
    pub classes: Vec<Class>,
    /// The splits.
    pub splits: Vec<Split>,
    /// Files that could not be used, listed in `rejected.jsonl`.
    pub rejected: u64,
    /// Files that decoded with a warning and were kept.
    pub warnings: u64,
    /// Photos that carry an EXIF orientation, obeyed or not.
    pub rotations: u64,
    /// Files of the source that are no image of a split, by reason.
    pub ignored: BTreeMap<String, u64>,
    /// The split that the statistics below are of: the training split.
    pub statistics_of: String,
    /// Mean red, green and blue, 0 to 255.
    pub channel_mean: [f64; 3],
    /// Principal components of the colours.
    pub pca: Pca,
    /// SHA-256 of `mean.npy`: f32, size x size x 3, the mean of the images before they were compressed.
    pub mean_sha256: String,
    /// SHA-256 of `rejected.jsonl`.
    pub rejected_sha256: String,
    /// How the images were made.
    pub preprocessing: Preprocessing,
    /// What was asked for, so that a repair can plan again; null for shards of other programs.
    pub request: serde_json::Value,
    /// Hash of the plan that this is the result of.
    pub plan: String,
}

/// A part of the data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// `train` or `val`.
    pub name: String,
    /// Images in all its shards.
    pub images: u64,
    /// Its shards in their order.
    pub shards: Vec<Shard>,
}

/// A tar file of images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its name in the folder.
    pub file: String,
    /// Images in it.
    pub images: u64,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// The SHA-256 of its index.
    pub index_sha256: String,
}

/// Principal components of the RGB values of all training pixels, 0 to 255, the largest first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pca {
    /// `vectors[i]` is the i-th eigenvector of the covariance, of length 1.
    pub vectors: [[f64; 3]; 3],
    /// The square roots of the eigenvalues.
    pub deviations: [f64; 3],
}

/// Everything that shaped the pixels: accuracy moves by points when any of it differs at test time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// How photos became square.
    pub resize: Resize,
    /// The filter.
    pub filter: String,
    /// The decoder and its version.
    pub decoder: String,
    /// Whether photos were turned as their EXIF orientation says.
    pub exif_rotate: bool,
    /// JPEG quality of the shards.
    pub quality: u8,
    /// Chroma subsampling of the shards.
    pub subsampling: String,
    /// Seed of the order.
    pub seed: u64,
    /// Images in a shard, rejected ones counted.
    pub shard_images: usize,
    /// The layout that was recognised.
    pub layout: String,
    /// How the source numbered its classes; here they are always sorted by WNID.
    pub class_order: String,
    /// Where the photos came from.
    pub sources: Vec<Source>,
}

/// An image of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRef {
    /// Number of its shard in the split.
    pub shard: u32,
    /// Where its JPEG starts in the shard.
    pub offset: u64,
    /// Length of the JPEG.
    pub length: u32,
    /// Its class.
    pub class: u32,
    /// Its key in the shard.
    pub key: String,
}

/// A data set that was checked on opening: all files are there with the right lengths, indexes and mean are intact.
#[derive(Debug)]
pub struct Dataset {
    folder: PathBuf,
    manifest: Manifest,
    mean: Vec<f32>,
    images: Vec<Vec<ImageRef>>,
}

impl Manifest {
    /// Reads and checks `dataset.json` of `folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let invalid = |info: String| {
            Error::new(MANIFEST_INVALID, format!("{} is not valid", path.display()))
                .info(info)
                .hint("write it again with the `ilsvrc prep` command of this data set and --force")
        };
        let text = fs::read_to_string(&path).map_err(|error| {
            Error::new(MANIFEST_INVALID, format!("{} is not a prepared data set", folder.display()))
                .info(format!("cannot read {}: {error}", path.display()))
                .hint(format!("prepare one: ilsvrc prep SOURCE --out {}", folder.display()))
        })?;
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_str(&text).map_err(|e| invalid(e.to_string()))?;
        if version != VERSION {
            return Err(Error::new(
                MANIFEST_VERSION,
                format!("{} has version {version}; this program reads version {VERSION}", path.display()),
            )
            .hint("write the data set again with this program: ilsvrc prep SOURCE --out DIR --force"));
        }
        let manifest: Self = serde_json::from_str(&text).map_err(|e| invalid(e.to_string()))?;
        let blank = text.replacen(&manifest.checksum, NO_CHECKSUM, 1);
        if index::sha256(blank.as_bytes()) != manifest.checksum {
            return Err(invalid("its checksum does not match: it was edited or damaged".to_owned()));
        }
        manifest.check_fields().map_err(invalid)?;
        Ok(manifest)
    }

    /// Refuses what would lead out of the folder or ask for absurd memory.
    fn check_fields(&self) -> std::result::Result<(), String> {
        if !(1..=MAX_SIZE).contains(&self.size) {
            return Err(format!("images of {} pixels; 1 to {MAX_SIZE} are possible", self.size));
        }
        if self.counts().try_fold(0u64, u64::checked_add).is_none() {
            return Err("counts of images and bytes whose sum is beyond 2^64".to_owned());
        }
        let mut files = self.splits.iter().flat_map(|split| &split.shards).map(|shard| &shard.file);
        match files.find(|file| file.contains(['/', '\\']) || !file.ends_with(".tar")) {
            Some(file) => Err(format!("{file:?} is no name of a shard")),
            None => Ok(()),
        }
    }

    /// Everything that is added up somewhere.
    fn counts(&self) -> impl Iterator<Item = u64> {
        let of_splits = self.splits.iter().flat_map(|split| {
            let of_shards = split.shards.iter().flat_map(|shard| [shard.images, shard.bytes]);
            of_shards.chain([split.images])
        });
        of_splits.chain(self.ignored.values().copied()).chain([self.rejected])
    }

    /// The text of the file, with its checksum.
    pub(crate) fn to_text(&self) -> Result<String> {
        let blank = Self { checksum: NO_CHECKSUM.to_owned(), ..self.clone() };
        let mut text = serde_json::to_string_pretty(&blank).map_err(|e| {
            Error::new(ilsvrc_diagnostics::INTERNAL, "cannot write the manifest").info(e.to_string())
        })?;
        text.push('\n');
        let checksum = index::sha256(text.as_bytes());
        Ok(text.replacen(NO_CHECKSUM, &checksum, 1))
    }
}

impl Dataset {
    /// Opens the data set in `folder`.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let manifest = Manifest::read(folder)?;
        let mean = read_mean(folder, &manifest)?;
        let images = manifest.splits.iter().map(|split| read_split(folder, split, manifest.classes.len()));
        let images = images.collect::<Result<_>>()?;
        Ok(Self { folder: folder.to_owned(), manifest, mean, images })
    }

    /// What `dataset.json` says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The mean image, size x size x 3.
    pub fn mean(&self) -> Vec<f32> {
        self.mean.clone()
    }

    /// The images of `split`, at least one.
    pub fn images(&self, split: &str) -> Result<&[ImageRef]> {
        let found =
            self.manifest.splits.iter().position(|s| s.name == split).map(|i| self.images[i].as_slice());
        found.filter(|images| !images.is_empty()).ok_or_else(|| {
            let names: Vec<&str> = self.manifest.splits.iter().map(|split| split.name.as_str()).collect();
            Error::new(SPLIT_EMPTY, format!("{} has no images in the split {split:?}", self.folder.display()))
                .info(format!("its splits: {}", names.join(", ")))
        })
    }

    /// The paths of the shards of `split`.
    pub(crate) fn shard_paths(&self, split: &str) -> Vec<PathBuf> {
        let split = self.manifest.splits.iter().find(|s| s.name == split);
        split.map_or(vec![], |s| s.shards.iter().map(|shard| self.folder.join(&shard.file)).collect())
    }
}

fn read_mean(folder: &Path, manifest: &Manifest) -> Result<Vec<f32>> {
    let path = folder.join(MEAN);
    let bytes = fs::read(&path);
    let intact = bytes.as_ref().ok().filter(|bytes| index::sha256(bytes) == manifest.mean_sha256);
    let side = manifest.size;
    intact.and_then(|bytes| npy::read(bytes, &[side, side, 3])).ok_or_else(|| {
        let info =
            bytes.err().map_or("its SHA-256 is not the one in dataset.json".to_owned(), |e| e.to_string());
        Error::new(MANIFEST_INVALID, format!("{} is damaged or missing", path.display()))
            .info(info)
            .hint(index::check_hint(folder))
    })
}

fn read_split(folder: &Path, split: &Split, classes: usize) -> Result<Vec<ImageRef>> {
    let mut images = Vec::new();
    for (number, shard) in split.shards.iter().enumerate() {
        let rows = ShardIndex::read(folder, &shard.file, &shard.index_sha256)?.images;
        check_length(folder, shard, &rows)?;
        for index::Row { key, offset, length, class, .. } in rows {
            let inside = offset.checked_add(length).is_some_and(|end| end <= shard.bytes);
            let length = u32::try_from(length).ok().filter(|_| inside && (class as usize) < classes);
            let length = length.ok_or_else(|| {
                Error::new(SHARD_CORRUPT, format!("the index of {} does not fit: {key}", shard.file))
                    .hint(index::check_hint(folder))
            })?;
            images.push(ImageRef { shard: number as u32, offset, length, class, key });
        }
    }
    if images.len() as u64 != split.images {
        return Err(Error::new(
            SHARD_CORRUPT,
            format!(
                "the split {} has {} images; its manifest says {}",
                split.name,
                images.len(),
                split.images
            ),
        )
        .hint(index::check_hint(folder)));
    }
    Ok(images)
}

/// Names the first image that is missing when the shard is too short.
fn check_length(folder: &Path, shard: &Shard, rows: &[index::Row]) -> Result<()> {
    let path = folder.join(&shard.file);
    let found = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) => {
            return Err(Error::new(SHARD_CORRUPT, format!("the shard {} cannot be read", path.display()))
                .info(error.to_string())
                .hint(index::check_hint(folder)));
        }
    };
    if found < shard.bytes {
        let lost = rows.iter().find(|row| row.offset.saturating_add(row.length) > found);
        let member = lost.map_or("its end mark".to_owned(), |row| format!("{}.jpg", row.key));
        return Err(Error::new(SHARD_SHORT, format!("{} ends before {member}", path.display()))
            .info(format!("it has {found} of {} bytes", shard.bytes))
            .hint(index::check_hint(folder)));
    }
    if found > shard.bytes {
        return Err(Error::new(SHARD_CORRUPT, format!("{} is longer than it was written", path.display()))
            .info(format!("it has {found} bytes instead of {}", shard.bytes))
            .hint(index::check_hint(folder)));
    }
    Ok(())
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CheckProgress {
    /// Bytes hashed.
    pub done: u64,
    /// Bytes in all shards.
    pub total: u64,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Shards.
    pub shards: u64,
    /// Images in them.
    pub images: u64,
    /// Bytes of all shards.
    pub bytes: u64,
    /// Files that are not as they were written.
    pub damaged: Vec<Damaged>,
}

/// A file that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damaged {
    /// Its name in the data set's folder.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

impl CheckReport {
    /// The error for a data set in `folder` that is not whole.
    pub fn error(&self, folder: &Path) -> Option<Error> {
        let (shards, damaged) = (self.shards, &self.damaged);
        let named = damaged.iter().take(8).map(|damaged| format!("{}: {}", damaged.file, damaged.reason));
        let more =
            if damaged.len() > 8 { format!("; and {} more", damaged.len() - 8) } else { String::new() };
        (!damaged.is_empty()).then(|| {
            Error::new(
                SHARD_CORRUPT,
                format!("{} files of {} ({shards} shards) are damaged", damaged.len(), folder.display()),
            )
            .info(format!("{}{more}", named.collect::<Vec<_>>().join("; ")))
            .hint(format!("ilsvrc prep --check {} --repair", folder.display()))
        })
    }
}

impl Dataset {
    /// Reads every byte of the data set in `folder` and compares it with the manifest.
    pub fn check(
        folder: &Path,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(CheckProgress),
    ) -> Result<CheckReport> {
        let manifest = Manifest::read(folder)?;
        let shards: Vec<&Shard> = manifest.splits.iter().flat_map(|split| &split.shards).collect();
        let total = shards.iter().fold(0u64, |sum, shard| sum.saturating_add(shard.bytes));
        let (mut done, mut damaged) = (0, Vec::new());
        let mut compare = |file: &str, expected: &str, counts: bool| -> Result<()> {
            let hash = File::open(folder.join(file)).and_then(|mut input| {
                index::sha256_of(&mut input, |n| {
                    done += if counts { n as u64 } else { 0 };
                    progress(CheckProgress { done, total });
                    match cancel.load(Ordering::Relaxed) {
                        true => Err(std::io::ErrorKind::Interrupted.into()),
                        false => Ok(()),
                    }
                })
            });
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::new(INTERRUPTED, "the check was stopped"));
            }
            let reason = match hash {
                Ok(hash) if hash == expected => return Ok(()),
                Ok(_) => "its bytes changed".to_owned(),
                Err(error) => error.to_string(),
            };
            damaged.push(Damaged { file: file.to_owned(), reason });
            Ok(())
        };
        for shard in &shards {
            compare(&shard.file, &shard.sha256, true)?;
            compare(&index::file_name(&shard.file), &shard.index_sha256, false)?;
        }
        compare(MEAN, &manifest.mean_sha256, false)?;
        compare(REJECTED, &manifest.rejected_sha256, false)?;
        let images = manifest.splits.iter().map(|split| split.images).sum();
        Ok(CheckReport { shards: shards.len() as u64, images, bytes: total, damaged })
    }
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
