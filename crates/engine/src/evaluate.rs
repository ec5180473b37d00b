//! Evaluation: the probabilities of every image of a split, averaged over its views.

use crate::train::count;
use crate::walk::{Progress, WalkRequest, mean_over_views};
use crate::{Session, Views};
use ilsvrc_diagnostics::Result;
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
        let mut probabilities = Vec::with_capacity(total * classes);
        let mut labels = Vec::with_capacity(total);
        let EvaluateRequest { dataset, split, views } = request.clone();
        self.walk(&WalkRequest { dataset, split, views, layer: None }, cancel, &mut |rows, progress| {
            mean_over_views(rows.probabilities, rows.views, classes, &mut probabilities);
            labels.extend_from_slice(rows.labels);
            emit(progress);
            Ok(())
        })?;
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
