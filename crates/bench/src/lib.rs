//! What this machine reaches, beside what limits it: named benchmarks that return their samples. `ilsvrc bench` shows them.
//!
//! A case is named `area/case/variant`. What is compared is measured in turns, so that a machine that slows down slows
//! all of it; how figures are made of samples is the reader's business.

mod fixtures;
mod load;
mod machine;
mod measure;
mod page_cache;
mod prep;
mod search;
mod stored;
mod work;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use ilsvrc_diagnostics::{Error, INTERNAL, INTERRUPTED, Result};
use serde::{Deserialize, Serialize};

pub use fixtures::PhotoFacts;
pub use machine::Machine;
pub use measure::{Limit, Measurement};
pub use stored::Feed;

use fixtures::Fixtures;

/// A benchmark: its name, and what it adds to the report.
type Bench = (&'static str, fn(&mut Run) -> Result<()>);

/// All there are.
const BENCHES: [Bench; 3] = [("prep", prep::run), ("load", load::run), ("search", search::run)];

/// What to measure.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// Names of benchmarks, in this order.
    pub names: Vec<String>,
    /// A fraction of the work: for a first look.
    pub quick: bool,
    /// A prepared data set for `load` to read instead of one made for the purpose.
    pub from: Option<PathBuf>,
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
    /// The figures.
    pub measurements: Vec<Measurement>,
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
        measurements: Vec::new(),
        feed: None,
    };
    let before = Machine::measure();
    benches.into_iter().try_for_each(|(_, bench)| bench(&mut run))?;
    Ok(Report {
        machine: before.and_after(),
        photos: run.fixtures.facts(),
        measurements: run.measurements,
        feed: run.feed,
    })
}

/// A run under way, as a benchmark sees it.
struct Run<'a> {
    request: &'a Request,
    watch: Watch<'a>,
    fixtures: Fixtures<'a>,
    measurements: Vec<Measurement>,
    feed: Option<Feed>,
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
