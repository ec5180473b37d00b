//! Trains one net three times on the same batches: with convolutions by transforms where the engine chooses them, with
//! direct ones, and with direct ones of the slowest instruction set, whose sums are rounded in another order. Prints the
//! mean losses as JSON; `bench/winograd.ts` runs it. The third curve tells how far apart rounding alone takes two runs.
//!
//! `cargo run --release -p ilsvrc-engine --example transforms -- --net net.json --data DATA --batch 128 --rate 0.001
//! --threads 2 --steps 1000 --every 50`

use ilsvrc_cpu::{Convolution, CpuBackend, InstructionSet};
use ilsvrc_images::{Batch, Dataset, LoadMode, Loader, LoaderOptions, Shuffle};
use ilsvrc_network::{Execution, Executor, Input, Mode, Net, Pass, Plan, UpdateRule, Use, View};
use serde_json::json;
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

const SEED: u64 = 1;

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
    let dataset = Arc::new(Dataset::open(option("data")?)?);
    let (batch, threads): (usize, usize) = (option("batch")?.parse()?, option("threads")?.parse()?);
    let (steps, every): (u64, u64) = (option("steps")?.parse()?, option("every")?.parse()?);
    let rule = UpdateRule { rate: option("rate")?.parse()?, momentum: 0.9, decay: 0.0005 };

    let places = vec![0; net.towers];
    let ways = [
        ("transforms", Convolution::Automatic, InstructionSet::best()),
        ("direct", Convolution::Direct, InstructionSet::best()),
        ("direct, other rounding", Convolution::Direct, InstructionSet::Portable),
    ];
    let mut runs = Vec::new();
    for (name, convolution, set) in ways {
        let backend = CpuBackend::with_instruction_set(&[threads], set)?.convolving(convolution);
        let mut executor = Executor::new(backend, Plan::new(&net, batch, Use::Training)?, &places)?;
        executor.initialise(SEED)?;
        runs.push(Run { name, executor, losses: Vec::new(), sum: 0.0, seconds: 0.0 });
    }

    let mean = dataset.mean();
    let mut batches = Batches { dataset, net: &net, batch, threads, epoch: 0, loader: None };
    for step in 0..steps {
        let batch = batches.next()?;
        for run in &mut runs {
            run.step(&net, &batch, &mean, step, &rule)?;
            if (step + 1) % every == 0 {
                run.losses.push(run.sum / every as f64);
                run.sum = 0.0;
            }
        }
    }
    let curves: Vec<_> = runs
        .iter()
        .map(|run| json!({ "name": run.name, "losses": run.losses, "seconds": run.seconds }))
        .collect();
    println!("{}", json!({ "every": every, "curves": curves }));
    Ok(())
}

struct Run {
    name: &'static str,
    executor: Executor<CpuBackend>,
    /// Means of `every` steps.
    losses: Vec<f64>,
    sum: f64,
    seconds: f64,
}

impl Run {
    fn step(
        &mut self,
        net: &Net,
        batch: &Batch,
        mean: &[f32],
        step: u64,
        rule: &UpdateRule,
    ) -> Result<(), Box<dyn Error>> {
        let views: Vec<View> = (0..)
            .zip(&batch.views)
            .map(|(image, v)| View { image, crop: v.crop, mean: v.mean, mirror: v.mirror, colour: v.colour })
            .collect();
        let (pixels, side, labels) = (&batch.pixels, batch.side, &batch.labels);
        let input = Input { pixels, side, views: &views, mean, mean_side: net.image, labels };
        let pass = Pass { batch: batch.n, mode: Mode::Train { seed: SEED, step, first: 0 } };
        let begin = Instant::now();
        self.executor.begin_step(&input, &pass, rule)?;
        self.sum += self.executor.end_step()?.loss;
        self.seconds += begin.elapsed().as_secs_f64();
        Ok(())
    }
}

/// Batches of the training split, epoch after epoch.
struct Batches<'a> {
    dataset: Arc<Dataset>,
    net: &'a Net,
    batch: usize,
    threads: usize,
    epoch: u64,
    loader: Option<Loader>,
}

impl Batches<'_> {
    fn next(&mut self) -> Result<Batch, Box<dyn Error>> {
        loop {
            if let Some(loader) = &mut self.loader {
                if let Some(batch) = loader.next()? {
                    return Ok(batch);
                }
                self.epoch += 1;
            }
            let options = LoaderOptions {
                split: "train".into(),
                batch: self.batch,
                part: (0, 1),
                seed: SEED,
                epoch: self.epoch,
                first_batch: 0,
                images: None,
                shuffle: Shuffle::default(),
                mode: LoadMode::Train { crop: self.net.crop, mirror: true, colour_noise: 0.0 },
                threads: self.threads,
            };
            self.loader = Some(Loader::new(self.dataset.clone(), options)?);
        }
    }
}
