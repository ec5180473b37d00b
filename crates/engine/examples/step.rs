//! Times training steps of a net on the CPU, or forward passes as predictions make them, and prints JSON; `bench/step.ts` and
//! `bench/forward.ts` run it beside their peers.
//!
//! `cargo run --release -p ilsvrc-engine --example step -- --net net.json --pass step --batch 128 --threads 2 --repeats 3`
//!
//! A step begins with u8 photos in memory: crop, mean, forward, backward, update. `--pass forward` ends with probabilities,
//! without dropout. `--yardstick no` leaves the FMA peak out: `scripts/bench-ci.mjs` counts instructions, and a loop that runs
//! for a time has no fixed number of them.

use ilsvrc_cpu::CpuBackend;
use ilsvrc_network::{Execution, Executor, Input, Mode, Net, Op, Pass, Plan, Stage, UpdateRule, Use, View};
use ilsvrc_random::{Purpose, Stream};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options: HashMap<&str, &str> = arguments
        .as_chunks()
        .0
        .iter()
        .map(|[name, value]: &[String; 2]| (name.trim_start_matches("--"), value.as_str()))
        .collect();
    let option = |name: &str| options.get(name).copied().ok_or(format!("--{name} is missing"));
    let net: Net = serde_json::from_slice(&std::fs::read(option("net")?)?)?;
    let work = match option("pass")? {
        "step" => Use::Training,
        "forward" => Use::Inference,
        other => return Err(format!("--pass {other}: step or forward").into()),
    };
    let threads = option("threads")?.parse()?;
    let yardstick = || match options.get("yardstick") {
        Some(&"no") => Value::Null,
        _ => json!(ilsvrc_cpu::peak_gflops(threads)),
    };
    let before = yardstick();
    let mut result = measure(&net, work, option("batch")?.parse()?, threads, option("repeats")?.parse()?)?;
    result["peak_gflops"] = json!({ "before": before, "after": yardstick() });
    println!("{result}");
    Ok(())
}

fn measure(
    net: &Net,
    work: Use,
    batch: usize,
    threads: usize,
    repeats: usize,
) -> Result<Value, Box<dyn Error>> {
    let plan = Plan::new(net, batch, work)?;
    let flops = flops(&plan.forward) + flops(&plan.backward);
    let classes = plan.classes;
    // Both towers take turns on one pool of all threads.
    let places = vec![0; net.towers];
    let mut executor = Executor::new(CpuBackend::new(&[threads])?, plan, &places)?;
    executor.initialise(1)?;

    let photos = Photos::new(net, batch, classes);
    let rule = UpdateRule { rate: 1e-4, momentum: 0.9, decay: 0.0005 };
    let seconds = seconds_of(repeats, |step| match work {
        Use::Training => {
            let pass = Pass { batch, mode: Mode::Train { seed: 1, step } };
            executor.forward(&photos.input(net.crop), &pass)?;
            executor.backward(&pass)?;
            executor.update(&rule)
        }
        Use::Inference => executor.forward(&photos.input(net.crop), &Pass { batch, mode: Mode::Test }),
    })?;
    Ok(json!({
        "instruction_set": ilsvrc_cpu::instruction_set(),
        "gflop_per_image": flops as f64 / 1e9,
        "seconds": seconds,
    }))
}

/// Wall time of each run after one that is not counted (it touches the memory for the first time).
fn seconds_of<E>(repeats: usize, mut work: impl FnMut(u64) -> Result<(), E>) -> Result<Vec<f64>, E> {
    let mut times = Vec::with_capacity(repeats);
    for repeat in 0..=repeats {
        let begin = Instant::now();
        work(repeat as u64)?;
        if repeat > 0 {
            times.push(begin.elapsed().as_secs_f64());
        }
    }
    Ok(times)
}

/// Additions and multiplications an image of convolutions and dense layers, two for each multiply-add.
fn flops(stages: &[Stage]) -> usize {
    let ops = stages.iter().flat_map(|stage| match stage {
        Stage::Compute(towers) => towers.iter().flatten().collect::<Vec<_>>(),
        Stage::Exchange(_) => Vec::new(),
    });
    let count = |op: &Op| match *op {
        Op::Conv { window, in_maps, out_maps, .. }
        | Op::ConvInputGradient { window, in_maps, out_maps, .. }
        | Op::ConvWeightGradient { window, in_maps, out_maps, .. } => {
            2 * window.output.pow(2) * window.size.pow(2) * in_maps * out_maps
        }
        Op::Dense { inputs, outputs, .. }
        | Op::DenseInputGradient { inputs, outputs, .. }
        | Op::DenseWeightGradient { inputs, outputs, .. } => 2 * inputs * outputs,
        _ => 0,
    };
    ops.map(count).sum()
}

/// A batch of noise: the time of a step depends on no value.
struct Photos {
    pixels: Vec<u8>,
    views: Vec<View>,
    mean: Vec<f32>,
    labels: Vec<u32>,
}

impl Photos {
    fn new(net: &Net, batch: usize, classes: usize) -> Self {
        let image = net.crop * net.crop * 3;
        let stream = |index| Stream::new(1, Purpose::Drawing, 0, index);
        let blocks = (batch * image).div_ceil(16) as u32;
        let mut pixels: Vec<u8> =
            (0..blocks).flat_map(|block| stream(0).block(block)).flat_map(u32::to_le_bytes).collect();
        pixels.truncate(batch * image);
        Self {
            pixels,
            views: (0..batch as u32).map(|image| View { image, ..View::default() }).collect(),
            mean: vec![120.0; image],
            labels: (0..batch as u32).map(|image| stream(1).below(image, classes as u32)).collect(),
        }
    }

    fn input(&self, side: usize) -> Input<'_> {
        Input {
            pixels: &self.pixels,
            side,
            views: &self.views,
            mean: &self.mean,
            mean_side: side,
            labels: &self.labels,
        }
    }
}
