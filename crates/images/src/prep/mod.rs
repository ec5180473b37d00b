//! Photos of any size to a data set: shards of square JPEGs in a random order, an index for each, a manifest, and the
//! statistics that training needs.
//!
//! Shard `k` of a split holds images `k * shard_images ..` of the split's seeded shuffle. A shard depends on nothing but
//! the plan, so the result is the same for any number of workers and machines, and an interrupted run goes on with the
//! shards that are missing.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ilsvrc_diagnostics::{Error, PARTS_MISSING, Result};
use serde::Serialize;

mod adopt;
mod convert;
mod estimate;
mod finish;
mod output;
mod plan;
mod repair;
mod shard;
mod source;
mod statistics;
mod team;

pub use adopt::adopt;
pub use estimate::{Estimate, estimate};
pub use output::Changes;
pub use plan::{About, Item, Part, PrepPlan, Rejected, Settings, Source, SourceKind, SplitPlan};
pub use repair::{RepairReport, repair};
pub(crate) use statistics::ColourSums;

use crate::dataset::{Manifest, Shard};
use output::{Kept, State};
use plan::ShardPlan;
use shard::{Files, UNFINISHED};

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PrepProgress {
    /// Images dealt with, those of earlier runs included.
    pub done: usize,
    /// Images in the plan, or in the part.
    pub total: usize,
    /// Images kept.
    pub kept: usize,
    /// Images left out.
    pub rejected: usize,
}

/// What is told while `prep` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum PrepEvent {
    /// The folder holds a data set of the same settings and other photos.
    Changed(Changes),
    /// Images were dealt with.
    Progress(PrepProgress),
}

/// What a run did. Every input is accounted for: `kept + rejected + ignored = seen`, of a part as of the whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrepSummary {
    /// Files looked at.
    pub seen: u64,
    /// Images in the shards.
    pub kept: u64,
    /// Images left out, listed in `rejected.jsonl`.
    pub rejected: u64,
    /// Files that are no image of a split.
    pub ignored: u64,
    /// Bytes of all shards.
    pub bytes: u64,
    /// Seconds of this run.
    pub seconds: f64,
    /// Images of this run by its seconds.
    pub images_per_second: f64,
    /// Images kept although the decoder warned.
    pub warnings: u64,
    /// Photos that carry an EXIF orientation.
    pub rotations: u64,
    /// Shards of this run or part.
    pub shards: u64,
    /// Shards that an earlier run had finished.
    pub resumed_shards: u64,
}

/// Prepares a data set, or a part of it. `report` is called from the workers, at most 5,000 times in all. Setting `cancel`
/// stops within an image; running the same plan again goes on.
pub fn prep(
    plan: &PrepPlan,
    cancel: &AtomicBool,
    report: &(dyn Fn(PrepEvent) + Sync),
) -> Result<PrepSummary> {
    let begin = Instant::now();
    plan.check()?;
    let shards = plan.shards();
    let hash = plan.hash(&shards)?;
    let progress = |progress| report(PrepEvent::Progress(progress));
    let _lock = match output::open(plan, &hash, &shards)? {
        State::Complete(manifest) => {
            let images = plan.images();
            progress(PrepProgress { done: images, total: images, kept: images, rejected: 0 });
            return Ok(whole(&manifest, begin));
        }
        State::Damaged { manifest, _lock } => {
            let damaged = output::missing(&plan.out, &manifest);
            repair::mend(plan, &shards, &manifest, &damaged, cancel, &progress)?;
            return Ok(whole(&manifest, begin));
        }
        State::Open { changes, lock } => {
            changes.into_iter().for_each(|changes| report(PrepEvent::Changed(changes)));
            lock
        }
    };
    let mine = |i: usize| plan.part.is_none_or(|part| i % part.of == part.index);
    let mine: Vec<usize> = (0..shards.len()).filter(|&i| mine(i)).collect();
    let earlier: Vec<Option<Shard>> = mine.iter().map(|&i| output::finished(plan, &shards[i])).collect();
    let resumed = earlier.iter().flatten().count() as u64;
    let counter = Counter::new(resume_at(&shards, &mine, &earlier), &progress);
    let before = counter.now().done;

    let missing = mine.iter().zip(&earlier).filter(|(_, record)| record.is_none()).map(|(&i, _)| i);
    let missing: Vec<usize> = missing.collect();
    let mut made = team::make(plan, &shards, &missing, cancel, &|kept| counter.add(kept))?.into_iter();
    let records: Vec<Shard> =
        earlier.into_iter().filter_map(|record| record.or_else(|| made.next())).collect();
    let reached = counter.finish();

    let kept = Kept::of(plan, &hash, &shards);
    let summary = match plan.part {
        Some(_) => {
            output::check_unchanged(&plan.out, &hash)?;
            part(plan, &kept, &mine, &records)?
        }
        None => whole(&finish::finish(&plan.out, &kept, &records)?, begin),
    };
    let seconds = begin.elapsed().as_secs_f64();
    Ok(PrepSummary {
        seconds,
        images_per_second: (reached.done - before) as f64 / seconds,
        resumed_shards: resumed,
        ..summary
    })
}

/// Joins the parts in `out` to a data set. It needs no source: what the parts left says everything.
pub fn merge(out: &Path) -> Result<PrepSummary> {
    let begin = Instant::now();
    let Some(kept) = Kept::read(out) else {
        let manifest = Manifest::read(out).map_err(|error| {
            error.info(format!("no parts are there: {} has no {UNFINISHED}", out.display()))
        })?;
        return Ok(whole(&manifest, begin));
    };
    let files = kept.files(out);
    let finished = |((_, files), hash): (&(usize, Files), &String)| files.finished_as(hash, false);
    let records: Vec<Option<Shard>> = files.iter().zip(&kept.shards).map(finished).collect();
    let lost: Vec<&str> = files
        .iter()
        .zip(&records)
        .filter(|(_, record)| record.is_none())
        .map(|((_, files), _)| files.name.as_str())
        .collect();
    if let Some(first) = lost.first() {
        return Err(Error::new(
            PARTS_MISSING,
            format!("{} of {} shards are missing in {}", lost.len(), files.len(), out.display()),
        )
        .info(format!("the first is {first}; {}", output::parts_seen(out, &records)))
        .hint("run the parts that are missing (again): each goes on where it was; then merge"));
    }
    let records: Vec<Shard> = records.into_iter().flatten().collect();
    Ok(whole(&finish::finish(out, &kept, &records)?, begin))
}

/// The summary of a complete data set.
fn whole(manifest: &Manifest, begin: Instant) -> PrepSummary {
    let shards = || manifest.splits.iter().flat_map(|split| &split.shards);
    let kept = shards().map(|shard| shard.images).sum();
    let ignored = manifest.ignored.values().sum();
    PrepSummary {
        seen: kept + manifest.rejected + ignored,
        kept,
        rejected: manifest.rejected,
        ignored,
        bytes: shards().map(|shard| shard.bytes).sum(),
        seconds: begin.elapsed().as_secs_f64(),
        images_per_second: 0.0,
        warnings: manifest.warnings,
        rotations: manifest.rotations,
        shards: shards().count() as u64,
        resumed_shards: shards().count() as u64,
    }
}

/// The summary of a part. What was refused or ignored when planning is counted by the first.
fn part(plan: &PrepPlan, kept: &Kept, mine: &[usize], records: &[Shard]) -> Result<PrepSummary> {
    let files = kept.files(&plan.out);
    let first = plan.part.is_some_and(|part| part.index == 0);
    let (refused, ignored) = match first {
        true => (plan.about.rejected.len() as u64, plan.about.ignored.values().sum()),
        false => (0, 0),
    };
    let (mut rejected, mut warnings, mut rotations) = (refused, 0, 0);
    for (&i, record) in mine.iter().zip(records) {
        let index = files[i].1.read_index(record)?;
        rejected += index.rejected.len() as u64;
        warnings += index.warnings;
        rotations += index.rotations;
    }
    let kept = records.iter().map(|shard| shard.images).sum();
    Ok(PrepSummary {
        seen: kept + rejected + ignored,
        kept,
        rejected,
        ignored,
        bytes: records.iter().map(|shard| shard.bytes).sum(),
        seconds: 0.0,
        images_per_second: 0.0,
        warnings,
        rotations,
        shards: records.len() as u64,
        resumed_shards: 0,
    })
}

fn resume_at(shards: &[ShardPlan], mine: &[usize], earlier: &[Option<Shard>]) -> PrepProgress {
    let mut start = PrepProgress::default();
    for (&i, record) in mine.iter().zip(earlier) {
        start.total += shards[i].items.len();
        if let Some(record) = record {
            start.done += shards[i].items.len();
            start.kept += record.images as usize;
        }
    }
    start.rejected = start.done - start.kept;
    start
}

/// A worker's panic reaches the caller through the scope; until then the data are still consistent.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Counts images and reports now and then.
struct Counter<'a> {
    state: Mutex<PrepProgress>,
    report: &'a (dyn Fn(PrepProgress) + Sync),
}

impl<'a> Counter<'a> {
    const REPORTS: usize = 5000;

    fn new(start: PrepProgress, report: &'a (dyn Fn(PrepProgress) + Sync)) -> Self {
        Self { state: Mutex::new(start), report }
    }

    fn add(&self, kept: bool) {
        // Reported under the lock, so that no report overtakes a later one.
        let mut progress = lock(&self.state);
        progress.done += 1;
        progress.kept += usize::from(kept);
        progress.rejected += usize::from(!kept);
        if progress.done.is_multiple_of(progress.total.div_ceil(Self::REPORTS)) {
            (self.report)(*progress);
        }
    }

    fn now(&self) -> PrepProgress {
        *lock(&self.state)
    }

    fn finish(&self) -> PrepProgress {
        let progress = self.now();
        (self.report)(progress);
        progress
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
