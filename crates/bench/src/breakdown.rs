//! Where the time of a training step goes: each part timed alone, in the order of the step, on all threads.

use std::time::Instant;

use ilsvrc_diagnostics::Result;
use ilsvrc_network::Use;
use serde::Serialize;

use crate::cost::{Part, part, training_step};
use crate::machine::threads;
use crate::measure::{FmaBracket, MemoryBracket};
use crate::step::working;
use crate::{NamedNet, Run};

/// Where the time goes. Means over some steps, so that the parts and the rest add up to the whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Breakdown {
    /// The case of `step` that it explains.
    pub name: String,
    /// How many steps the means are of.
    pub steps: usize,
    /// Images in a step.
    pub batch: usize,
    /// Seconds of a step.
    pub seconds: f64,
    /// Seconds that no part covers.
    pub rest: f64,
    /// GFLOP/s of multiply-adds in registers on all threads, the mean of before and after.
    pub fma_peak: f64,
    /// GB/s of reading memory, the mean of before and after.
    pub memory: f64,
    /// In the order of the step; both towers' together.
    pub parts: Vec<PartTime>,
}

/// A part of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartTime {
    /// `conv`, `dense`, `norm+pool`, `pool`, `update`, ...
    pub kind: &'static str,
    /// The layer it belongs to, or the one before it that has a name; empty where it belongs to none.
    pub layer: String,
    /// `forward`, `gradient`, `input-gradient`, `weight-gradient` or empty.
    pub pass: &'static str,
    /// Seconds of a step.
    pub seconds: f64,
    /// Floating-point operations, convolutions counted as direct ones.
    pub flops: usize,
    /// Bytes of operands and results.
    pub bytes: usize,
}

/// Takes steps of `named` apart.
pub(crate) fn measure(run: &mut Run, case: &str, named: &NamedNet) -> Result<()> {
    let steps = if run.request.quick { 3 } else { 10 };
    let watch = run.watch;
    let memory = MemoryBracket::open(run.fixtures.memory());
    let fma = FmaBracket::open(threads());
    let net = working(run, named, threads(), Use::Training)?;
    let (mut seconds, mut sums) = (0.0, Vec::new());
    // One more, which is not counted: it touches memory for the first time.
    for step in 0..=steps {
        watch.step("breakdown: one part after the other", step, steps + 1)?;
        let begin = Instant::now();
        let times = net.step_by_part()?;
        let whole = begin.elapsed().as_secs_f64();
        if step == 0 {
            sums = vec![0.0; times.len()];
            continue;
        }
        seconds += whole / steps as f64;
        sums.iter_mut().zip(times).for_each(|(sum, time)| *sum += time / steps as f64);
    }
    let plan = &net.plan;
    let parts = together(training_step(plan).iter().map(|work| part(plan, work)).zip(sums.iter().copied()));
    let (fma_peak, memory) = (fma.close().mean(), memory.close().mean());
    let rest = seconds - sums.iter().sum::<f64>();
    let (name, batch) = (case.to_owned(), named.batch);
    run.breakdown = Some(Breakdown { name, steps, batch, seconds, rest, fma_peak, memory, parts });
    Ok(())
}

/// Adds up what is of the same kind, layer and pass: towers, and exchanges.
fn together(all: impl Iterator<Item = (Part, f64)>) -> Vec<PartTime> {
    let mut parts: Vec<PartTime> = Vec::new();
    for (Part { kind, layer, pass, flops, bytes }, seconds) in all {
        let same = |known: &&mut PartTime| (known.kind, &known.layer, known.pass) == (kind, &layer, pass);
        if let Some(known) = parts.iter_mut().find(same) {
            known.seconds += seconds;
            known.flops += flops;
            known.bytes += bytes;
        } else {
            parts.push(PartTime { kind, layer, pass, seconds, flops, bytes });
        }
    }
    parts
}
