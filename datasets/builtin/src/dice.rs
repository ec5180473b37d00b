//! Numbers of one image, drawn one after the other from its own stream.

use ilsvrc_random::{Purpose, Stream, unit};

/// A sequence of random numbers that depends on the seed and the image's number only.
pub(crate) struct Dice {
    stream: Stream,
    block: [u32; 4],
    drawn: u32,
}

impl Dice {
    /// The numbers of image `index` in the set of `seed`.
    pub(crate) fn new(seed: u64, index: u32) -> Self {
        Self { stream: Stream::new(seed, Purpose::Drawing, 0, index), block: [0; 4], drawn: 0 }
    }

    /// 32 random bits.
    pub(crate) fn bits(&mut self) -> u32 {
        let lane = self.drawn % 4;
        if lane == 0 {
            self.block = self.stream.block(self.drawn / 4);
        }
        self.drawn += 1;
        self.block[lane as usize]
    }

    /// A uniform number in `[low, high)`.
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * unit(self.bits())
    }

    /// An integer in `low..=high`.
    pub(crate) fn whole(&mut self, low: u32, high: u32) -> u32 {
        low + ((u64::from(self.bits()) * u64::from(high - low + 1)) >> 32) as u32
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        unit(self.bits()) < probability
    }

    /// Any of the given values.
    pub(crate) fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.whole(0, values.len() as u32 - 1) as usize]
    }
}
