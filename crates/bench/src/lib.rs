//! What this machine reaches, beside what limits it: named benchmarks that return their samples. `ilsvrc bench` shows them.
//!
//! A case is named `area/case/variant`. What is compared is measured in turns, so that a machine that slows down slows
//! all of it; how figures are made of samples is the reader's business.

mod breakdown;
mod cost;
mod disk;
mod fixtures;
mod load;
mod machine;
mod measure;
mod memory;
mod ops;
mod page_cache;
mod prep;
mod search;
mod step;
mod stored;
mod work;
mod working_net;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use ilsvrc_diagnostics::{Error, INTERNAL, INTERRUPTED, Result};
use ilsvrc_network::Net;
use serde::{Deserialize, Serialize};

pub use breakdown::{Breakdown, PartTime};
pub use disk::{DiskSpeed, disk_speed};
pub use fixtures::PhotoFacts;
pub use machine::Machine;
pub use measure::{Better, Limit, Measurement, Yardstick};
pub use stored::Feed;
pub use working_net::{MadeFor, WorkingNet};

use fixtures::Fixtures;

/// A benchmark: its name, and what it adds to the report.
type Bench = (&'static str, fn(&mut Run) -> Result<()>);

/// All there are.
const BENCHES: [Bench; 9] = [
    ("gemm", ops::gemm),
    ("conv", ops::conv),
    ("lrn", ops::lrn),
    ("step", step::step),
    ("forward", step::forward),
    ("latency", step::latency),
    ("prep", prep::run),
    ("load", load::run),
    ("search", search::run),
];

/// What to measure.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// Names of benchmarks, in this order.
    pub names: Vec<String>,
    /// Only cases whose name contains this text.
    #[serde(default)]
    pub filter: Option<String>,
    /// Names the cases and measures nothing.
    #[serde(default)]
    pub list: bool,
    /// A fraction of the work: for a first look.
    pub quick: bool,
    /// Nets for `step` and `forward`; the first one's ops are also measured alone, and its latency.
    #[serde(default)]
    pub nets: Vec<NamedNet>,
    /// Where the time of a step goes, of the first case of `step` that is asked for.
    #[serde(default)]
    pub breakdown: bool,
    /// A prepared data set for `load` to read instead of one made for the purpose.
    pub from: Option<PathBuf>,
}

/// A net to measure.
#[derive(Clone, Debug, Deserialize)]
pub struct NamedNet {
    /// As cases call it.
    pub name: String,
    /// What it is.
    pub net: Net,
    /// Images in a step.
    pub batch: usize,
}

impl Request {
    fn asks_for(&self, case: &str) -> bool {
        !self.list && self.filter.as_ref().is_none_or(|text| case.contains(text))
    }
}

/// Where a run is.
#[derive(Clone, Debug, Serialize)]
pub struct Progress {
    /// What is being done.
    pub step: String,
    /// Units of it done.
    pub done: usize,
    /// Units in all.
    pub total: usize,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// On what.
    pub machine: Machine,
    /// The photos that were drawn, where any were.
    pub photos: Option<PhotoFacts>,
    /// The cases of the benchmarks that were named, whatever the filter.
    pub cases: Vec<String>,
    /// The figures.
    pub measurements: Vec<Measurement>,
    /// Where the time of a step goes.
    pub breakdown: Option<Breakdown>,
    /// What the data set of `from` can feed.
    pub feed: Option<Feed>,
}

/// Measures. `progress` is called from any thread; setting `cancel` stops within an image or so.
pub fn run(request: &Request, cancel: &AtomicBool, progress: &(dyn Fn(Progress) + Sync)) -> Result<Report> {
    let find = |name: &String| {
        BENCHES.iter().find(|(known, _)| known == name).ok_or_else(|| {
            let known: Vec<&str> = BENCHES.iter().map(|(known, _)| *known).collect();
            Error::new(INTERNAL, format!("there is no benchmark {name}")).info(known.join(", "))
        })
    };
    let benches: Vec<&Bench> = request.names.iter().map(find).collect::<Result<_>>()?;
    let watch = Watch { cancel, progress };
    let mut run = Run {
        request,
        watch,
        fixtures: Fixtures::new(if request.quick { 200 } else { 2000 }, watch)?,
        cases: Vec::new(),
        measurements: Vec::new(),
        working: None,
        breakdown: None,
        feed: None,
    };
    let before = Machine::measure();
    benches.into_iter().try_for_each(|(_, bench)| bench(&mut run))?;
    // A limit may have been measured for the sake of a case alone, and a disk that could not be seen has no samples.
    run.measurements
        .retain(|measurement| request.asks_for(&measurement.name) && !measurement.samples.is_empty());
    Ok(Report {
        machine: before.and_after(),
        photos: run.fixtures.facts(),
        cases: run.cases,
        measurements: run.measurements,
        breakdown: run.breakdown,
        feed: run.feed,
    })
}

/// A run under way, as a benchmark sees it.
struct Run<'a> {
    request: &'a Request,
    watch: Watch<'a>,
    fixtures: Fixtures<'a>,
    cases: Vec<String>,
    measurements: Vec<Measurement>,
    /// The net that the last case worked with, for the next one.
    working: Option<WorkingNet>,
    breakdown: Option<Breakdown>,
    feed: Option<Feed>,
}

impl Run<'_> {
    /// Whether a case is to be measured. A benchmark asks for each of its cases before it works.
    fn wants(&mut self, case: &str) -> bool {
        self.cases.push(case.to_owned());
        self.request.asks_for(case)
    }

    /// Whether any of some cases is.
    fn wants_any(&mut self, cases: impl IntoIterator<Item = String>) -> bool {
        cases.into_iter().fold(false, |any, case| any | self.wants(&case))
    }
}

/// Who watches, and may stop it.
#[derive(Clone, Copy)]
struct Watch<'a> {
    cancel: &'a AtomicBool,
    progress: &'a (dyn Fn(Progress) + Sync),
}

impl Watch<'_> {
    /// Says what is done now. An error where it is to stop.
    fn step(&self, step: &str, done: usize, total: usize) -> Result<()> {
        (self.progress)(Progress { step: step.to_owned(), done, total });
        self.go_on()
    }

    fn go_on(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Error::new(INTERRUPTED, "the benchmark was stopped"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
