//! Checks of a batch, made once so that no backend has to.

use crate::{Input, Pass, Plan};
use ilsvrc_diagnostics::{Error, IMAGE_SIZE, INTERNAL, Result};

impl Input<'_> {
    /// Whether the batch fits the plan and every crop lies inside its image and the mean.
    ///
    /// # Errors
    /// `IMAGE_SIZE` where a crop does not lie inside the images; `INTERNAL` where lengths contradict each other.
    pub(crate) fn check(&self, plan: &Plan, pass: &Pass) -> Result<()> {
        let wrong = |what: &str, seen: usize, expected: usize| {
            Err(Error::new(INTERNAL, format!("a batch of {} with {seen} {what}, not {expected}", pass.batch)))
        };
        if pass.batch == 0 || pass.batch > plan.batch {
            return wrong("images", pass.batch, plan.batch);
        }
        if self.views.len() != pass.batch {
            return wrong("views", self.views.len(), pass.batch);
        }
        if !self.labels.is_empty() && self.labels.len() != pass.batch {
            return wrong("labels", self.labels.len(), pass.batch);
        }
        let image = self.side * self.side * 3;
        let images = self.pixels.len().checked_div(image).unwrap_or(0);
        if images == 0 || images > pass.batch || images * image != self.pixels.len() {
            return wrong("bytes of pixels", self.pixels.len(), pass.batch * image);
        }
        if let Some(view) = self.views.iter().find(|view| view.image as usize >= images) {
            return Err(Error::new(INTERNAL, format!("a view of image {} of {images}", view.image)));
        }
        let expected = self.mean_side * self.mean_side * 3;
        if self.mean.len() != expected {
            return wrong("values of the mean image", self.mean.len(), expected);
        }
        if let Some(label) = self.labels.iter().find(|label| **label as usize >= plan.classes) {
            return Err(Error::new(INTERNAL, format!("label {label} with {} classes", plan.classes)));
        }
        let inside = |corner: [u16; 2], side: usize| {
            corner.iter().all(|&offset| usize::from(offset) + plan.net.crop <= side)
        };
        if self.views.iter().any(|view| !inside(view.crop, self.side) || !inside(view.mean, self.mean_side)) {
            let (crop, side, mean) = (plan.net.crop, self.side, self.mean_side);
            return Err(Error::new(
                IMAGE_SIZE,
                format!("a crop of {crop} does not lie inside images of {side} and a mean image of {mean}"),
            )
            .hint(format!("prepare the data set with --size {}", plan.net.image)));
        }
        Ok(())
    }
}
