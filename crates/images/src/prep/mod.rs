//! Photos of any size to a data set: shards of square JPEGs in a random order, an index for each, a manifest, and the
//! statistics that training needs.
//!
//! Shard `k` of a split holds images `k * shard_images ..` of the split's seeded shuffle. Shards are made independently, so
//! the result is the same for any number of workers, and an interrupted run goes on with the shards that are missing.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use ilsvrc_diagnostics::{Error, INTERNAL, Result, SOURCE_EMPTY, TOO_MANY_REJECTED};
use serde::Serialize;

mod output;
mod plan;
mod shard;
mod source;
mod statistics;

pub use plan::{Item, PrepPlan, Source, SourceKind, SplitPlan};

use crate::atomic::write_atomically;
use crate::dataset::{MANIFEST, MEAN, Manifest, NO_CHECKSUM, Preprocessing, Split};
use crate::index::{VERSION, sha256};
use crate::npy;
use output::{REJECTED, State};
use plan::ShardPlan;
use shard::{Files, Record, Worker};
use statistics::ColourSums;

/// The decoder, for the preprocessing record.
pub(crate) const DECODER: &str = "libjpeg-turbo 3.1.0, accurate integer DCT, smooth upsampling";

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PrepProgress {
    /// Images dealt with, those of earlier runs included.
    pub done: usize,
    /// Images in the plan.
    pub total: usize,
    /// Images kept.
    pub kept: usize,
    /// Images left out.
    pub rejected: usize,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrepSummary {
    /// Images in the plan.
    pub seen: u64,
    /// Images in the shards.
    pub kept: u64,
    /// Images left out, listed in `rejected.jsonl`.
    pub rejected: u64,
    /// Files of the source that are no images.
    pub ignored: u64,
    /// Bytes of all shards.
    pub bytes: u64,
    /// Seconds of this run.
    pub seconds: f64,
    /// Images of this run by its seconds.
    pub images_per_second: f64,
    /// Images kept although libjpeg warned.
    pub warnings: u64,
    /// Shards that an earlier run had finished.
    pub resumed_shards: u64,
}

/// Prepares a data set. `progress` is called from the workers, at most 5,000 times in all. Setting `cancel`
/// stops within an image; running the same plan again goes on.
pub fn prep(
    plan: &PrepPlan,
    cancel: &AtomicBool,
    progress: &(dyn Fn(PrepProgress) + Sync),
) -> Result<PrepSummary> {
    let begin = Instant::now();
    plan.check()?;
    let hash = plan.hash()?;
    let unfinished = match output::open(plan, &hash)? {
        State::Complete(manifest) => return finished_before(plan, &manifest, begin, progress),
        State::Open(path) => path,
    };
    let shards = plan.shards();
    let files: Vec<Files> = shards.iter().map(|shard| Files::new(plan, &unfinished, shard)).collect();
    let earlier: Vec<Option<Record>> = files.iter().map(Files::finished).collect();
    let resumed = earlier.iter().flatten().count() as u64;
    let counter = Counter::new(plan, &earlier, progress);
    let before = counter.now().done;
    let records = run(plan, cancel, &shards, &files, earlier, &counter)?;
    let reached = counter.finish();

    let rejected: Vec<&shard::Rejected> = records.iter().flat_map(|record| &record.rejected).collect();
    write_atomically(&plan.out.join(REJECTED), |file| {
        rejected.iter().try_for_each(|line| {
            serde_json::to_writer(&mut *file, line)?;
            file.write_all(b"\n")
        })
    })?;
    check_rejected(plan, &rejected)?;
    let manifest = manifest(plan, hash, &shards, &files, &records)?;
    write_atomically(&plan.out.join(MANIFEST), |file| file.write_all(manifest.as_bytes()))?;
    output::close(&unfinished)?;

    let seconds = begin.elapsed().as_secs_f64();
    Ok(PrepSummary {
        seen: plan.images() as u64,
        kept: reached.kept as u64,
        rejected: reached.rejected as u64,
        ignored: plan.ignored,
        bytes: records.iter().map(|record| record.shard.bytes).sum(),
        seconds,
        images_per_second: (reached.done - before) as f64 / seconds,
        warnings: records.iter().map(|record| record.warnings).sum(),
        resumed_shards: resumed,
    })
}

/// Makes the shards that are missing; workers take one after another.
fn run(
    plan: &PrepPlan,
    cancel: &AtomicBool,
    shards: &[ShardPlan],
    files: &[Files],
    earlier: Vec<Option<Record>>,
    counter: &Counter,
) -> Result<Vec<Record>> {
    let missing: Vec<usize> = (0..shards.len()).filter(|&i| earlier[i].is_none()).collect();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None::<Error>));
    let records = Mutex::new(earlier);
    // The first failure stops the others through the same flag that each looks at between images.
    let stop = AtomicBool::new(false);
    let work = || {
        let mut worker = Worker::new(plan, &stop);
        while let Some(&i) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            let seen = |kept| {
                counter.add(kept);
                if cancel.load(Ordering::Relaxed) {
                    stop.store(true, Ordering::Relaxed);
                }
            };
            match worker.write(&shards[i], &files[i], &seen) {
                Ok(record) => lock(&records)[i] = Some(record),
                Err(error) => {
                    // Kept before the others stop, which is an error of its own.
                    lock(&failed).get_or_insert(error);
                    stop.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
    };
    stop.store(cancel.load(Ordering::Relaxed), Ordering::Relaxed);
    std::thread::scope(|scope| {
        for _ in 0..plan.workers.min(missing.len()) {
            scope.spawn(work);
        }
    });
    if let Some(error) = lock(&failed).take() {
        return Err(error);
    }
    let records = std::mem::take(&mut *lock(&records));
    records.into_iter().collect::<Option<_>>().ok_or_else(|| Error::new(INTERNAL, "a shard was not written"))
}

/// A worker's panic reaches the caller through the scope; until then the data are still consistent.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn check_rejected(plan: &PrepPlan, rejected: &[&shard::Rejected]) -> Result<()> {
    let share = rejected.len() as f64 / plan.images() as f64;
    let Some(first) = rejected.first().filter(|_| share > plan.max_rejected) else { return Ok(()) };
    let list = plan.out.join(REJECTED);
    Err(Error::new(
        TOO_MANY_REJECTED,
        format!(
            "{} of {} images ({:.1} %) cannot be used; at most {:.1} % are allowed",
            rejected.len(),
            plan.images(),
            share * 100.0,
            plan.max_rejected * 100.0
        ),
    )
    .info(format!("for example {}: {}; all are listed in {}", first.path, first.reason, list.display()))
    .hint("repair them and run again with --force, or allow more with --max-rejected"))
}

/// Writes the mean image and returns the text of the manifest.
fn manifest(
    plan: &PrepPlan,
    hash: String,
    shards: &[ShardPlan],
    files: &[Files],
    records: &[Record],
) -> Result<String> {
    let statistics = plan.statistics_split();
    let (mut pixels, mut colours) = (vec![0u64; plan.size * plan.size * 3], ColourSums::default());
    for (files, record) in files.iter().zip(records) {
        if let Some(sums) = &record.colours {
            colours.add(sums);
            add_sums(&mut pixels, files)?;
        }
    }
    let images = colours.count / (plan.size * plan.size) as u64;
    if images == 0 {
        let name = &plan.splits[statistics].name;
        return Err(Error::new(SOURCE_EMPTY, format!("no image of the split {name} can be used")));
    }
    let mean: Vec<f32> = pixels.iter().map(|&sum| (sum as f64 / images as f64) as f32).collect();
    let mut mean_file = Vec::new();
    npy::write(&mut mean_file, &[plan.size, plan.size, 3], &mean)
        .map_err(|error| Error::new(INTERNAL, "cannot write the mean image").info(error.to_string()))?;
    write_atomically(&plan.out.join(MEAN), |file| file.write_all(&mean_file))?;

    let splits = plan.splits.iter().enumerate().map(|(number, split)| {
        let of_split = shards.iter().zip(records).filter(|(shard, _)| shard.split == number);
        let shards: Vec<_> = of_split.map(|(_, record)| record.shard.clone()).collect();
        Split { name: split.name.clone(), images: shards.iter().map(|shard| shard.images).sum(), shards }
    });
    Manifest {
        version: VERSION,
        checksum: NO_CHECKSUM.to_owned(),
        name: plan.name.clone(),
        size: plan.size,
        classes: plan.classes.clone(),
        splits: splits.collect(),
        rejected: records.iter().map(|record| record.rejected.len() as u64).sum(),
        warnings: records.iter().map(|record| record.warnings).sum(),
        ignored: plan.ignored,
        statistics_of: plan.splits[statistics].name.clone(),
        channel_mean: colours.mean(),
        pca: colours.pca(),
        mean_sha256: sha256(&mean_file),
        preprocessing: Preprocessing {
            resize: plan.resize,
            filter: crate::resize::FILTER.to_owned(),
            decoder: DECODER.to_owned(),
            quality: plan.quality,
            subsampling: "4:2:0".to_owned(),
            seed: plan.seed,
            layout: plan.layout.clone(),
            sources: plan.sources.clone(),
        },
        plan: hash,
    }
    .to_text()
}

/// Adds a shard's sums of pixels, as [`Worker::write`] left them.
fn add_sums(total: &mut [u64], files: &Files) -> Result<()> {
    let damaged = |info: String| {
        Error::new(ilsvrc_diagnostics::SHARD_CORRUPT, format!("{} is damaged", files.sums.display()))
            .info(info)
            .hint("run again with --force")
    };
    let bytes = std::fs::read(&files.sums).map_err(|error| damaged(error.to_string()))?;
    if bytes.len() != total.len() * 4 {
        return Err(damaged(format!("it has {} bytes instead of {}", bytes.len(), total.len() * 4)));
    }
    for (total, sum) in total.iter_mut().zip(bytes.chunks_exact(4)) {
        *total += u64::from(u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]));
    }
    Ok(())
}

/// The plan had been carried out: nothing to do.
fn finished_before(
    plan: &PrepPlan,
    manifest: &Manifest,
    begin: Instant,
    progress: &dyn Fn(PrepProgress),
) -> Result<PrepSummary> {
    let (seen, rejected) = (plan.images(), manifest.rejected as usize);
    progress(PrepProgress { done: seen, total: seen, kept: seen - rejected, rejected });
    let shards = || manifest.splits.iter().flat_map(|split| &split.shards);
    Ok(PrepSummary {
        seen: seen as u64,
        kept: shards().map(|shard| shard.images).sum(),
        rejected: manifest.rejected,
        ignored: manifest.ignored,
        bytes: shards().map(|shard| shard.bytes).sum(),
        seconds: begin.elapsed().as_secs_f64(),
        images_per_second: 0.0,
        warnings: manifest.warnings,
        resumed_shards: shards().count() as u64,
    })
}

/// Counts images and reports now and then.
struct Counter<'a> {
    state: Mutex<PrepProgress>,
    report: &'a (dyn Fn(PrepProgress) + Sync),
}

impl<'a> Counter<'a> {
    const REPORTS: usize = 5000;

    fn new(plan: &PrepPlan, earlier: &[Option<Record>], report: &'a (dyn Fn(PrepProgress) + Sync)) -> Self {
        let mut start = PrepProgress { total: plan.images(), ..PrepProgress::default() };
        for record in earlier.iter().flatten() {
            start.kept += record.shard.images as usize;
            start.rejected += record.rejected.len();
        }
        start.done = start.kept + start.rejected;
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
