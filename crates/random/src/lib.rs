//! Counter-based random numbers: every draw is a pure function of (seed, purpose, epoch or step, element), so
//! results do not depend on the number of threads nor on where a run was resumed.
//!
//! Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

/// What a number is drawn for; keeps the streams of one seed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Initial weights; `index` is the parameter's number.
    Weights = 1,
    /// Dropout masks; `index` is the layer's number, `time` the step.
    Dropout = 2,
    /// Order of the images in an epoch; `time` is the epoch.
    Order = 3,
    /// Crop, mirror and colour noise of an image; `index` is the image, `time` the epoch.
    Augmentation = 4,
    /// The global shuffle when shards are written.
    Shards = 5,
    /// Images of the built-in data set.
    Drawing = 6,
}

/// One stream: numbers for `purpose`, addressed by (`time`, `index`) and then by element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
    purpose_time: u64,
    index: u32,
}

impl Stream {
    /// The stream of `seed` for `purpose` at `time` (epoch or step) and `index` (layer, image, ...).
    /// `time` must be below 2^56.
    pub fn new(seed: u64, purpose: Purpose, time: u64, index: u32) -> Self {
        debug_assert!(time < 1 << 56);
        Self { key: [seed as u32, (seed >> 32) as u32], purpose_time: ((purpose as u64) << 56) | time, index }
    }

    /// Four 32-bit numbers, the `block`-th of the stream: elements `4 * block .. 4 * block + 4`.
    #[inline]
    pub fn block(&self, block: u32) -> [u32; 4] {
        philox(self.key, [block, self.index, self.purpose_time as u32, (self.purpose_time >> 32) as u32])
    }

    /// A number in `0..bound` (`bound > 0`), from the `element`-th draw. Multiply-shift: the bias is below bound / 2^32.
    pub fn below(&self, element: u32, bound: u32) -> u32 {
        let bits = self.block(element / 4)[(element % 4) as usize];
        ((u64::from(bits) * u64::from(bound)) >> 32) as u32
    }

    /// A uniform number in `[0, 1)`, from the `element`-th draw.
    pub fn uniform(&self, element: u32) -> f32 {
        unit(self.block(element / 4)[(element % 4) as usize])
    }

    /// Two independent standard normal numbers from the `pair`-th half block (Box and Muller 1958).
    pub fn normal_pair(&self, pair: u32) -> [f32; 2] {
        let block = self.block(pair / 2);
        let half = 2 * (pair % 2) as usize;
        // (bits + 1) / 2^32 is in (0, 1]: the logarithm is finite.
        let u = (f64::from(block[half]) + 1.0) / 4_294_967_296.0;
        let angle = f64::from(block[half + 1]) / 4_294_967_296.0 * std::f64::consts::TAU;
        let radius = (-2.0 * u.ln()).sqrt();
        [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
    }
}

/// The top 24 bits as a number in `[0, 1)`.
#[inline]
pub fn unit(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// A random order of `0..n` (Fisher and Yates), a pure function of the stream.
pub fn permutation(stream: &Stream, n: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i as usize, stream.below(i, i + 1) as usize);
    }
    order
}

/// Philox4x32 with 10 rounds: a keyed bijection of 128-bit counters.
#[inline]
pub fn philox(mut key: [u32; 2], mut counter: [u32; 4]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox([0, 0], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 2], [u32::MAX; 4]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox([0xa409_3822, 0x299f_31d0], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn permutation_is_a_permutation_and_differs_by_epoch() {
        let order = |epoch| permutation(&Stream::new(7, Purpose::Order, epoch, 0), 1000);
        let mut sorted = order(0);
        assert_ne!(order(0), order(1));
        assert_eq!(order(3), order(3));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let s = Stream::new(1, Purpose::Weights, 0, 0);
        let draws: Vec<f64> = (0..50_000).flat_map(|i| s.normal_pair(i)).map(f64::from).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
    }
}
