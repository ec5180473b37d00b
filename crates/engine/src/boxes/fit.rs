//! Training of a head: rows of features and the box of each, in a new order every epoch, the rate falling to zero (Loshchilov and
//! Hutter 2017: a half cosine), momentum SGD.

use super::Rect;
use super::head::{DROPOUT, Head, HeadRecord, Scaling};
use super::regressor::{Regressor, Target};
use ilsvrc_cpu::CpuBackend;
use ilsvrc_diagnostics::{DIVERGED, Error, INTERRUPTED, Result};
use ilsvrc_network::{Mode, UpdateRule};
use ilsvrc_random::{Purpose, Stream, permutation};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a head is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxFit {
    /// Rows a step.
    pub batch: usize,
    /// Passes over the rows.
    pub epochs: usize,
    /// Learning rate of the first step.
    pub rate: f32,
    /// First weights, order, dropout.
    pub seed: u64,
}

/// Rows to learn from: `features` is `rows x elements`.
pub(crate) struct Rows<'a> {
    pub(crate) features: &'a [f32],
    pub(crate) elements: usize,
    /// Left, top, right, bottom as shares of the crop.
    pub(crate) boxes: &'a [Rect],
    /// The class of each row.
    pub(crate) classes: &'a [u32],
}

const MOMENTUM: f32 = 0.9;
const DECAY: f32 = 0.0005;

/// Trains a head. Its record is completed by what came of it. `emit` gets the epochs done and the mean loss of the last one.
///
/// # Errors
/// `INTERRUPTED` when `cancel` is set; `DIVERGED`; `OUT_OF_MEMORY`.
pub(crate) fn fit(
    rows: &Rows,
    mut record: HeadRecord,
    how: &BoxFit,
    threads: usize,
    cancel: &AtomicBool,
    emit: &mut dyn FnMut(usize, f64),
) -> Result<Head> {
    let Rows { features, elements, boxes, classes } = *rows;
    let scaling = Scaling::of(features, boxes);
    let widths = record.widths(elements);
    let mut regressor = Regressor::new(CpuBackend::new(&[threads])?, &widths, how.batch, DROPOUT)?;
    regressor.initialise(how.seed)?;
    let target = |row: usize| Target {
        first: if record.per_class { classes[row] as usize * 4 } else { 0 },
        values: scaling.to_units(boxes[row]),
    };
    let steps = how.epochs * boxes.len().div_ceil(how.batch);
    let (mut step, mut batch, mut loss) = (0, Vec::new(), f64::NAN);
    for epoch in 0..how.epochs {
        let order = permutation(&Stream::new(how.seed, Purpose::Order, epoch as u64, 0), boxes.len() as u32);
        let mut sum = 0.0;
        for chosen in order.chunks(how.batch) {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::new(INTERRUPTED, "stopped; no head was written"));
            }
            batch.clear();
            for &row in chosen {
                batch.extend(
                    features[row as usize * elements..][..elements].iter().map(|x| x * scaling.features),
                );
            }
            let targets: Vec<Target> = chosen.iter().map(|&row| target(row as usize)).collect();
            let mode = Mode::Train { seed: how.seed, step: step as u64, first: 0 };
            let falling = 0.5 * (1.0 + (PI * step as f64 / steps as f64).cos());
            let rule = UpdateRule { rate: how.rate * falling as f32, momentum: MOMENTUM, decay: DECAY };
            let found = regressor.step(&batch, &targets, mode, &rule)?;
            if !found.is_finite() {
                return Err(Error::new(DIVERGED, format!("the loss of step {step} is {found}"))
                    .hint("try a smaller --lr"));
            }
            sum += found * chosen.len() as f64;
            step += 1;
        }
        loss = sum / boxes.len() as f64;
        emit(epoch + 1, loss);
    }
    record.loss = loss;
    record.fit = Some(how.clone());
    Ok(Head::new(record, scaling, elements, regressor))
}
