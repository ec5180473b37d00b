//! Evaluation: the probabilities of every image of a split, averaged over its views.

use crate::train::count;
use crate::{Session, Views};
use ilsvrc_diagnostics::{Error, INTERRUPTED, Result};
use ilsvrc_images::{LoadMode, Loader, LoaderOptions, Shuffle};
use ilsvrc_network::{Input, Mode, Pass, View, cross_entropy};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What to evaluate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateRequest {
    /// Folder of the prepared data set.
    pub dataset: PathBuf,
    /// Name of the split, as `val`.
    pub split: String,
    /// Views averaged for an image.
    pub views: Views,
}

/// How far an evaluation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Images done.
    pub done: usize,
    /// Images in all.
    pub total: usize,
}

/// Probabilities of a split. The arrays travel beside the JSON.
#[derive(Clone, Debug, Serialize)]
pub struct EvaluateReport {
    /// Images seen.
    pub images: usize,
    /// Number of classes.
    pub classes: usize,
    /// `images x classes`, the mean over the views, in the split's order.
    #[serde(skip)]
    pub probabilities: Vec<f32>,
    /// True classes.
    #[serde(skip)]
    pub labels: Vec<u32>,
    /// Mean cross-entropy of the averaged probabilities, in nats; infinite for a net that diverged.
    pub loss: f64,
    /// Wall time.
    pub seconds: f64,
}

impl Session {
    /// Evaluates a split with the model's mean image (the data set's where no model was loaded or trained).
    ///
    /// # Errors
    /// `INTERRUPTED` when `cancel` is set; those of the data set.
    pub fn evaluate(
        &mut self,
        request: &EvaluateRequest,
        cancel: &AtomicBool,
        emit: &mut dyn FnMut(Progress),
    ) -> Result<EvaluateReport> {
        let begin = Instant::now();
        let dataset = self.dataset(&request.dataset)?;
        let total = count(&dataset, &request.split)?;
        let mean = self.mean.clone().unwrap_or_else(|| Arc::new(dataset.mean()));
        let plan = self.executor.plan();
        let (net, classes) = (plan.net.clone(), plan.classes);
        let views = request.views.of(&net);
        let options = LoaderOptions {
            split: request.split.clone(),
            // As many images as fill a pass with their views.
            batch: (plan.batch / views.len()).max(1),
            seed: self.seed,
            epoch: 0,
            first_batch: 0,
            shuffle: Shuffle::Full,
            mode: LoadMode::Whole,
            threads: self.threads,
        };
        let mut loader =
            Loader::with_memory(dataset, options, self.executor.host_memory(), self.cache.clone())?;
        let mut probabilities = Vec::with_capacity(total * classes);
        let mut labels = Vec::with_capacity(total);
        while let Some(batch) = loader.next()? {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::new(INTERRUPTED, "the evaluation was stopped"));
            }
            probabilities.extend(self.average(&batch.pixels, batch.side, &views, &mean)?);
            labels.extend_from_slice(&batch.labels);
            loader.recycle(batch);
            emit(Progress { done: labels.len(), total });
        }
        Ok(EvaluateReport {
            images: labels.len(),
            classes,
            loss: cross_entropy(&probabilities, &labels),
            probabilities,
            labels,
            seconds: begin.elapsed().as_secs_f64(),
        })
    }

    /// Probabilities of whole images (`n x side x side x 3`), the mean over `views` in their order.
    pub(crate) fn average(
        &mut self,
        pixels: &[u8],
        side: usize,
        views: &[View],
        mean: &[f32],
    ) -> Result<Vec<f32>> {
        let image = side * side * 3;
        let (batch, classes) = (self.executor.plan().batch, self.executor.plan().classes);
        let images = pixels.len() / image;
        let mut sums = vec![0.0f64; images * classes];
        let pairs: Vec<(usize, View)> =
            (0..images).flat_map(|index| views.iter().map(move |&view| (index, view))).collect();
        // An image for each of its views; with one view the images serve as they are.
        let mut chosen = Vec::new();
        for chunk in pairs.chunks(batch) {
            let pixels = if views.len() == 1 {
                &pixels[chunk[0].0 * image..][..chunk.len() * image]
            } else {
                chosen.clear();
                for &(index, _) in chunk {
                    chosen.extend_from_slice(&pixels[index * image..][..image]);
                }
                &chosen
            };
            let chunk_views: Vec<View> = chunk.iter().map(|&(_, view)| view).collect();
            let input = Input { pixels, side, views: &chunk_views, mean, mean_side: side, labels: &[] };
            self.executor.forward(&input, &Pass { batch: chunk.len(), mode: Mode::Test })?;
            let rows = self.executor.probabilities()?;
            for (&(index, _), row) in chunk.iter().zip(rows.chunks_exact(classes)) {
                for (sum, &probability) in sums[index * classes..].iter_mut().zip(row) {
                    *sum += f64::from(probability);
                }
            }
        }
        Ok(sums.into_iter().map(|sum| (sum / views.len() as f64) as f32).collect())
    }
}
