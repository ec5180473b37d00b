//! A trained head and its file: safetensors as models are (`model_file.rs`), with a record of what it belongs to.

use super::Rect;
use super::fit::BoxFit;
use super::regressor::Regressor;
use crate::model_file::{self, ModelFile, Tensor};
use ilsvrc_cpu::CpuBackend;
use ilsvrc_diagnostics::{Error, HEAD_DAMAGED, HEAD_FOREIGN, INTERNAL, Result};
use ilsvrc_network::Parameter;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Share of the hidden units that a training step leaves out.
pub(crate) const DROPOUT: f32 = 0.5;

/// Rows of a pass when boxes are predicted.
const BATCH: usize = 128;

const RECORD: &str = "head";
const SCALING: &str = "scaling";

/// What a head belongs to and how it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadRecord {
    /// Checksum of the model whose features it reads.
    pub model: String,
    /// The layer that makes them.
    pub layer: String,
    /// Views of an image that it learned from.
    pub views: usize,
    /// Windows of other sizes beside them, where there are few images.
    pub windows: usize,
    /// A box for each class instead of one for all.
    pub per_class: bool,
    /// WNIDs of the data set that it learned from.
    pub classes: Vec<String>,
    /// The data set.
    pub data: String,
    /// Images that it learned from.
    pub images: usize,
    /// Images that have boxes; more than it learned from where their features did not fit into memory.
    pub boxed: usize,
    /// Half the squared distance of the edges in standard deviations, dropout on: the mean of the last epoch.
    pub loss: f64,
    /// How it was trained.
    pub fit: Option<BoxFit>,
}

impl HeadRecord {
    /// Units of each layer for `elements` features: 4/9 and 1/9 of them are hidden, which makes the 4096 and 1024 of the
    /// paper-sized net (9216), then the four edges, once or for each class.
    pub(crate) fn widths(&self, elements: usize) -> [usize; 4] {
        let boxes = if self.per_class { self.classes.len() } else { 1 };
        [elements, (4 * elements).div_ceil(9), elements.div_ceil(9), 4 * boxes]
    }
}

/// From features and boxes to numbers of order one, which a net learns faster from, and back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scaling {
    /// Multiplies features: one over their root mean square.
    pub(crate) features: f32,
    /// Mean of left, top, right, bottom as shares of the crop.
    mean: Rect,
    /// Their standard deviation.
    deviation: Rect,
}

impl Scaling {
    /// That of the rows that are learned from.
    pub(crate) fn of(features: &[f32], boxes: &[Rect]) -> Self {
        let squares: f64 = features.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let rms = (squares / features.len() as f64).sqrt().max(1e-12);
        let moment = |of: &dyn Fn(&Rect) -> f64| boxes.iter().map(of).sum::<f64>() / boxes.len() as f64;
        let mean = [0, 1, 2, 3].map(|edge| moment(&|row| f64::from(row[edge])));
        // Where all edges are equal there is nothing to scale.
        let deviation = [0, 1, 2, 3]
            .map(|edge| moment(&|row| (f64::from(row[edge]) - mean[edge]).powi(2)).sqrt().max(1e-3));
        Self {
            features: (1.0 / rms) as f32,
            mean: mean.map(|x| x as f32),
            deviation: deviation.map(|x| x as f32),
        }
    }

    pub(crate) fn to_units(&self, row: Rect) -> Rect {
        [0, 1, 2, 3].map(|edge| (row[edge] - self.mean[edge]) / self.deviation[edge])
    }

    fn to_shares(&self, row: &mut Rect) {
        for (edge, value) in row.iter_mut().enumerate() {
            *value = *value * self.deviation[edge] + self.mean[edge];
        }
    }
}

/// A head at work.
pub struct Head {
    record: HeadRecord,
    scaling: Scaling,
    elements: usize,
    regressor: Regressor<CpuBackend>,
}

impl Head {
    pub(crate) fn new(
        record: HeadRecord,
        scaling: Scaling,
        elements: usize,
        regressor: Regressor<CpuBackend>,
    ) -> Self {
        Self { record, scaling, elements, regressor }
    }

    /// What it belongs to and how it was made.
    pub fn record(&self) -> &HeadRecord {
        &self.record
    }

    /// Boxes for rows of features, `rows x boxes`, as shares of the crop; a box reaches outside where the net guesses so.
    ///
    /// # Errors
    /// `INTERNAL` where features have another size; those of the CPU backend.
    pub fn boxes(&mut self, features: &[f32]) -> Result<Vec<Rect>> {
        if !features.len().is_multiple_of(self.elements) {
            return Err(Error::new(
                INTERNAL,
                format!("{} features, not {} a row", features.len(), self.elements),
            ));
        }
        let scaled: Vec<f32> = features.iter().map(|x| x * self.scaling.features).collect();
        let outputs = self.regressor.predict(&scaled)?;
        let mut boxes = outputs.as_chunks::<4>().0.to_vec();
        boxes.iter_mut().for_each(|row| self.scaling.to_shares(row));
        Ok(boxes)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// `WRITE_FAILED`.
    pub fn save(&self, path: &Path) -> Result<()> {
        let parameters = self.regressor.parameters()?;
        let tensor = |(parameter, values): &(Parameter, Vec<f32>)| {
            let values = values.clone();
            Tensor {
                name: parameter.name.clone(),
                shape: parameter.shape.clone(),
                read: Box::new(move || Ok(values.clone())),
            }
        };
        let metadata = BTreeMap::from([
            (RECORD.to_owned(), json(&self.record)?),
            (SCALING.to_owned(), json(&self.scaling)?),
        ]);
        model_file::write(path, &metadata, &parameters.iter().map(tensor).collect::<Vec<_>>())
    }

    /// Reads the head in `path`, which must belong to the model of this checksum and read features of `elements`.
    ///
    /// # Errors
    /// `MODEL_UNREADABLE`; `HEAD_DAMAGED` where it is cut short or no head; `HEAD_FOREIGN`.
    pub fn open(path: &Path, model: &str, elements: usize, threads: usize) -> Result<Self> {
        let shown = path.display();
        let damaged = |why: String| {
            Error::new(HEAD_DAMAGED, format!("{shown} is not a sound box head"))
                .info(why)
                .hint("train it again: `ilsvrc train DATASET --head boxes --model MODEL --force`")
        };
        let of_file = |error: Error| match error.code {
            ilsvrc_diagnostics::MODEL_UNREADABLE => error,
            _ => damaged(error.info.unwrap_or(error.message)),
        };
        let file = ModelFile::open(path).and_then(|file| file.verify().map(|()| file)).map_err(of_file)?;
        let text = |key: &str| {
            file.metadata().get(key).ok_or_else(|| damaged(format!("its metadata has no `{key}`")))
        };
        let bad = |error: serde_json::Error| damaged(error.to_string());
        let record: HeadRecord = serde_json::from_str(text(RECORD)?).map_err(bad)?;
        let scaling: Scaling = serde_json::from_str(text(SCALING)?).map_err(bad)?;
        if record.model != model {
            return Err(Error::new(HEAD_FOREIGN, format!("{shown} is the head of another model"))
                .info("a head reads the features of the very model that it was trained on")
                .hint(
                    "train one for this model: `ilsvrc train DATASET --head boxes --model MODEL --force`",
                ));
        }
        // The tensors of the file are compared with what the record asks for before anything of that size is allocated.
        let widths = record.widths(elements);
        for (layer, pair) in widths.windows(2).enumerate() {
            file.expect(&format!("fc{}.weight", layer + 1), &[pair[1], pair[0]]).map_err(of_file)?;
            file.expect(&format!("fc{}.bias", layer + 1), &[pair[1]]).map_err(of_file)?;
        }
        let mut regressor = Regressor::new(CpuBackend::new(&[threads])?, &widths, BATCH, DROPOUT)?;
        for (index, (parameter, _)) in regressor.parameters()?.iter().enumerate() {
            regressor.set_parameter(index, &file.read(&parameter.name)?)?;
        }
        Ok(Self { record, scaling, elements, regressor })
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(INTERNAL, "a record cannot be written as JSON").info(error.to_string()))
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
