//! Classification and features of photos as they come: files of any size and common format, prepared by what prepared the
//! training images.

use crate::walk::{Outputs, mean_over_views};
use crate::{Session, Views};
use ilsvrc_diagnostics::{Error, MODEL_CORRUPT, Result};
use ilsvrc_images::{Fit, Mapping, Resize, Squarer};
use ilsvrc_network::View;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How photos are classified.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifyRequest {
    /// Views averaged for a photo.
    pub views: Views,
}

/// Which features of photos are wanted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedRequest {
    /// Views of a photo.
    pub views: Views,
    /// The layer whose output is wanted; see [`ilsvrc_network::Output`].
    pub layer: String,
}

/// Features of photos. The array travels beside the JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Embedded {
    /// Values a photo and view.
    pub elements: usize,
    /// `photos x views x elements`.
    #[serde(skip)]
    pub features: Vec<f32>,
    /// One a photo.
    pub photos: Vec<Placed>,
}

/// A photo, and where it is in its square: `(place in the photo - offset) * scale`, for x and y.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Placed {
    /// Columns of the photo, after it was turned.
    pub width: usize,
    /// Rows of the photo, after it was turned.
    pub height: usize,
    /// The place in the photo that is the square's top left corner.
    pub offset: [f64; 2],
    /// Pixels of the square for one of the photo.
    pub scale: [f64; 2],
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
        let classes = self.executor.plan().classes;
        let views = request.views.of(self.net());
        let mut probabilities = Vec::with_capacity(files.len() * classes);
        self.see_photos(files, &views, None, |outputs, _| {
            mean_over_views(&outputs.probabilities, views.len(), classes, &mut probabilities);
        })?;
        Ok(probabilities)
    }

    /// The output of a layer for `files`, in each view.
    ///
    /// # Errors
    /// Those of [`Session::classify`]; `LAYER_UNKNOWN`.
    pub fn embed(&mut self, files: &[Vec<u8>], request: &EmbedRequest) -> Result<Embedded> {
        let elements = self.elements(Some(&request.layer))?;
        let views = request.views.of(self.net());
        let mut features = Vec::with_capacity(files.len() * views.len() * elements);
        let mut photos = Vec::with_capacity(files.len());
        self.see_photos(files, &views, Some(&request.layer), |outputs, placed| {
            features.extend_from_slice(&outputs.features);
            photos.push(placed);
        })?;
        Ok(Embedded { elements, features, photos })
    }

    /// Squares photos and runs them through the net; `each` gets what came out of one.
    fn see_photos(
        &mut self,
        files: &[Vec<u8>],
        views: &[View],
        layer: Option<&str>,
        mut each: impl FnMut(&Outputs, Placed),
    ) -> Result<()> {
        let (mean, how) = self.preparation()?;
        let mut squarer = Squarer::new();
        let mut outputs = Outputs::default();
        // One at a time: a photo's ten views fill a pass, and photos in memory may be large.
        for file in files {
            let square = squarer.square(file, &how)?;
            self.see(square.pixels, views, &mean, layer, &mut outputs)?;
            let Mapping { offset, scale } = square.mapping;
            each(&outputs, Placed { width: square.width, height: square.height, offset, scale });
        }
        Ok(())
    }

    /// The mean image, and how the model's images were squared.
    ///
    /// # Errors
    /// `MODEL_CORRUPT` where the model does not say, or none was loaded.
    pub(crate) fn preparation(&self) -> Result<(Arc<Vec<f32>>, Fit)> {
        let unprepared = || {
            Error::new(MODEL_CORRUPT, "the model does not say how its images were prepared")
                .hint("use a model file that `ilsvrc train` wrote")
        };
        let mean = self.mean.clone().ok_or_else(unprepared)?;
        let record = self.metadata.get("preprocessing").ok_or_else(unprepared)?;
        let Preprocessing { resize, exif_rotate } = serde_json::from_str(record).map_err(|_| unprepared())?;
        Ok((mean, Fit { size: self.net().image, resize, exif_rotate }))
    }
}
