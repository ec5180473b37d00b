//! Makes what was damaged afterwards again from the sources, and nothing else.

use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::AtomicBool;

use ilsvrc_diagnostics::{Error, Result, SOURCE_CHANGED};
use serde::Serialize;

use super::output::Kept;
use super::plan::{PrepPlan, ShardPlan};
use super::shard::Files;
use super::{Counter, PrepProgress, finish, output, team};
use crate::atomic::write_atomically;
use crate::dataset::{MEAN, Manifest, REJECTED, Shard};
use crate::index::file_name;

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// Shards made again.
    pub shards: usize,
    /// Files that were damaged.
    pub files: Vec<String>,
}

/// Makes `damaged` files (as [`Dataset::check`](crate::Dataset::check) names them) of the data set of `plan` again. The
/// result has the hashes of the manifest; where the sources do not give those any more, that is an error.
pub fn repair(
    plan: &PrepPlan,
    damaged: &[String],
    cancel: &AtomicBool,
    progress: &(dyn Fn(PrepProgress) + Sync),
) -> Result<RepairReport> {
    plan.check()?;
    let manifest = Manifest::read(&plan.out)?;
    let shards = plan.shards();
    if plan.hash(&shards)? != manifest.plan {
        return Err(Error::new(
            SOURCE_CHANGED,
            format!("the sources of {} are not what they were", plan.out.display()),
        )
        .info("photos were added, removed or changed since it was prepared")
        .hint("run the `ilsvrc prep` command of this data set: it says what changed and makes that again"));
    }
    let _lock = output::lock(&plan.out)?;
    mend(plan, &shards, &manifest, damaged, cancel, progress)
}

/// [`repair`] of a data set that is known to be of this plan.
pub(super) fn mend(
    plan: &PrepPlan,
    shards: &[ShardPlan],
    manifest: &Manifest,
    damaged: &[String],
    cancel: &AtomicBool,
    progress: &(dyn Fn(PrepProgress) + Sync),
) -> Result<RepairReport> {
    let damaged: HashSet<&str> = damaged.iter().map(String::as_str).collect();
    let mean_too = damaged.contains(MEAN);
    // The mean needs the sums of all.
    let is_missing = |shard: &ShardPlan| {
        let name = Files::of(plan, shard).name;
        damaged.contains(name.as_str())
            || damaged.contains(file_name(&name).as_str())
            || (mean_too && shard.split == plan.statistics_split())
    };
    let missing: Vec<usize> = (0..shards.len()).filter(|&i| is_missing(&shards[i])).collect();
    let images = missing.iter().map(|&i| shards[i].items.len()).sum();
    let counter = Counter::new(PrepProgress { total: images, ..PrepProgress::default() }, progress);
    let made = team::make(plan, shards, &missing, cancel, &|kept| counter.add(kept))?;
    counter.finish();

    let before: Vec<&Shard> = manifest.splits.iter().flat_map(|split| &split.shards).collect();
    for (&i, shard) in missing.iter().zip(&made) {
        if before.get(i) != Some(&shard) {
            return Err(changed(&shard.file));
        }
    }
    let kept = Kept::of(plan, &manifest.plan, shards);
    let records: Vec<Shard> = before.into_iter().cloned().collect();
    let totals = finish::totals(&kept, &kept.files(&plan.out), &records)?;
    if damaged.contains(REJECTED) {
        let text = finish::rejected(&totals.rejected)?;
        write_atomically(&plan.out.join(REJECTED), |file| file.write_all(&text))?;
    }
    if mean_too {
        let mean = finish::mean(&plan.out, &kept, &kept.files(&plan.out), &totals.colours)?;
        if crate::index::sha256(&mean) != manifest.mean_sha256 {
            return Err(changed(MEAN));
        }
        write_atomically(&plan.out.join(MEAN), |file| file.write_all(&mean))?;
    }
    output::close(&plan.out)?;
    let mut files: Vec<String> = damaged.into_iter().map(str::to_owned).collect();
    files.sort();
    Ok(RepairReport { shards: missing.len(), files })
}

fn changed(file: &str) -> Error {
    Error::new(SOURCE_CHANGED, format!("{file} was made again, but is not what it was"))
        .info("photos were changed in place since the data set was prepared: their names and lengths are the same, not their bytes")
        .hint("prepare the data set again with --force")
}
