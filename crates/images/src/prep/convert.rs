//! One photo: read, squared, encoded. What comes out depends on nothing but the photo and the settings.

use std::sync::Mutex;

use ilsvrc_diagnostics::Result;

use super::lock;
use super::plan::{Item, PrepPlan};
use super::source::Reader;
use super::statistics::{ColourSums, PixelSums};
use crate::jpeg::Encoder;
use crate::photo::{Fit, Squarer};

/// The tools of one thread.
pub(super) struct Converter<'a> {
    fit: Fit,
    reader: Reader<'a>,
    squarer: Squarer,
    encoder: Encoder,
    file: Vec<u8>,
}

/// A photo as it is stored.
pub(super) struct Stored {
    pub(super) jpeg: Vec<u8>,
    pub(super) colours: ColourSums,
    /// In prepared pixels.
    pub(super) boxes: Vec<[f32; 4]>,
    /// Width and height of the photo.
    pub(super) photo: [usize; 2],
    pub(super) warned: bool,
    pub(super) rotation: bool,
}

impl<'a> Converter<'a> {
    pub(super) fn new(plan: &'a PrepPlan) -> Self {
        let settings = &plan.about.settings;
        let fit = Fit { size: settings.size, resize: settings.resize, exif_rotate: settings.exif_rotate };
        Self {
            fit,
            reader: Reader::new(&plan.about.sources),
            squarer: Squarer::new(),
            encoder: Encoder::new(settings.quality),
            file: Vec::new(),
        }
    }

    /// A photo at the size wanted, its JPEG in `jpeg`; or the reason for which it is left out. Its pixels are added to
    /// `sums` where statistics are taken.
    pub(super) fn convert(
        &mut self,
        item: &Item,
        mut jpeg: Vec<u8>,
        sums: Option<&Mutex<PixelSums>>,
    ) -> Result<std::result::Result<Stored, String>> {
        if let Err(reason) = self.reader.read(item, &mut self.file)? {
            return Ok(Err(reason));
        }
        let square = match self.squarer.square(&self.file, &self.fit) {
            Ok(square) => square,
            Err(error) => return Ok(Err(error.message)),
        };
        // A photo of the right size is not compressed a second time.
        if square.as_is {
            jpeg.clear();
            jpeg.extend_from_slice(&self.file);
        } else {
            self.encoder.encode_into(square.pixels, self.fit.size, self.fit.size, &mut jpeg)?;
        }
        let mut colours = ColourSums::default();
        if let Some(sums) = sums {
            // Statistics are of the pixels before they are compressed: decoding them again would take a sixth of the time,
            // and the mean of an image's error is nothing (ARCHITECTURE.md).
            colours.add_pixels(square.pixels);
            lock(sums).add(square.pixels);
        }
        let place = |x: f32, y: f32| square.mapping.apply([x.into(), y.into()]).map(|at| at as f32);
        let edges = |&[left, top, right, bottom]: &[f32; 4]| {
            let ([left, top], [right, bottom]) = (place(left, top), place(right, bottom));
            [left, top, right, bottom]
        };
        let boxes = item.boxes.iter().map(edges).collect();
        Ok(Ok(Stored {
            jpeg,
            colours,
            boxes,
            photo: [square.width, square.height],
            warned: square.warned,
            rotation: square.rotation,
        }))
    }
}
