//! How busy each stage of the pipeline was: read, decode, copy, train run at the same time on successive batches, and the
//! slowest holds the others back.

use ilsvrc_images::StageTimes;
use serde::Serialize;

/// A stage of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading shards.
    Read,
    /// JPEG decoding and augmentation.
    Decode,
    /// Copy, forward, backward and update.
    Train,
}

/// The share of the time that each stage was at work, 0 to 1; the mean over its threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StageShares {
    /// Reading shards.
    pub read: f64,
    /// JPEG decoding and augmentation.
    pub decode: f64,
    /// Crop, mean and colour: u8 pixels to the towers' input.
    pub copy: f64,
    /// Forward, backward and update.
    pub train: f64,
}

/// What held the pipeline back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limit {
    pub(crate) stage: Stage,
    /// Images a second that this stage would reach if it were never kept waiting; on a CPU, beside the work of the others.
    pub(crate) ceiling: f64,
}

/// The trainer may wait this share of its time before another stage is named: queues run dry now and then.
const WAITING_ALLOWED: f64 = 0.05;

/// Measures the stages from a loader's first batch on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    images: usize,
    copy: f64,
    train: f64,
    seconds: f64,
}

impl Meter {
    /// Adds a step's seconds.
    pub(crate) fn add_step(&mut self, images: usize, copy: f64, train: f64) {
        self.images += images;
        self.copy += copy;
        self.train += train;
    }

    /// Adds wall time.
    pub(crate) fn add_time(&mut self, seconds: f64) {
        self.seconds += seconds;
    }

    /// The share of the time that each stage was busy.
    pub(crate) fn shares(&self, loader: &StageTimes) -> StageShares {
        // Clocks are read at different instants, so a share may exceed 1 by a little.
        let share = |busy: f64| if self.seconds > 0.0 { (busy / self.seconds).clamp(0.0, 1.0) } else { 0.0 };
        StageShares {
            read: share(loader.read),
            decode: share(loader.decode / loader.threads.max(1) as f64),
            copy: share(self.copy),
            train: share(self.train),
        }
    }

    /// The stage that holds the others back: the slowest by images a second of its own work, unless the trainer hardly waits.
    /// Busy shares would not do, because decoders work ahead: in a short epoch they decode more than is trained. Nor do
    /// waits alone: at the start of an epoch the pipeline is empty, and there the trainer waits for any loader.
    pub(crate) fn limit(&self, loader: &StageTimes) -> Limit {
        let rate = |images: usize, busy: f64| if busy > 0.0 { images as f64 / busy } else { f64::INFINITY };
        let train = Limit { stage: Stage::Train, ceiling: rate(self.images, self.copy + self.train) };
        let read = Limit { stage: Stage::Read, ceiling: rate(loader.images_read, loader.read) };
        let decoders = loader.decode / loader.threads.max(1) as f64;
        let decode = Limit { stage: Stage::Decode, ceiling: rate(loader.images_decoded, decoders) };
        let waits = loader.waited > WAITING_ALLOWED * (self.seconds - loader.filling);
        let slowest = if waits {
            [read, decode]
                .into_iter()
                .fold(train, |slowest, stage| if stage.ceiling < slowest.ceiling { stage } else { slowest })
        } else {
            train
        };
        // What was reached can be reached; and a stage without work has no ceiling that JSON could hold.
        let reached = rate(self.images, self.seconds);
        let ceiling = if slowest.ceiling.is_finite() { slowest.ceiling.max(reached) } else { reached };
        Limit { ceiling, ..slowest }
    }
}

#[cfg(test)]
#[path = "stages_tests.rs"]
mod tests;
