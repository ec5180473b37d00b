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
    /// Forward, backward and update.
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

/// The trainer may wait this share of its time before another stage is named: queues run dry now and then.
const WAITING_ALLOWED: f64 = 0.05;

/// Measures the stages over some steps.
pub(crate) struct Meter {
    start: StageTimes,
    copy: f64,
    train: f64,
}

impl Meter {
    /// Starts at the loader's times `start`.
    pub(crate) fn new(start: StageTimes) -> Self {
        Self { start, copy: 0.0, train: 0.0 }
    }

    /// Adds a step's seconds.
    pub(crate) fn add(&mut self, copy: f64, train: f64) {
        self.copy += copy;
        self.train += train;
    }

    /// Shares of `seconds`, and the stage that held the others back.
    pub(crate) fn finish(&self, end: &StageTimes, seconds: f64) -> (StageShares, Stage) {
        // Clocks are read at different instants, so a share may exceed 1 by a little.
        let share = |busy: f64| if seconds > 0.0 { (busy / seconds).clamp(0.0, 1.0) } else { 0.0 };
        let shares = StageShares {
            read: share(end.read - self.start.read),
            decode: share((end.decode - self.start.decode) / end.threads.max(1) as f64),
            copy: share(self.copy),
            train: share(self.train),
        };
        let limiting = if share(end.waited - self.start.waited) <= WAITING_ALLOWED {
            Stage::Train
        } else if shares.read > shares.decode {
            Stage::Read
        } else {
            Stage::Decode
        };
        (shares, limiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiting(read: f64, decode: f64, waited: f64) -> Stage {
        let mut meter = Meter::new(StageTimes { read: 1.0, decode: 1.0, waited: 1.0, threads: 2 });
        meter.add(1.0, 4.0);
        let end = StageTimes { read: 1.0 + read, decode: 1.0 + decode, waited: 1.0 + waited, threads: 2 };
        let (shares, stage) = meter.finish(&end, 10.0);
        assert_eq!((shares.copy, shares.train), (0.1, 0.4));
        assert!((shares.decode - decode / 20.0).abs() < 1e-12);
        stage
    }

    #[test]
    fn the_trainer_limits_unless_it_waits() {
        assert_eq!(limiting(9.0, 9.0, 0.1), Stage::Train);
        assert_eq!(limiting(9.0, 9.0, 5.0), Stage::Read);
        assert_eq!(limiting(1.0, 19.0, 5.0), Stage::Decode);
    }
}
