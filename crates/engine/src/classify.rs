//! Classification of photos as they come: files of any size and common format, prepared by what prepared the training
//! images.

use crate::{Session, Views};
use ilsvrc_diagnostics::{Error, MODEL_CORRUPT, Result};
use ilsvrc_images::{Fit, Resize, Squarer};
use serde::Deserialize;

/// How photos are classified.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifyRequest {
    /// Views averaged for a photo.
    pub views: Views,
}

/// The part of a model's `preprocessing` record that matters here.
#[derive(Deserialize)]
struct Preprocessing {
    resize: Resize,
    /// Older records lack it: photos were not turned.
    #[serde(default)]
    exif_rotate: bool,
}

impl Session {
    /// Probabilities of `files` (JPEG, PNG, GIF, BMP or WebP), `files x classes`.
    ///
    /// # Errors
    /// `IMAGE_UNDECODABLE`; `MODEL_CORRUPT` where the model says not how images are prepared, or none was loaded.
    pub fn classify(&mut self, files: &[Vec<u8>], request: &ClassifyRequest) -> Result<Vec<f32>> {
        let unprepared = || {
            Error::new(MODEL_CORRUPT, "the model does not say how its images were prepared")
                .hint("use a model file that `ilsvrc train` wrote")
        };
        let mean = self.mean.clone().ok_or_else(unprepared)?;
        let record = self.metadata.get("preprocessing").ok_or_else(unprepared)?;
        let Preprocessing { resize, exif_rotate } = serde_json::from_str(record).map_err(|_| unprepared())?;
        let side = self.net().image;
        let views = request.views.of(self.net());
        let how = Fit { size: side, resize, exif_rotate };
        let mut squarer = Squarer::new();
        let mut probabilities = Vec::new();
        // One at a time: a photo's ten views fill a pass, and photos in memory may be large.
        for file in files {
            let photo = squarer.square(file, &how)?;
            probabilities.extend(self.average(photo.pixels, side, &views, &mean)?);
        }
        Ok(probabilities)
    }
}
