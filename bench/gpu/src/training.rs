//! Training steps with one backend or another, and how far apart their results are.

use crate::data::Batch;
use ilsvrc_diagnostics::Result;
use ilsvrc_network::{
    Backend, Collective, Execution, Executor, Mode, Net, ParamId, Pass, Plan, Slot, UpdateRule, Use,
};
use std::sync::Arc;

/// What came of some steps: loss and hits of each, and all weights and velocities in the end.
#[derive(Clone)]
pub(crate) struct Trained {
    pub(crate) losses: Vec<f64>,
    hits: Vec<f64>,
    tensors: Vec<(String, Vec<f32>)>,
}

/// The largest differences that are allowed, as parts: of losses, and of the norms of weights and velocities.
#[derive(Clone, Copy)]
pub(crate) struct Tolerance {
    pub(crate) loss: f64,
    pub(crate) dense: f64,
    pub(crate) convolutions: f64,
}

/// Trains one step with each batch.
pub(crate) fn train<'a, B: Backend>(
    net: &Net,
    backend: B,
    places: &[usize],
    batches: impl Iterator<Item = &'a Batch> + Clone,
    rule: &UpdateRule,
) -> Result<Trained> {
    train_among(net, backend, places, batches, rule, None)
}

/// The same as one of several ranks, if any: each computes its part of each batch.
pub(crate) fn train_among<'a, B: Backend>(
    net: &Net,
    backend: B,
    places: &[usize],
    batches: impl Iterator<Item = &'a Batch> + Clone,
    rule: &UpdateRule,
    ranks: Option<Arc<dyn Collective>>,
) -> Result<Trained> {
    let (rank, size) = ranks.as_ref().map_or((0, 1), |ranks| (ranks.rank(), ranks.size()));
    let most = batches.clone().map(|batch| batch.input().labels.len()).max().unwrap_or(1);
    let mut executor = Executor::new(backend, Plan::new(net, most, Use::Training)?, places)?;
    if let Some(ranks) = ranks {
        executor = executor.among(ranks)?;
    }
    executor.initialise(3)?;
    let (mut losses, mut hits) = (Vec::new(), Vec::new());
    let mut end = |executor: &mut Executor<B>| {
        executor.end_step().map(|outcome| {
            losses.push(outcome.loss);
            hits.push(outcome.hits);
        })
    };
    let mut under_way = 0;
    for (step, batch) in batches.enumerate() {
        let whole = batch.input().labels.len();
        let (first, last) = (whole * rank / size, whole * (rank + 1) / size);
        let part = batch.part(first, last);
        let input = part.input();
        let pass = Pass { batch: last - first, mode: Mode::Train { seed: 5, step: step as u64, first } };
        executor.begin_step(&input, &pass, rule)?;
        under_way += 1;
        if under_way > executor.steps_ahead() {
            end(&mut executor)?;
            under_way -= 1;
        }
    }
    (0..under_way).try_for_each(|_| end(&mut executor))?;
    let mut tensors = Vec::new();
    for (tower, plan) in executor.plan().towers.iter().enumerate() {
        for (index, parameter) in plan.parameters.iter().enumerate() {
            for slot in [Slot::Value, Slot::Velocity] {
                let values = executor.read_parameter(tower, ParamId(index), slot)?;
                tensors.push((format!("{} {slot:?}", parameter.name), values));
            }
        }
    }
    Ok(Trained { losses, hits, tensors })
}

impl Trained {
    /// Panics where this is further from `other` than allowed; else says how far it is.
    pub(crate) fn compare(&self, other: &Self, tolerance: Tolerance) -> String {
        let (mut loss, mut tensor, mut furthest) = (0f64, 0f64, "");
        for (step, (a, b)) in self.losses.iter().zip(&other.losses).enumerate() {
            let off = (a - b).abs() / b.abs();
            assert!(off <= tolerance.loss, "loss {a} at step {step}, not {b}");
            loss = loss.max(off);
        }
        for ((name, a), (_, b)) in self.tensors.iter().zip(&other.tensors) {
            let off = distance(a, b);
            let allowed = if name.contains(".fc") { tolerance.dense } else { tolerance.convolutions };
            assert!(off <= allowed, "{name} is off by {off:.2e}, allowed {allowed:.0e}");
            if off > tensor {
                (tensor, furthest) = (off, name);
            }
        }
        format!("losses off by up to {loss:.1e}, tensors by {tensor:.1e} ({furthest})")
    }

    /// Panics where a single bit differs.
    pub(crate) fn assert_same(&self, other: &Self) {
        assert!(self.losses == other.losses && self.hits == other.hits, "losses of two equal runs differ");
        for ((name, a), (_, b)) in self.tensors.iter().zip(&other.tensors) {
            assert!(
                a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()),
                "{name} of two equal runs differs"
            );
        }
    }
}

/// `|a - b| / |b|`, norms over the whole tensors.
pub(crate) fn distance(a: &[f32], b: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let off = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let size = norm(&mut b.iter().map(|b| f64::from(*b)));
    if size == 0.0 { off } else { off / size }
}
