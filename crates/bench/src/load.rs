//! `load`: crops for training from shards, held against decoding alone; of a data set made here, or of one that is there.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use ilsvrc_diagnostics::Result;

use crate::machine::threads;
use crate::measure::{FmaBracket, Measurement};
use crate::stored::{Stored, unreadable};
use crate::work::{CROP, Loaded, Part, SIZE, decode_rate, load};
use crate::{Run, Watch, stored};

pub(crate) fn run(run: &mut Run) -> Result<()> {
    if let Some(folder) = &run.request.from {
        return stored::measure(folder, run);
    }
    let wanted = Wanted::of(run, CROP.min(SIZE));
    if !wanted.any() {
        return Ok(());
    }
    let stored = run.fixtures.dataset()?;
    let rounds = if run.request.quick { 3 } else { 5 };
    let warm = Warm::measure(&stored, rounds, wanted, run.watch)?;
    run.measurements.extend(warm.measurements());
    Ok(())
}

/// Which rates are asked for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    full: bool,
    crop: bool,
    pub(crate) whole: bool,
}

impl Wanted {
    /// Of a data set whose images give crops of `side` pixels.
    pub(crate) fn of(run: &mut Run, side: usize) -> Self {
        let full = run.wants(FULL);
        let crop = run.wants(&crop_name(side));
        Self { full, crop, whole: run.wants(&whole_name(side)) }
    }

    pub(crate) fn any(self) -> bool {
        self.full || self.crop || self.whole
    }
}

const FULL: &str = "load/decode/full";

fn crop_name(side: usize) -> String {
    format!("load/decode/crop{side}")
}

fn whole_name(side: usize) -> String {
    format!("load/whole/{side}")
}

/// Rates of a data set whose shards are in memory, or nearly. Those that were not asked for have no samples.
pub(crate) struct Warm {
    full: Measurement,
    crop: Measurement,
    pub(crate) whole: Measurement,
}

/// Images decoded alone in a round.
const DECODED: usize = 1000;
/// Seconds of loading in a round, if the split is large enough.
const SECONDS: f64 = 10.0;

impl Warm {
    /// Decodes some images alone and loads an epoch, or a part of a long one, in turns.
    pub(crate) fn measure(stored: &Stored, rounds: usize, wanted: Wanted, watch: Watch) -> Result<Self> {
        let files = some_files(stored, DECODED)?;
        let size = stored.dataset.manifest().size;
        let [mut full, mut crop, mut whole] = [const { Vec::new() }; 3];
        let bracket = FmaBracket::open(threads());
        for round in 0..rounds {
            watch.step("load: decoding alone", round, rounds)?;
            if wanted.full {
                full.push(decode_rate(&files, size, Part::Full)?);
            }
            // Also the limit of the whole.
            crop.push(decode_rate(&files, size, Part::Crop)?);
            if !wanted.whole {
                continue;
            }
            watch.step("load: all threads", round, rounds)?;
            let enough = |loaded: &Loaded| loaded.seconds > SECONDS || watch.go_on().is_err();
            let loaded = load(&stored.dataset, &stored.split, round as u64, threads(), &enough)?;
            watch.go_on()?;
            whole.push(loaded.images as f64 / loaded.seconds);
        }
        let peak = bracket.close();
        let side = CROP.min(size);
        let crop = Measurement::images(crop_name(side), crop).beside(&peak);
        Ok(Self {
            full: Measurement::images(FULL, full).beside(&peak),
            whole: Measurement::images(whole_name(side), whole).limited_by(&crop, threads()).beside(&peak),
            crop,
        })
    }

    pub(crate) fn measurements(self) -> [Measurement; 3] {
        [self.full, self.crop, self.whole]
    }
}

/// The first `count` JPEG files of a split, in memory.
fn some_files(stored: &Stored, count: usize) -> Result<Vec<Vec<u8>>> {
    let images = stored.dataset.images(&stored.split)?;
    let read = |image: &ilsvrc_images::ImageRef| {
        let path = &stored.shards[image.shard as usize];
        let bytes = File::open(path).and_then(|mut shard| {
            shard.seek(SeekFrom::Start(image.offset))?;
            let mut bytes = Vec::new();
            shard.take(u64::from(image.length)).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        bytes.map_err(|error| unreadable(path, &error))
    };
    images.iter().take(count).map(read).collect()
}
