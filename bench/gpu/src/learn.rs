//! `gpu train`: the loss curve of a small two-tower net on the GPU beside the CPU's.

use crate::check::explain;
use crate::data::Batch;
use crate::nets::alexnet_64;
use crate::options::Options;
use crate::training::train;
use ilsvrc_cpu::CpuBackend;
use ilsvrc_cuda::{CudaBackend, Precision};
use ilsvrc_network::UpdateRule;
use serde_json::{Value, json};

pub(crate) const FLAGS: [&str; 3] = ["steps", "batch", "precisions"];

const CLASSES: usize = 8;
/// Batches that are gone through again and again.
const BATCHES: usize = 8;
const RULE: UpdateRule = UpdateRule { rate: 0.001, momentum: 0.9, decay: 0.0005 };
/// Steps at the beginning whose losses must agree one by one: later ones drift apart as roundings grow.
const FIRST: usize = 5;

/// How near the GPU's losses must be to the CPU's.
#[derive(Clone, Copy)]
struct Tolerance {
    /// Of each of the first losses, as a part of it.
    first: f64,
    /// Of the mean loss of each tenth of the run, as a part of the first loss.
    tenth: f64,
}

fn tolerance(precision: Precision) -> Tolerance {
    match precision {
        Precision::F32 => Tolerance { first: 1e-4, tenth: 0.05 },
        Precision::Tf32 => Tolerance { first: 5e-3, tenth: 0.05 },
        Precision::Bf16 => Tolerance { first: 2e-2, tenth: 0.10 },
    }
}

/// The curves, and true where all agree and learned.
pub(crate) fn run(options: &Options) -> Result<(Value, bool), String> {
    let (steps, batch) = (options.number("steps", 200)?.max(1), options.number("batch", 32)?);
    let net = alexnet_64(CLASSES);
    let set: Vec<Batch> =
        (0..steps.min(BATCHES)).map(|number| Batch::gratings(&net, batch, CLASSES, number)).collect();
    let order: Vec<usize> = (0..steps).map(|step| step % set.len()).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = CpuBackend::new(&[threads]).map_err(explain)?;
    let cpu =
        train(&net, cpu, &[0, 0], order.iter().map(|number| &set[*number]), &RULE).map_err(explain)?.losses;
    eprintln!("cpu   {}", curve(&cpu));
    let mut runs = Vec::new();
    for name in options.words("precisions", "bf16,tf32,f32") {
        let precision: Precision = name.parse().map_err(explain)?;
        let gpu = CudaBackend::new(&[0, 0], precision).and_then(|backend| {
            train(&net, backend, &[0, 1], order.iter().map(|number| &set[*number]), &RULE)
        });
        let (losses, problem) = match gpu {
            Ok(trained) => {
                let problem = problem(&trained.losses, &cpu, tolerance(precision));
                (trained.losses, problem)
            }
            Err(error) => (Vec::new(), Some(explain(error))),
        };
        eprintln!("{name:<5} {}  {}", curve(&losses), problem.as_deref().unwrap_or("ok"));
        let Tolerance { first, tenth } = tolerance(precision);
        runs.push(json!({
            "precision": name,
            "ok": problem.is_none(),
            "message": problem,
            "tolerance": { "first": first, "tenth": tenth },
            "losses": losses,
        }));
    }
    let ok = runs.iter().all(|run| run["ok"] == json!(true));
    Ok((json!({ "ok": ok, "net": net.name, "steps": steps, "batch": batch, "cpu": cpu, "runs": runs }), ok))
}

/// Mean losses of ten parts of a run, or of each step of a short one.
fn tenths(losses: &[f64]) -> Vec<f64> {
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    losses.chunks(losses.len().div_ceil(10).max(1)).map(mean).collect()
}

fn curve(losses: &[f64]) -> String {
    tenths(losses).iter().map(|loss| format!("{loss:.3}")).collect::<Vec<_>>().join(" ")
}

/// What is wrong with a curve.
fn problem(gpu: &[f64], cpu: &[f64], tolerance: Tolerance) -> Option<String> {
    let first = gpu.iter().zip(cpu).take(FIRST).position(|(a, b)| off(*a, *b) > tolerance.first * b);
    if let Some(step) = first {
        return Some(format!("the loss of step {step} is {}, not {}", gpu[step], cpu[step]));
    }
    let (ours, theirs) = (tenths(gpu), tenths(cpu));
    let apart = ours.iter().zip(&theirs).position(|(a, b)| off(*a, *b) > tolerance.tenth * cpu[0]);
    if let Some(part) = apart {
        return Some(format!("the mean loss of part {part} is {:.4}, not {:.4}", ours[part], theirs[part]));
    }
    let learns = cpu.len() >= 100;
    (learns && ours[9] > 0.25 * gpu[0])
        .then(|| format!("the loss only came from {:.3} to {:.3}", gpu[0], ours[9]))
}

/// Infinite for what is no number.
fn off(a: f64, b: f64) -> f64 {
    let off = (a - b).abs();
    if off.is_nan() { f64::INFINITY } else { off }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_that_drifts_fails_or_does_not_learn() {
        let falling: Vec<f64> =
            (0..200).map(|step| 2.0 * f64::from(-step).mul_add(0.02, 0.0).exp()).collect();
        let strict = Tolerance { first: 1e-4, tenth: 0.05 };
        assert_eq!(problem(&falling, &falling, strict), None);
        let flat = vec![2.0; 200];
        assert!(problem(&flat, &flat, strict).unwrap().contains("only came"));
        let mut early = falling.clone();
        early[2] *= 1.001;
        assert!(problem(&early, &falling, strict).unwrap().contains("step 2"));
        let late: Vec<f64> =
            falling.iter().enumerate().map(|(i, x)| if i < 5 { *x } else { x + 0.2 }).collect();
        assert!(problem(&late, &falling, strict).unwrap().contains("part"));
        assert!(problem(&[f64::NAN; 200], &falling, strict).is_some());
    }
}
