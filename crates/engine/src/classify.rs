//! Classification of photos as they come: JPEG files of any size, prepared as the model's training images were.

use crate::{Session, Views};
use ilsvrc_diagnostics::{Error, MODEL_CORRUPT, Result};
use ilsvrc_images::{Decoder, Resize, resize_crop};
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
}

impl Session {
    /// Probabilities of `files` (JPEG), `files x classes`.
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
        let Preprocessing { resize } = serde_json::from_str(record).map_err(|_| unprepared())?;
        let side = self.net().image;
        let views = request.views.of(self.net());
        let mut decoder = Decoder::new();
        let mut probabilities = Vec::new();
        // One at a time: a photo's ten views fill a pass, and photos in memory may be large.
        for file in files {
            let photo = resize_crop(&decoder.decode(file)?.image, side, resize);
            probabilities.extend(self.average(&photo.pixels, side, &views, &mean)?);
        }
        Ok(probabilities)
    }
}
