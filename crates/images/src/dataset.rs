//! A prepared data set: `dataset.json`, the mean image, shards and their indexes.
//!
//! `dataset.json` is written last, so a folder that has one is complete. It holds the hash of every other file and its own:
//! `checksum` is the SHA-256 of the file with those 64 digits replaced by zeros.

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
    /// Files that could not be decoded, listed in `rejected.jsonl`.
    pub rejected: u64,
    /// Files that decoded with a warning and were kept.
    pub warnings: u64,
    /// Files of the source that are no images.
    pub ignored: u64,
    /// The split that the statistics below are of: the training split.
    pub statistics_of: String,
    /// Mean red, green and blue, 0 to 255.
    pub channel_mean: [f64; 3],
    /// Principal components of the colours.
    pub pca: Pca,
    /// SHA-256 of `mean.npy`: f32, size x size x 3, the mean of the images as decoded from the shards.
    pub mean_sha256: String,
    /// How the images were made.
    pub preprocessing: Preprocessing,
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
    /// JPEG quality of the shards.
    pub quality: u8,
    /// Chroma subsampling of the shards.
    pub subsampling: String,
    /// Seed of the order.
    pub seed: u64,
    /// The layout that was recognised.
    pub layout: String,
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
                .hint("delete the damaged files and give the `ilsvrc prep` command of this data set again: only they are made anew")
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
        let mut files = self.splits.iter().flat_map(|split| &split.shards).map(|shard| &shard.file);
        match files.find(|file| file.contains(['/', '\\']) || !file.ends_with(".tar")) {
            Some(file) => Err(format!("{file:?} is no name of a shard")),
            None => Ok(()),
        }
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
        for index::Row(key, offset, length, class) in rows {
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
        let lost = rows.iter().find(|row| row.1.saturating_add(row.2) > found);
        let member = lost.map_or("its end mark".to_owned(), |row| format!("{}.jpg", row.0));
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

/// What was found intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Shards.
    pub shards: u64,
    /// Images.
    pub images: u64,
    /// Bytes of all shards.
    pub bytes: u64,
}

impl Dataset {
    /// Reads every byte of the data set in `folder` and compares it with the manifest. The error names all shards that
    /// differ.
    pub fn check(
        folder: &Path,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(CheckProgress),
    ) -> Result<CheckReport> {
        let manifest = Manifest::read(folder)?;
        let shards: Vec<&Shard> = manifest.splits.iter().flat_map(|split| &split.shards).collect();
        let total = shards.iter().fold(0u64, |sum, shard| sum.saturating_add(shard.bytes));
        let (mut done, mut damaged) = (0, Vec::new());
        for shard in &shards {
            let hash = File::open(folder.join(&shard.file)).and_then(|mut file| {
                index::sha256_of(&mut file, |n| {
                    done += n as u64;
                    progress(CheckProgress { done, total });
                    if cancel.load(Ordering::Relaxed) {
                        Err(std::io::ErrorKind::Interrupted.into())
                    } else {
                        Ok(())
                    }
                })
            });
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::new(INTERRUPTED, "the check was stopped"));
            }
            match hash {
                Ok(hash) if hash == shard.sha256 => {}
                Ok(_) => damaged.push(format!("{}: its bytes changed", shard.file)),
                Err(error) => damaged.push(format!("{}: {error}", shard.file)),
            }
        }
        if !damaged.is_empty() {
            return Err(Error::new(
                SHARD_CORRUPT,
                format!("{} of {} shards are damaged", damaged.len(), shards.len()),
            )
            .info(damaged.join("; "))
            .hint("delete the damaged files and give the `ilsvrc prep` command of this data set again: only they are made anew"));
        }
        let images = Self::open(folder)?.manifest.splits.iter().map(|split| split.images).sum();
        Ok(CheckReport { shards: shards.len() as u64, images, bytes: total })
    }
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
