//! Evaluation: the probabilities of every image of a split, averaged over its views.

use crate::train::count;
use crate::walk::{Progress, WalkRequest, mean_over_views};
use crate::{Session, Views};
use ilsvrc_diagnostics::{Error, INTERRUPTED, Result};
use ilsvrc_network::cross_entropy;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
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
        self.expect_classes(&request.dataset, &dataset)?;
        let (total, classes) = (count(&dataset, &request.split)?, self.executor.plan().classes);
        let labels: Vec<u32> = dataset.images(&request.split)?.iter().map(|image| image.class).collect();
        let EvaluateRequest { dataset, split, views } = request.clone();
        let walk = WalkRequest { dataset, split, views, layer: None };
        // Zeros where other ranks' images are.
        let mut probabilities = vec![0.0; total * classes];
        let mut means = Vec::new();
        let walked = self.walk_part(&walk, cancel, &mut |rows, progress| {
            means.clear();
            mean_over_views(rows.probabilities, rows.views, classes, &mut means);
            probabilities[rows.first * classes..][..means.len()].copy_from_slice(&means);
            emit(progress);
            Ok(())
        });
        // The others wait for this rank's part; a rank that was asked to stop tells them.
        if self.ranks.anyone(cancel)? {
            return Err(Error::new(INTERRUPTED, "stopped on request"));
        }
        walked?;
        let probabilities = self.ranks.together(probabilities)?;
        Ok(EvaluateReport {
            images: labels.len(),
            classes,
            loss: cross_entropy(&probabilities, &labels),
            probabilities,
            labels,
            seconds: begin.elapsed().as_secs_f64(),
        })
    }
}
