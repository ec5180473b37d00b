//! `gemm`, `conv` and `lrn`: the ops of a training step of the first net, each alone, of its first tower. Products are held
//! against the multiply-add peak, normalisation against reading memory.

use ilsvrc_diagnostics::Result;
use ilsvrc_network::{Op, Plan, Use};

use crate::Run;
use crate::cost::{Part, Work, part, stages};
use crate::machine::threads;
use crate::measure::{FmaBracket, Measurement, MemoryBracket};
use crate::step::{timed, working};

/// Dense layers: products of matrices.
pub(crate) fn gemm(run: &mut Run) -> Result<()> {
    products(run, "gemm", "dense")
}

/// Convolutions.
pub(crate) fn conv(run: &mut Run) -> Result<()> {
    products(run, "conv", "conv")
}

/// Normalisation, with the pooling behind it where the plan has made one op of both.
pub(crate) fn lrn(run: &mut Run) -> Result<()> {
    each(
        run,
        "lrn",
        |part| part.kind.starts_with("norm"),
        |run, case, part, op| {
            let bracket = MemoryBracket::open(run.fixtures.memory());
            let seconds = seconds(run, case, op)?;
            let memory = bracket.close();
            let rates = seconds.iter().map(|seconds| part.bytes as f64 / 1e9 / seconds).collect();
            Ok(Measurement::rate(case, "GB/s", rates)
                .with_limit("reading memory", memory.mean())
                .beside(&memory))
        },
    )
}

fn products(run: &mut Run, area: &str, kind: &str) -> Result<()> {
    each(
        run,
        area,
        |part| part.kind == kind,
        |run, case, part, op| {
            let bracket = FmaBracket::open(threads());
            let seconds = seconds(run, case, op)?;
            let peak = bracket.close();
            let rates = seconds.iter().map(|seconds| part.flops as f64 / 1e9 / seconds).collect();
            let limit = (peak.name.clone(), peak.mean());
            Ok(Measurement::rate(case, "GFLOP/s", rates).with_limit(limit.0, limit.1).beside(&peak))
        },
    )
}

/// Measures those ops of the first net's first tower that are meant and asked for.
fn each(
    run: &mut Run,
    area: &str,
    is_meant: impl Fn(&Part) -> bool,
    measure: impl Fn(&mut Run, &str, &Part, &Op) -> Result<Measurement>,
) -> Result<()> {
    let Some(named) = run.request.nets.first() else { return Ok(()) };
    let plan = Plan::new(&named.net, named.batch, Use::Training)?;
    for work in stages(&plan.forward).chain(stages(&plan.backward)) {
        let Work::Op(0, op) = work else { continue };
        let part = part(&plan, &work);
        let case = format!("{area}/{}/{}", part.layer, part.pass);
        if is_meant(&part) && run.wants(&case) {
            let measurement = measure(run, &case, &part, op)?;
            run.measurements.push(measurement);
        }
    }
    Ok(())
}

/// Seconds of an op in each round.
fn seconds(run: &mut Run, case: &str, op: &Op) -> Result<Vec<f64>> {
    let watch = run.watch;
    let (area, _) = case.split_once('/').unwrap_or((case, ""));
    let named = &run.request.nets[0];
    let net = working(run, named, threads(), Use::Training)?;
    timed(watch, &format!("{area}: {case}"), 5, || net.run(0, op))
}
