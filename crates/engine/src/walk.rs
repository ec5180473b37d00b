//! A walk over a split: every image, whole, through the net in each of its views. Evaluation and features are made of it.

use crate::train::count;
use crate::{Session, Views};
use ilsvrc_diagnostics::{Error, INTERRUPTED, LAYER_UNKNOWN, Result};
use ilsvrc_images::{LoadMode, Loader, LoaderOptions, Shuffle};
use ilsvrc_network::{Input, View};
use serde::{Deserialize, Serialize};
use std::ops::Range;
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
    /// The views of the passes that are made at the same time.
    chosen: Vec<View>,
}

impl Session {
    /// Walks over a split with the model's mean image (the data set's where no model was loaded or trained). Of several ranks each
    /// makes some of the passes, and on all of them `each` hears of all passes: in a session for inference the same calls with
    /// the same numbers as in one process with one replica (for training a pass has a replica's part of the batch).
    ///
    /// # Errors
    /// `INTERRUPTED` when `cancel` is set, on any rank; `LAYER_UNKNOWN`; `RANK_LOST`; those of the data set and of `each`.
    pub fn walk(
        &mut self,
        request: &WalkRequest,
        cancel: &AtomicBool,
        each: &mut dyn FnMut(&Rows, Progress) -> Result<()>,
    ) -> Result<()> {
        let ranks = self.ranks.clone();
        if ranks.place().1 == 1 && self.executor.replicas() == 1 {
            return self.walk_part(request, cancel, each);
        }
        let dataset = self.dataset(&request.dataset)?;
        let labels: Vec<u32> = dataset.images(&request.split)?.iter().map(|image| image.class).collect();
        let views = request.views.of(self.net()).len();
        let pass = self.pass(views);
        // Of an image in all its views.
        let elements = views * self.elements(request.layer.as_deref())?;
        let classes = views * self.executor.plan().classes;
        let (mut seen, go_on) = (0, AtomicBool::new(false));
        self.walk_part(request, &go_on, &mut |rows, progress| {
            // All stop after the same images.
            if ranks.anyone(cancel)? {
                return Err(Error::new(INTERRUPTED, "stopped on request"));
            }
            let (images, own) = (progress.done - seen, rows.first - seen);
            let mut values = vec![0.0; images * (classes + elements)];
            let (probabilities, features) = values.split_at_mut(images * classes);
            probabilities[own * classes..][..rows.probabilities.len()].copy_from_slice(rows.probabilities);
            features[own * elements..][..rows.features.len()].copy_from_slice(rows.features);
            let values = ranks.together(values)?;
            let (probabilities, features) = values.split_at(images * classes);
            for first in (0..images).step_by(pass) {
                let some = first..images.min(first + pass);
                let rows = Rows {
                    first: seen + first,
                    images: some.len(),
                    views,
                    labels: &labels[seen + some.start..seen + some.end],
                    probabilities: &probabilities[some.start * classes..some.end * classes],
                    features: &features[some.start * elements..some.end * elements],
                };
                each(&rows, Progress { done: seen + some.end, ..progress })?;
            }
            seen = progress.done;
            Ok(())
        })
    }

    /// Images that go through one replica at once in all their views; of more views than a pass has, some passes each.
    fn pass(&self, views: usize) -> usize {
        (self.executor.plan().batch / views).max(1)
    }

    /// Images that go through all replicas of this process at once.
    pub(crate) fn at_once(&self, views: usize) -> usize {
        self.pass(views) * self.executor.replicas()
    }

    /// The part of a walk that is this rank's. The progress is that of all, were they as fast.
    pub(crate) fn walk_part(
        &mut self,
        request: &WalkRequest,
        cancel: &AtomicBool,
        each: &mut dyn FnMut(&Rows, Progress) -> Result<()>,
    ) -> Result<()> {
        let part = self.ranks.place();
        let dataset = self.dataset(&request.dataset)?;
        let total = count(&dataset, &request.split)?;
        let mean = self.mean.clone().unwrap_or_else(|| Arc::new(dataset.mean()));
        let views = request.views.of(self.net());
        let layer = request.layer.as_deref();
        self.elements(layer)?;
        let at_once = self.at_once(views.len()) * part.1;
        let options = LoaderOptions {
            split: request.split.clone(),
            // As many images as fill a pass of each replica with their views.
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
                first: done + ilsvrc_images::pass(whole, at_once, part).start,
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
        let side = self.net().image;
        let image = side * side * 3;
        let Outputs { probabilities, features, chosen } = outputs;
        probabilities.clear();
        features.clear();
        for passes in self.passes(pixels.len() / image, views.len()).chunks(self.executor.replicas()) {
            let images = |pass: &Range<usize>| pass.start / views.len()..(pass.end - 1) / views.len() + 1;
            chosen.clear();
            chosen.extend(passes.iter().flat_map(|pass| {
                let first = images(pass).start;
                pass.clone().map(move |input| View {
                    image: (input / views.len() - first) as u32,
                    ..views[input % views.len()]
                })
            }));
            let mut rest = &chosen[..];
            let mut batches = Vec::with_capacity(passes.len());
            for pass in passes {
                let (views, others) = rest.split_at(pass.len());
                rest = others;
                let images = images(pass);
                let pixels = &pixels[images.start * image..images.end * image];
                batches.push(Input { pixels, side, views, mean, mean_side: side, labels: &[] });
            }
            self.executor.forward_each(&batches)?;
            self.executor.append_probabilities(probabilities)?;
            if let Some(layer) = layer {
                features.extend(self.executor.output(layer)?);
            }
        }
        Ok(())
    }

    /// The inputs, images times views, of each pass over so many images: with any number of replicas the same.
    fn passes(&self, images: usize, views: usize) -> Vec<Range<usize>> {
        let (inputs, most) = (images * views, self.executor.plan().batch);
        let cut = |whole: Range<usize>, size: usize| {
            let end = whole.end;
            whole.step_by(size).map(move |begin| begin..end.min(begin + size))
        };
        cut(0..inputs, self.pass(views) * views).flat_map(|some| cut(some, most)).collect()
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
