//! Shards that another program wrote become a data set where they lie: every image is decoded once, for the statistics and
//! to see that all have one size, and manifest, mean and indexes are written beside the shards, which stay as they are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ilsvrc_diagnostics::{Error, IMAGE_SIZE, INTERRUPTED, LAYOUT_UNKNOWN, Result, SOURCE_UNREADABLE};

use super::finish::{self, Totals};
use super::output::Kept;
use super::plan::{Item, PrepPlan};
use super::source::Reader;
use super::statistics::{ColourSums, PixelSums};
use super::{Counter, PrepProgress, lock};
use crate::atomic::write_atomically;
use crate::dataset::{Manifest, Shard, Split};
use crate::index::{Row, ShardIndex, VERSION, file_name, sha256, sha256_of};
use crate::jpeg::{Decoder, read_header};

/// What is known of a shard once it was read.
struct Read {
    split: usize,
    shard: Shard,
    sums: Option<PixelSums>,
    colours: ColourSums,
}

/// Makes the shards that are the sources of `plan`, all of them in `plan.out`, a data set.
pub fn adopt(
    plan: &PrepPlan,
    cancel: &AtomicBool,
    progress: &(dyn Fn(PrepProgress) + Sync),
) -> Result<Manifest> {
    plan.check()?;
    let shards = by_shard(plan)?;
    let side = first_side(plan)?;
    let counter = Counter::new(PrepProgress { total: plan.images(), ..PrepProgress::default() }, progress);
    let numbers: Vec<u32> = shards.keys().copied().collect();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..plan.workers.min(shards.len()) {
            scope.spawn(|| {
                while let Some(&source) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (split, items) = &shards[&source];
                    match read(plan, source, *split, items, side, &|| {
                        counter.add(true);
                        cancel.load(Ordering::Relaxed) || lock(&failed).is_some()
                    }) {
                        Ok(read) => drop(lock(&done).insert(source, read)),
                        Err(error) => {
                            lock(&failed).get_or_insert(error);
                            return;
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = lock(&failed).take() {
        return Err(error);
    }
    counter.finish();
    let done = std::mem::take(&mut *lock(&done));
    write(plan, side, done.into_values())
}

/// The items of each shard in its order. A shard must belong to one split.
fn by_shard(plan: &PrepPlan) -> Result<BTreeMap<u32, (usize, Vec<&Item>)>> {
    let mut shards: BTreeMap<u32, (usize, Vec<&Item>)> = BTreeMap::new();
    for (split, items) in plan.splits.iter().map(|split| &split.items).enumerate() {
        for item in items {
            let (of, shard) = shards.entry(item.source).or_insert((split, Vec::new()));
            if *of != split {
                let folder = plan.out.display();
                return Err(Error::new(LAYOUT_UNKNOWN, format!("no shard of {folder} is for validation"))
                    .info("shards are used where they lie, whole; none has `val` or `test` in its name")
                    .hint(format!(
                        "name some val-000000.tar …, or have a tenth split off: ilsvrc prep {folder} -o NEW"
                    )));
            }
            shard.push(item);
        }
    }
    shards.values_mut().for_each(|(_, items)| items.sort_by_key(|item| item.offset));
    Ok(shards)
}

fn first_side(plan: &PrepPlan) -> Result<usize> {
    let mut bytes = Vec::new();
    let Some(first) = plan.splits.iter().find_map(|split| split.items.first()) else { return Ok(0) };
    Reader::new(&plan.about.sources)
        .read(first, &mut bytes)?
        .map_err(|reason| unusable(plan, first, reason))?;
    let header = read_header(&bytes).map_err(|error| unusable(plan, first, error.message))?;
    Ok(header.width)
}

fn unusable(plan: &PrepPlan, item: &Item, reason: String) -> Error {
    let shard = plan.about.sources[item.source as usize].path.display();
    let message = format!("{} of {shard} cannot be used as it is: {reason}", item.path.display());
    Error::new(IMAGE_SIZE, message)
        .info(
            "shards of another program are trained on directly when all images are JPEGs of one square size",
        )
        .hint(format!("make such ones of them: ilsvrc prep {} -o NEW", plan.out.display()))
}

/// Reads and decodes a shard, and writes its index. `seen` says whether to stop.
fn read(
    plan: &PrepPlan,
    source: u32,
    split: usize,
    items: &[&Item],
    side: usize,
    seen: &dyn Fn() -> bool,
) -> Result<Read> {
    let path = &plan.about.sources[source as usize].path;
    let with_sums = split == plan.statistics_split();
    let (mut sums, mut colours) = (with_sums.then(|| PixelSums::new(side)), ColourSums::default());
    let (mut reader, mut decoder) = (Reader::new(&plan.about.sources), Decoder::new());
    let (mut bytes, mut pixels, mut rows) = (Vec::new(), vec![0; side * side * 3], Vec::new());
    for item in items {
        reader.read(item, &mut bytes)?.map_err(|reason| unusable(plan, item, reason))?;
        decoder
            .decode_square(&bytes, side, &mut pixels)
            .map_err(|error| unusable(plan, item, error.message))?;
        if let Some(sums) = &mut sums {
            sums.add(&pixels);
            colours.add_pixels(&pixels);
        }
        let path = item.path.to_string_lossy().into_owned();
        let key = path.rsplit_once('.').map_or(path.clone(), |(key, _)| key.to_owned());
        let offset = item.offset.unwrap_or(0);
        let (size, class, boxes) = (item.size, item.class, item.boxes.to_vec());
        rows.push(Row { key, offset, length: size, class, path, size, boxes });
        if seen() {
            return Err(Error::new(INTERRUPTED, "indexing the shards was stopped"));
        }
    }
    let unreadable = |error: &std::io::Error| Error::io(SOURCE_UNREADABLE, "read", path, error);
    let mut file = File::open(path).map_err(|e| unreadable(&e))?;
    let mut length = 0;
    let hash = sha256_of(&mut file, |n| {
        length += n as u64;
        Ok(())
    });
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let images = rows.len() as u64;
    let index = ShardIndex {
        version: VERSION,
        shard: name.clone(),
        plan: String::new(),
        images: rows,
        rejected: Vec::new(),
        warnings: 0,
        rotations: 0,
        colours: with_sums.then_some(colours),
    };
    let text = super::shard::json(&index)?;
    write_atomically(&plan.out.join(file_name(&name)), |file| file.write_all(&text))?;
    let sha256_of_file = hash.map_err(|e| unreadable(&e))?;
    let shard =
        Shard { file: name, images, bytes: length, sha256: sha256_of_file, index_sha256: sha256(&text) };
    Ok(Read { split, shard, sums, colours })
}

fn write(plan: &PrepPlan, side: usize, shards: impl Iterator<Item = Read>) -> Result<Manifest> {
    let (rejected, kept) = (plan.about.rejected.clone(), plan.images() as u64);
    let mut totals = Totals { rejected, kept, ..Totals::default() };
    let mut pixels = vec![0u64; side * side * 3];
    let mut splits: Vec<Split> = plan
        .splits
        .iter()
        .map(|split| Split { name: split.name.clone(), images: 0, shards: Vec::new() })
        .collect();
    for Read { split, shard, sums, colours } in shards {
        totals.colours.add(&colours);
        if let Some(sums) = sums {
            pixels.iter_mut().zip(sums.into_sums()).for_each(|(total, sum)| *total += u64::from(sum));
        }
        splits[split].images += shard.images;
        splits[split].shards.push(shard);
    }
    let mut kept = Kept::of(plan, "", &[]);
    kept.about.settings.size = side;
    // Nobody wrote down how the images were made.
    kept.about.settings.quality = 0;
    kept.about.request = serde_json::Value::Null;
    finish::account(&plan.out, &kept, &totals)?;
    let mean = finish::mean_file(side, &pixels, &totals.colours)?;
    finish::write_manifest(&plan.out, &kept, splits, &totals, &mean)
}
