//! A walk over a split: every image, whole, through the net in each of its views. Evaluation and features are made of it.

use crate::train::count;
use crate::{Session, Views};
use ilsvrc_diagnostics::{Error, INTERRUPTED, LAYER_UNKNOWN, Result};
use ilsvrc_images::{LoadMode, Loader, LoaderOptions, Shuffle};
use ilsvrc_network::{Input, Mode, Pass, View};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which images, how they are seen, and what is wanted of each.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalkRequest {
    /// Folder of the prepared data set. Its classes need not be the model's.
    pub dataset: PathBuf,
    /// Name of the split, as `val`.
    pub split: String,
    /// Views of an image.
    pub views: Views,
    /// The layer whose output is wanted beside the probabilities; see [`ilsvrc_network::Output`].
    #[serde(default)]
    pub layer: Option<String>,
}

/// Some images of a walk, in the split's order.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Number of the first one in the split.
    pub first: usize,
    /// How many.
    pub images: usize,
    /// Views of each.
    pub views: usize,
    /// The class of each in the data set.
    pub labels: &'a [u32],
    /// `images x views x classes`.
    pub probabilities: &'a [f32],
    /// `images x views x elements` of the layer that was asked for; else empty.
    pub features: &'a [f32],
}

/// How far a walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Images done.
    pub done: usize,
    /// Images in all.
    pub total: usize,
}

/// What passes through the net leave of some images; reused from batch to batch.
#[derive(Default)]
pub(crate) struct Outputs {
    /// `images x views x classes`.
    pub(crate) probabilities: Vec<f32>,
    /// `images x views x elements`.
    pub(crate) features: Vec<f32>,
    /// The views of one pass.
    chosen: Vec<View>,
}

impl Session {
    /// Walks over a split with the model's mean image (the data set's where no model was loaded or trained).
    ///
    /// # Errors
    /// `INTERRUPTED` when `cancel` is set; `LAYER_UNKNOWN`; those of the data set and of `each`.
    pub fn walk(
        &mut self,
        request: &WalkRequest,
        cancel: &AtomicBool,
        each: &mut dyn FnMut(&Rows, Progress) -> Result<()>,
    ) -> Result<()> {
        self.walk_part(request, (0, 1), cancel, each)
    }

    /// The part of a walk that is rank `part.0`'s of `part.1`. The progress is that of all, were they as fast.
    pub(crate) fn walk_part(
        &mut self,
        request: &WalkRequest,
        part: (usize, usize),
        cancel: &AtomicBool,
        each: &mut dyn FnMut(&Rows, Progress) -> Result<()>,
    ) -> Result<()> {
        let dataset = self.dataset(&request.dataset)?;
        let total = count(&dataset, &request.split)?;
        let mean = self.mean.clone().unwrap_or_else(|| Arc::new(dataset.mean()));
        let views = request.views.of(self.net());
        let layer = request.layer.as_deref();
        self.elements(layer)?;
        let at_once = (self.executor.plan().batch / views.len()).max(1) * part.1;
        let options = LoaderOptions {
            split: request.split.clone(),
            // As many images as fill a pass of each rank with their views.
            batch: at_once,
            part,
            seed: self.seed,
            epoch: 0,
            first_batch: 0,
            images: None,
            shuffle: Shuffle::Full,
            mode: LoadMode::Whole,
            threads: self.threads,
        };
        let mut loader =
            Loader::with_memory(dataset, options, self.executor.host_memory(), self.cache.clone())?;
        let mut outputs = Outputs::default();
        let mut done = 0;
        while let Some(batch) = loader.next()? {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::new(INTERRUPTED, "stopped on request"));
            }
            let whole = at_once.min(total - done);
            self.see(&batch.pixels, &views, &mean, layer, &mut outputs)?;
            let rows = Rows {
                first: done + ilsvrc_images::part(whole, part).start,
                images: batch.n,
                views: views.len(),
                labels: &batch.labels,
                probabilities: &outputs.probabilities,
                features: &outputs.features,
            };
            done += whole;
            each(&rows, Progress { done, total })?;
            loader.recycle(batch);
        }
        Ok(())
    }

    /// Values an image and view of the layer's output.
    ///
    /// # Errors
    /// `LAYER_UNKNOWN` where the net keeps no output of that layer.
    pub fn elements(&self, layer: Option<&str>) -> Result<usize> {
        let Some(layer) = layer else { return Ok(0) };
        let outputs = || self.executor.plan().towers.iter().flat_map(|tower| &tower.outputs);
        let of_layer = outputs().filter(|output| output.layer == layer);
        match of_layer.map(|output| output.positions * output.maps).sum() {
            0 => {
                let known: Vec<&str> =
                    self.executor.plan().towers[0].outputs.iter().map(|output| &*output.layer).collect();
                Err(Error::new(
                    LAYER_UNKNOWN,
                    format!("{} keeps no output of layer `{layer}`", self.net().name),
                )
                .info(format!("it keeps those of {}", known.join(" and "))))
            }
            elements => Ok(elements),
        }
    }

    /// Runs whole images (`n x image x image x 3`) through the net in all `views`, and keeps what comes out.
    pub(crate) fn see(
        &mut self,
        pixels: &[u8],
        views: &[View],
        mean: &[f32],
        layer: Option<&str>,
        outputs: &mut Outputs,
    ) -> Result<()> {
        let (side, batch) = (self.net().image, self.executor.plan().batch);
        let image = side * side * 3;
        let inputs = pixels.len() / image * views.len();
        let Outputs { probabilities, features, chosen } = outputs;
        probabilities.clear();
        features.clear();
        for begin in (0..inputs).step_by(batch) {
            let end = inputs.min(begin + batch);
            let (first, last) = (begin / views.len(), (end - 1) / views.len());
            chosen.clear();
            chosen.extend((begin..end).map(|input| View {
                image: (input / views.len() - first) as u32,
                ..views[input % views.len()]
            }));
            let pixels = &pixels[first * image..][..(last - first + 1) * image];
            let input = Input { pixels, side, views: chosen, mean, mean_side: side, labels: &[] };
            self.executor.forward(&input, &Pass { batch: end - begin, mode: Mode::Test })?;
            self.executor.append_probabilities(probabilities)?;
            if let Some(layer) = layer {
                features.extend(self.executor.output(layer)?);
            }
        }
        Ok(())
    }
}

/// The mean over each image's views of `images x views x elements` values.
pub(crate) fn mean_over_views(values: &[f32], views: usize, elements: usize, out: &mut Vec<f32>) {
    for image in values.chunks_exact(views * elements) {
        out.extend((0..elements).map(|element| {
            let over_views = image[element..].iter().step_by(elements);
            (over_views.map(|value| f64::from(*value)).sum::<f64>() / views as f64) as f32
        }));
    }
}
