//! What a head learns from: every view of the images of a split that have boxes, with the layer's output and the box in it.

use super::Rect;
use super::augment::{Window, windows};
use super::fit::{BoxFit, Rows, fit};
use super::head::HeadRecord;
use crate::model_file::CHECKSUM_KEY;
use crate::walk::Outputs;
use crate::{Session, Views, WalkRequest};
use ilsvrc_diagnostics::{BOXES_MISSING, Error, INTERRUPTED, MODEL_CORRUPT, Result, SHARD_CORRUPT};
use ilsvrc_images::{Decoder, ImageRow, available_memory, image_rows};
use ilsvrc_network::View;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// What to learn from, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxRequest {
    /// Folder of the prepared data set. Its classes need not be the model's, unless `per_class`.
    pub dataset: PathBuf,
    /// Name of the split.
    pub split: String,
    /// Views of an image.
    pub views: Views,
    /// A box for each class instead of one for all.
    pub per_class: bool,
    /// Rows (views of images) a step.
    pub batch: usize,
    /// Passes over the rows; as many as make [`STEPS`] steps where absent.
    pub epochs: Option<usize>,
    /// Learning rate of the first step.
    pub rate: f32,
    /// First weights, order, dropout.
    pub seed: u64,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum BoxProgress {
    /// Images that went through the net.
    #[allow(missing_docs)]
    Features { done: usize, total: usize },
    /// Images of which windows went through it, where there are few images.
    #[allow(missing_docs)]
    Windows { done: usize, total: usize },
    /// Epochs made, and the mean loss of the last one: half the squared distance of the edges, in standard deviations.
    #[allow(missing_docs)]
    Epoch { done: usize, total: usize, loss: f64 },
}

/// Steps of training where the epochs are not given.
const STEPS: usize = 2000;
/// The fewest epochs then.
const FEWEST: usize = 4;

impl Session {
    /// Trains a head and keeps it. Where the features of all images with boxes do not fit into half of the memory, it learns
    /// from the first ones of the split, whose order is random; the record says from how many. Of several ranks all make features,
    /// and rank 0 alone keeps them and learns: the others end without a head.
    ///
    /// # Errors
    /// `BOXES_MISSING`; `LAYER_UNKNOWN`; `INTERRUPTED` when `cancel` is set; `DIVERGED`; `RANK_LOST`; those of the data set.
    pub fn fit_boxes(
        &mut self,
        request: &BoxRequest,
        cancel: &AtomicBool,
        emit: &mut dyn FnMut(BoxProgress),
    ) -> Result<Option<&HeadRecord>> {
        let dataset = self.dataset(&request.dataset)?;
        let images = image_rows(&request.dataset, &request.split, None)?;
        let boxed = images.iter().filter(|image| !image.row.boxes.is_empty()).count();
        if boxed == 0 {
            return Err(no_boxes(&request.dataset, &request.split));
        }
        let layer = self.maps_layer()?;
        let elements = self.elements(Some(&layer))?;
        let views = request.views.of(self.net());
        let crop = self.net().crop as f32;
        let ranks = self.ranks.clone();
        let learns = ranks.place().0 == 0;
        let wanted = ranks.of_first(boxed.min(most_images(views.len() * elements)))?;
        let extra = windows(wanted, views.len());
        let (mut features, mut boxes, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        let mut kept = 0;
        if learns {
            features.reserve_exact(wanted * (views.len() + extra) * elements);
        }
        let walk = WalkRequest {
            dataset: request.dataset.clone(),
            split: request.split.clone(),
            views: request.views,
            layer: Some(layer.clone()),
        };
        self.walk(&walk, cancel, &mut |rows, progress| {
            let row = rows.views * elements;
            let known = &images[rows.first..][..rows.images];
            for ((image, features_of), &label) in
                known.iter().zip(rows.features.chunks_exact(row)).zip(rows.labels)
            {
                let Some(main) = largest(&image.row.boxes).filter(|_| kept < wanted) else { continue };
                kept += 1;
                if !learns {
                    continue;
                }
                features.extend_from_slice(features_of);
                boxes.extend(views.iter().map(|view| in_view(main, view, crop)));
                classes.extend(std::iter::repeat_n(label, rows.views));
            }
            emit(BoxProgress::Features { done: progress.done, total: progress.total });
            Ok(())
        })?;
        let known: Vec<&ImageRow> =
            images.iter().filter(|image| !image.row.boxes.is_empty()).take(kept).collect();
        for (first, some) in known.chunks(ranks.place().1).enumerate().filter(|_| extra > 0) {
            if ranks.anyone(cancel)? {
                return Err(Error::new(INTERRUPTED, "stopped; no head was written"));
            }
            let first = first * ranks.place().1;
            let (seen, at) = self.windows_together(some, first, extra, request, &layer)?;
            if learns {
                features.extend(seen);
                boxes.extend(at);
                classes.extend(some.iter().flat_map(|image| std::iter::repeat_n(image.row.class, extra)));
            }
            emit(BoxProgress::Windows { done: first + some.len(), total: kept });
        }
        if !learns {
            return Ok(None);
        }
        let epochs =
            request.epochs.unwrap_or_else(|| STEPS.div_ceil(boxes.len().div_ceil(request.batch)).max(FEWEST));
        let how = BoxFit { batch: request.batch, epochs, rate: request.rate, seed: request.seed };
        let record = HeadRecord {
            windows: extra,
            model: self.checksum()?.to_owned(),
            layer,
            views: views.len(),
            per_class: request.per_class,
            classes: dataset.manifest().classes.iter().map(|class| class.wnid.clone()).collect(),
            data: dataset.manifest().name.clone(),
            images: kept,
            boxed,
            loss: f64::NAN,
            fit: None,
        };
        let rows = Rows { features: &features, elements, boxes: &boxes, classes: &classes };
        let head = fit(&rows, record, &how, self.threads, cancel, &mut |done, loss| {
            emit(BoxProgress::Epoch { done, total: epochs, loss });
        })?;
        Ok(Some(self.head.insert(head).record()))
    }

    /// The features of `count` windows of each of `images`, and the boxes in them; every rank looks at one of the images.
    fn windows_together(
        &mut self,
        images: &[&ImageRow],
        first: usize,
        count: usize,
        request: &BoxRequest,
        layer: &str,
    ) -> Result<(Vec<f32>, Vec<Rect>)> {
        let (ranks, elements) = (self.ranks.clone(), self.elements(Some(layer))?);
        let rank = ranks.place().0;
        let mut values = vec![0.0; images.len() * count * (elements + 4)];
        let (features, boxes) = values.split_at_mut(images.len() * count * elements);
        if let Some(image) = images.get(rank) {
            let (seen, at) = self.through_windows(image, (first + rank) as u32, count, request, layer)?;
            features[rank * count * elements..][..seen.len()].copy_from_slice(&seen);
            boxes[rank * count * 4..][..at.len() * 4].copy_from_slice(at.as_flattened());
        }
        let mut values = ranks.together(values)?;
        let boxes = values.split_off(images.len() * count * elements);
        Ok((values, boxes.as_chunks().0.to_vec()))
    }

    /// The features of `count` windows of one image, and the box in each in shares of the centre crop.
    fn through_windows(
        &mut self,
        image: &ImageRow,
        number: u32,
        count: usize,
        request: &BoxRequest,
        layer: &str,
    ) -> Result<(Vec<f32>, Vec<Rect>)> {
        let (net, mean) = (self.net(), self.preparation()?.0);
        let (side, crop, centre) = (net.image, net.crop as f32, Views::Centre.of(net));
        let jpeg = read_jpeg(&request.dataset, image)?;
        let decoded = Decoder::new().decode(&jpeg)?.image;
        let mut boxes = Vec::with_capacity(count);
        let mut pixels = Vec::with_capacity(count * side * side * 3);
        if let Some(main) = largest(&image.row.boxes) {
            let main = main.map(|edge| edge / side as f32);
            for window in 0..count as u32 {
                let window = Window::draw(request.seed, number, window, &main);
                window.cut(&decoded.pixels, side, &mean, &mut pixels);
                boxes.push(in_view(&window.apply(&main).map(|edge| edge * side as f32), &centre[0], crop));
            }
        }
        let mut outputs = Outputs::default();
        self.see(&pixels, &centre, &mean, Some(layer), &mut outputs)?;
        Ok((outputs.features, boxes))
    }

    /// The layer whose maps say where: the last before the dense layers.
    ///
    /// # Errors
    /// `LAYER_UNKNOWN` in a net of dense layers only.
    pub(crate) fn maps_layer(&self) -> Result<String> {
        let outputs = &self.executor.plan().towers[0].outputs;
        let maps = outputs.iter().find(|output| output.positions > 1);
        let name = maps.map(|output| output.layer.clone());
        name.ok_or_else(|| {
            Error::new(
                ilsvrc_diagnostics::LAYER_UNKNOWN,
                format!("{} has no maps to read boxes from", self.net().name),
            )
        })
    }

    /// The checksum of the model's file, which heads name.
    pub(crate) fn checksum(&self) -> Result<&str> {
        let found = self.metadata.get(CHECKSUM_KEY).map(String::as_str);
        found.ok_or_else(|| Error::new(MODEL_CORRUPT, "no model file is loaded that a head could belong to"))
    }
}

/// The error for a split without boxes.
pub(crate) fn no_boxes(dataset: &Path, split: &str) -> Error {
    Error::new(BOXES_MISSING, format!("no image of {} ({split}) has boxes", dataset.display()))
        .info("boxes come from PASCAL VOC files beside the photos, or from Kaggle's CSV")
        .hint("see docs/localize.md, and prepare the photos with their annotations once more")
}

/// The bytes of an image.
fn read_jpeg(dataset: &Path, image: &ImageRow) -> Result<Vec<u8>> {
    let read = || {
        let mut file = File::open(dataset.join(&image.shard))?;
        file.seek(SeekFrom::Start(image.row.offset))?;
        let mut bytes = Vec::new();
        file.take(image.row.length).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error: std::io::Error| {
        Error::new(SHARD_CORRUPT, format!("{} cannot be read", image.shard)).info(error.to_string())
    })
}

/// Images whose features, `values` f32 each, fill half of the memory that is free; all where nobody knows that.
fn most_images(values: usize) -> usize {
    available_memory().map_or(usize::MAX, |bytes| (bytes as usize / 2 / (values * 4)).max(1))
}

/// An image with several instances has one box to learn from: the largest.
fn largest(boxes: &[Rect]) -> Option<&Rect> {
    let area = |[left, top, right, bottom]: &Rect| (right - left) * (bottom - top);
    boxes.iter().max_by(|a, b| area(a).total_cmp(&area(b)))
}

/// A box of the image in shares of the view's crop; mirrored where the view is.
fn in_view(&[left, top, right, bottom]: &Rect, view: &View, crop: f32) -> Rect {
    let [row, column] = view.crop.map(f32::from);
    let (left, right) = ((left - column) / crop, (right - column) / crop);
    let (top, bottom) = ((top - row) / crop, (bottom - row) / crop);
    if view.mirror { [1.0 - right, top, 1.0 - left, bottom] } else { [left, top, right, bottom] }
}

/// The reverse of [`in_view`].
pub(crate) fn in_image(&[left, top, right, bottom]: &Rect, view: &View, crop: f32) -> Rect {
    let (left, right) = if view.mirror { (1.0 - right, 1.0 - left) } else { (left, right) };
    let [row, column] = view.crop.map(f32::from);
    [left * crop + column, top * crop + row, right * crop + column, bottom * crop + row]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_go_into_views_and_back() {
        let rect = [10.0, 20.0, 50.0, 70.0];
        for mirror in [false, true] {
            let view = View { crop: [8, 4], mean: [8, 4], mirror, ..View::default() };
            let seen = in_view(&rect, &view, 64.0);
            let left = (10.0 - 4.0) / 64.0;
            assert_eq!(seen[if mirror { 2 } else { 0 }], if mirror { 1.0 - left } else { left });
            assert_eq!(seen[1], 12.0 / 64.0);
            let back = in_image(&seen, &view, 64.0);
            assert!(back.iter().zip(rect).all(|(a, b)| (a - b).abs() < 1e-4), "{back:?}");
        }
    }

    #[test]
    fn the_largest_instance_is_learned() {
        let boxes = [[0.0, 0.0, 5.0, 5.0], [10.0, 10.0, 20.0, 19.0], [0.0, 0.0, 8.0, 8.0]];
        assert_eq!(largest(&boxes), Some(&boxes[1]));
        assert_eq!(largest(&[]), None);
    }
}
