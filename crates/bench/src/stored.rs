//! A prepared data set on somebody's disk: what the disk gives, what the cores decode, and how many GPU steps a second that
//! is.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ilsvrc_diagnostics::{Error, Result, SHARD_CORRUPT, SPLIT_EMPTY};
use ilsvrc_images::Dataset;
use serde::Serialize;

use crate::load::{Wanted, Warm};
use crate::machine::threads;
use crate::measure::{Measurement, median};
use crate::page_cache::{forget, read_from_disk};
use crate::work::{BATCH, CROP, Loaded, load};
use crate::{Run, Watch};

/// What a data set can feed from here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Feed {
    /// Crops a second: of an epoch that comes from the disk, or from memory where `cold` is false.
    pub images_per_second: f64,
    /// Images in a step.
    pub batch: usize,
    /// Steps a second that those are enough for.
    pub steps_per_second: f64,
    /// `disk` or `cores`: which of them holds the other back.
    pub limited_by: &'static str,
    /// The system could be made to forget the shards, so that they came from the disk.
    pub cold: bool,
}

/// A split of a prepared data set.
pub(crate) struct Stored {
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) split: String,
    /// The paths of its shards.
    pub(crate) shards: Vec<PathBuf>,
}

impl Stored {
    /// The training split of the data set in `folder`, or the first that has images.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let dataset = Dataset::open(folder)?;
        let splits = &dataset.manifest().splits;
        let filled = || splits.iter().filter(|split| split.images > 0);
        let split = filled().find(|split| split.name == "train").or_else(|| filled().next());
        let split =
            split.ok_or_else(|| Error::new(SPLIT_EMPTY, format!("{} has no images", folder.display())))?;
        let shards = split.shards.iter().map(|shard| folder.join(&shard.file)).collect();
        Ok(Self { split: split.name.clone(), shards, dataset: Arc::new(dataset) })
    }

    fn forget(&self) -> Result<()> {
        self.shards.iter().try_for_each(|path| forget(path).map_err(|error| unreadable(path, &error)))
    }
}

const COLD_DISK: &str = "load/disk/cold";
const WARM_DISK: &str = "load/disk/warm";

/// A share of bytes that must have come from the disk for a figure to be the disk's.
const COLD: f64 = 0.5;
/// The disk holds the cores back where an epoch from it is slower than this share of one from memory.
const HELD_BACK: f64 = 0.8;

/// Rates of the data set in `folder`, and what they mean for a GPU where loading was asked for.
pub(crate) fn measure(folder: &Path, run: &mut Run) -> Result<()> {
    let stored = Stored::open(folder)?;
    let side = CROP.min(stored.dataset.manifest().size);
    let cold_name = format!("load/cold/{side}");
    let wants_disk = run.wants(COLD_DISK) | run.wants(WARM_DISK);
    let wants_cold = run.wants(&cold_name);
    let mut wanted = Wanted::of(run, side);
    // What a cold epoch is held against.
    wanted.whole |= wants_cold;
    if !wants_disk && !wanted.any() {
        return Ok(());
    }
    let watch = run.watch;
    let rounds = 3;
    let budget = if run.request.quick {
        Budget { bytes: 200 << 20, seconds: 2.0 }
    } else {
        Budget { bytes: 2 << 30, seconds: 10.0 }
    };
    let [mut cold_disk, mut warm_disk, mut cold_load] = [const { Vec::new() }; 3];
    for round in 0..rounds {
        if wants_disk {
            watch.step("load: reading shards", round, rounds)?;
            stored.forget()?;
            let (before, cold) = (read_from_disk(), budget.read(&stored.shards, watch)?);
            if came_from_disk(before, cold.bytes) {
                cold_disk.push(cold.rate());
            }
            warm_disk.push(budget.read(&stored.shards, watch)?.rate());
        }
        if wanted.whole {
            watch.step("load: an epoch from the disk", round, rounds)?;
            stored.forget()?;
            let before = read_from_disk();
            let enough = |loaded: &Loaded| loaded.seconds > budget.seconds || watch.go_on().is_err();
            let loaded = load(&stored.dataset, &stored.split, round as u64, threads(), &enough)?;
            if came_from_disk(before, loaded.images as u64 * mean_length(&stored)?) {
                cold_load.push(loaded.images as f64 / loaded.seconds);
            }
        }
    }
    run.measurements.push(Measurement::rate(COLD_DISK, "MB/s", cold_disk));
    run.measurements.push(Measurement::rate(WARM_DISK, "MB/s", warm_disk));
    if wanted.any() {
        let warm = Warm::measure(&stored, rounds, wanted, watch)?;
        if wanted.whole {
            run.feed = Some(feed(&cold_load, &warm.whole));
            run.measurements.push(Measurement::images(cold_name, cold_load).limited_by(&warm.whole, 1));
        }
        run.measurements.extend(warm.measurements());
    }
    Ok(())
}

fn feed(cold: &[f64], warm: &Measurement) -> Feed {
    let cores = warm.median();
    let is_cold = !cold.is_empty();
    let images_per_second = if is_cold { median(cold) } else { cores };
    Feed {
        images_per_second,
        batch: BATCH,
        steps_per_second: images_per_second / BATCH as f64,
        limited_by: if images_per_second < HELD_BACK * cores { "disk" } else { "cores" },
        cold: is_cold,
    }
}

/// Whether most of `bytes` came from storage since it had delivered `before`.
fn came_from_disk(before: Option<u64>, bytes: u64) -> bool {
    let delivered = before.zip(read_from_disk()).map(|(before, now)| now.saturating_sub(before));
    delivered.is_some_and(|delivered| delivered as f64 > COLD * bytes as f64)
}

/// Bytes of an image in the mean.
fn mean_length(stored: &Stored) -> Result<u64> {
    let images = stored.dataset.images(&stored.split)?;
    Ok(images.iter().map(|image| u64::from(image.length)).sum::<u64>() / images.len() as u64)
}

/// When to stop reading.
struct Budget {
    bytes: u64,
    seconds: f64,
}

/// What was read.
struct ReadBytes {
    bytes: u64,
    seconds: f64,
}

impl ReadBytes {
    /// MB/s.
    fn rate(&self) -> f64 {
        self.bytes as f64 / self.seconds / 1e6
    }
}

impl Budget {
    /// Reads shards one after the other.
    fn read(&self, shards: &[PathBuf], watch: Watch) -> Result<ReadBytes> {
        let start = Instant::now();
        let mut read = ReadBytes { bytes: 0, seconds: 0.0 };
        let mut buffer = vec![0; 1 << 20];
        for path in shards {
            let mut shard = File::open(path).map_err(|error| unreadable(path, &error))?;
            loop {
                let count = shard.read(&mut buffer).map_err(|error| unreadable(path, &error))?;
                read = ReadBytes { bytes: read.bytes + count as u64, seconds: start.elapsed().as_secs_f64() };
                if read.bytes >= self.bytes || read.seconds >= self.seconds {
                    return Ok(read);
                }
                if count == 0 {
                    break;
                }
                watch.go_on()?;
            }
        }
        Ok(read)
    }
}

pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::io(SHARD_CORRUPT, "read", path, error)
}
