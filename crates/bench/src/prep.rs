//! `prep`: photos to shards, held against the time of its stages alone: square (decode and resize) and encode.

use ilsvrc_diagnostics::Result;

use crate::fixtures::remove;
use crate::machine::threads;
use crate::measure::{FmaBracket, Measurement};
use crate::work::{Stages, prepare};
use crate::{Run, Watch};

pub(crate) fn run(run: &mut Run) -> Result<()> {
    let stage_name = |stage: &str| format!("prep/stages/{stage}");
    let whole_name = |workers: usize| format!("prep/whole/{workers}");
    let ceiling_name = stage_name("ceiling");
    let asked = run.wants_any(Stages::NAMES.map(stage_name)) | run.wants(&ceiling_name);
    let mut workers = vec![1, threads()];
    workers.dedup();
    workers.retain(|workers| run.wants(&whole_name(*workers)));
    if !asked && workers.is_empty() {
        return Ok(());
    }
    let (folder, paths) = run.fixtures.photos()?;
    let files = run.fixtures.files()?;
    let out = run.fixtures.place("out");
    let rounds = if run.request.quick { 3 } else { 5 };
    let mut stages: [Vec<f64>; 3] = Default::default();
    let mut ceilings = Vec::new();
    let mut whole = vec![Vec::new(); workers.len()];
    let bracket = FmaBracket::open(threads());
    for round in 0..rounds {
        run.watch.step("prep: stages alone", round, rounds)?;
        let seconds = stage_seconds(&files, run.watch)?;
        stages.iter_mut().zip(seconds).for_each(|(samples, seconds)| samples.push(1.0 / seconds));
        ceilings.push(1.0 / Stages::sum(seconds));
        for (samples, &workers) in whole.iter_mut().zip(&workers) {
            run.watch.step(&format!("prep: {workers} at work"), round, rounds)?;
            samples.push(prepare(&folder, &paths, &out, workers, run.watch.cancel)?);
            remove(&out)?;
        }
    }
    let peak = bracket.close();
    let named = |(stage, samples)| Measurement::images(stage_name(stage), samples).beside(&peak);
    run.measurements.extend(Stages::NAMES.into_iter().zip(stages).map(named));
    let ceiling = Measurement::images(ceiling_name, ceilings).beside(&peak);
    let whole = workers.into_iter().zip(whole).map(|(workers, samples)| {
        Measurement::images(whole_name(workers), samples).limited_by(&ceiling, workers).beside(&peak)
    });
    run.measurements.extend(whole.collect::<Vec<_>>());
    run.measurements.push(ceiling);
    Ok(())
}

/// Mean seconds that one thread spends in each stage for one of `files`.
fn stage_seconds(files: &[Vec<u8>], watch: Watch) -> Result<[f64; 3]> {
    let mut stages = Stages::new();
    let mut sums = [0.0; 3];
    for file in files {
        watch.go_on()?;
        let seconds = stages.seconds(file)?;
        sums.iter_mut().zip(seconds).for_each(|(sum, seconds)| *sum += seconds / files.len() as f64);
    }
    Ok(sums)
}
