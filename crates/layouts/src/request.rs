//! How photos are to be prepared, as the user asks.

use std::path::{Path, PathBuf};

use ilsvrc_diagnostics::{Error, Result, SOURCE_CHANGED};
use ilsvrc_images::{Manifest, Part, Resize, Settings};
use serde::{Deserialize, Serialize};

/// A request to prepare photos. Kept with the data set but for the fields that only concern one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Folders and archives; several become one data set.
    pub sources: Vec<PathBuf>,
    /// The folder to write. Not kept.
    #[serde(default, skip_serializing)]
    pub out: PathBuf,
    /// The data set's name.
    pub name: String,
    /// Side of the square images, px.
    pub size: usize,
    /// Cut the middle out, or squeeze the whole image into the square.
    pub resize: Resize,
    /// Of the JPEG files written, 1 to 100.
    pub quality: u8,
    /// Turn photos as their EXIF orientation says.
    #[serde(default)]
    pub exif_rotate: bool,
    /// Threads; the result does not depend on it. Not kept.
    #[serde(default, skip_serializing)]
    pub workers: usize,
    /// Shuffles, and chooses images for validation where the layout does not.
    pub seed: u64,
    /// Images that a shard holds.
    pub shard_images: usize,
    /// Share of the images that may be unusable, 0 to 1.
    pub max_rejected: f64,
    /// Replace an output folder that was prepared with other settings. Not kept.
    #[serde(default, skip_serializing)]
    pub force: bool,
    /// Only these of the shards. Not kept.
    #[serde(default, skip_serializing)]
    pub part: Option<Part>,
    /// The layout, one of [`layout_names`](crate::layout_names), instead of the one that is recognised.
    #[serde(default)]
    pub layout: Option<String>,
    /// A file with names of classes.
    #[serde(default)]
    pub names: Option<PathBuf>,
    /// The recipe that the plan must agree with.
    #[serde(default)]
    pub recipe: Option<String>,
}

impl Request {
    /// Shards of another program in `folder`, to be used where they lie.
    pub fn of_shards(folder: &Path, workers: usize) -> Self {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            sources: vec![folder.to_owned()],
            out: folder.to_owned(),
            name,
            // The images' own, once one was seen.
            size: 1,
            resize: Resize::Crop,
            quality: 100,
            exif_rotate: false,
            workers,
            seed: 0,
            shard_images: 1,
            max_rejected: 0.0,
            force: false,
            part: None,
            layout: Some("webdataset".to_owned()),
            names: None,
            recipe: None,
        }
    }

    /// What the data set of `manifest` in `out` was asked for with, to be planned again.
    ///
    /// # Errors
    /// `SOURCE_CHANGED` where it was made of shards of another program, which have no source.
    pub fn recorded(manifest: &Manifest, out: &Path, workers: usize) -> Result<Self> {
        let request: Self = serde_json::from_value(manifest.request.clone()).map_err(|error| {
            Error::new(SOURCE_CHANGED, format!("{} does not say what it was made of", out.display()))
                .info(format!(
                    "shards of another program are used where they lie, without a source ({error})"
                ))
                .hint("copy the damaged shards again from where they came")
        })?;
        Ok(Self { out: out.to_owned(), workers, ..request })
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            size: self.size,
            resize: self.resize,
            exif_rotate: self.exif_rotate,
            quality: self.quality,
            seed: self.seed,
            shard_images: self.shard_images,
        }
    }
}
