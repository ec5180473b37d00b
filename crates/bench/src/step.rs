//! `step`, `forward` and `latency`: whole passes of nets, from u8 photos in memory; steps and batches are held against the
//! multiply-add peak, one image against reading the weights.

use std::time::Instant;

use ilsvrc_diagnostics::Result;
use ilsvrc_network::Use;

use crate::machine::threads;
use crate::measure::{FmaBracket, Measurement, MemoryBracket};
use crate::working_net::{MadeFor, WorkingNet};
use crate::{NamedNet, Run, Watch, breakdown};

/// Training steps of each net; of the first one also with one thread.
pub(crate) fn step(run: &mut Run) -> Result<()> {
    let request = run.request;
    for (number, named) in request.nets.iter().enumerate() {
        let NamedNet { name, batch, .. } = named;
        let case = format!("step/{name}/batch{batch}");
        let one_thread = format!("{case}-threads1");
        let mut cases = vec![(case, threads())];
        if number == 0 && threads() > 1 {
            cases.push((one_thread, 1));
        }
        for (case, threads) in cases {
            if !run.wants(&case) {
                continue;
            }
            let bracket = FmaBracket::open(threads);
            let rounds = if request.quick { 3 } else { 5 };
            let watch = run.watch;
            let net = working(run, named, threads, Use::Training)?;
            let operations = net.flops();
            let seconds = timed(watch, &format!("step: {case}"), rounds, || net.step())?;
            run.measurements.push(rate(&case, seconds, *batch, operations, bracket));
            if request.breakdown && run.breakdown.is_none() {
                breakdown::measure(run, &case, named)?;
            }
        }
    }
    Ok(())
}

/// Forward passes of each net.
pub(crate) fn forward(run: &mut Run) -> Result<()> {
    let request = run.request;
    for named in &request.nets {
        let case = format!("forward/{}/batch{}", named.name, named.batch);
        if !run.wants(&case) {
            continue;
        }
        let bracket = FmaBracket::open(threads());
        let watch = run.watch;
        let net = working(run, named, threads(), Use::Inference)?;
        let operations = net.flops();
        let seconds = timed(watch, &format!("forward: {case}"), 5, || net.forward())?;
        run.measurements.push(rate(&case, seconds, named.batch, operations, bracket));
    }
    Ok(())
}

/// One image through the first net.
pub(crate) fn latency(run: &mut Run) -> Result<()> {
    let Some(named) = run.request.nets.first() else { return Ok(()) };
    let case = format!("latency/{}/batch1", named.name);
    if !run.wants(&case) {
        return Ok(());
    }
    let bracket = MemoryBracket::open(run.fixtures.memory());
    let watch = run.watch;
    let net = working(run, &NamedNet { batch: 1, ..named.clone() }, threads(), Use::Inference)?;
    let parameters = net.plan.towers.iter().flat_map(|tower| &tower.parameters);
    let bytes = 4 * parameters.map(|parameter| parameter.len()).sum::<usize>();
    let seconds = timed(watch, &format!("latency: {case}"), 10, || net.forward())?;
    let memory = bracket.close();
    let limit = bytes as f64 / 1e9 / memory.mean() * 1e3;
    let milliseconds = seconds.iter().map(|seconds| seconds * 1e3).collect();
    let megabytes = bytes as f64 / 1e6;
    run.measurements.push(
        Measurement::milliseconds(case, milliseconds)
            .with_limit(format!("reading {megabytes:.0} MB of weights"), limit)
            .beside(&memory),
    );
    Ok(())
}

/// The net, made or left over from the case before.
pub(crate) fn working<'a>(
    run: &'a mut Run,
    NamedNet { net, batch, .. }: &NamedNet,
    threads: usize,
    use_: Use,
) -> Result<&'a mut WorkingNet> {
    let made_for = MadeFor { net: net.clone(), batch: *batch, threads, use_ };
    // The one before is let go first, so that both need not fit.
    match run.working.take() {
        Some(working) if working.made_for == made_for => Ok(run.working.insert(working)),
        _ => Ok(run.working.insert(WorkingNet::new(made_for)?)),
    }
}

/// Images a second, held against the peak at `operations` an image.
fn rate(case: &str, seconds: Vec<f64>, batch: usize, operations: usize, bracket: FmaBracket) -> Measurement {
    let peak = bracket.close();
    let limit = peak.mean() * 1e9 / operations as f64;
    let rates = seconds.iter().map(|seconds| batch as f64 / seconds).collect();
    Measurement::images(case, rates).with_limit(peak.name.clone(), limit).beside(&peak)
}

/// A round takes at least this long, so that clocks and threads that wake up do not count.
const SHORTEST: f64 = 0.02;

/// Seconds of `work` in each round, after one that is not counted: it touches memory for the first time. What is short
/// is done several times in a round.
pub(crate) fn timed(
    watch: Watch,
    what: &str,
    rounds: usize,
    mut work: impl FnMut() -> Result<()>,
) -> Result<Vec<f64>> {
    watch.step(what, 0, rounds)?;
    let begin = Instant::now();
    work()?;
    let repeats = (SHORTEST / begin.elapsed().as_secs_f64()).clamp(1.0, 1000.0).ceil() as usize;
    let mut round = |number| {
        watch.step(what, number, rounds)?;
        let begin = Instant::now();
        (0..repeats).try_for_each(|_| work())?;
        Ok(begin.elapsed().as_secs_f64() / repeats as f64)
    };
    (0..rounds).map(&mut round).collect()
}
