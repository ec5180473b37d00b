//! Windows as kernels want them: `kernels/geometry.cuh` in Rust.

use ilsvrc_network::Window;

/// Division by a constant as a multiplication: `n / divisor = (high(n * multiplier) + n) >> shift` for `n < 2^31`
/// (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Divisor {
    divisor: u32,
    multiplier: u32,
    shift: u32,
}

impl Divisor {
    /// # Panics
    /// For 0 and above 2^31.
    pub(crate) fn new(divisor: usize) -> Self {
        assert!((1..=1 << 31).contains(&divisor), "division by {divisor}");
        let d = divisor as u64;
        let shift = d.next_power_of_two().trailing_zeros();
        let multiplier = ((1u64 << 32) * ((1u64 << shift) - d)) / d + 1;
        Self { divisor: divisor as u32, multiplier: multiplier as u32, shift }
    }
}

/// What a product of a convolution (or dense layer) reads and writes. Field by field `struct Geometry` of the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Geometry {
    pub(crate) images: i32,
    pub(crate) input: i32,
    pub(crate) output: i32,
    stride: i32,
    pad: i32,
    pub(crate) taps: i32,
    pub(crate) taps_x: i32,
    pub(crate) in_maps: i32,
    pub(crate) out_maps: i32,
    by_output_positions: Divisor,
    by_output: Divisor,
    by_input_positions: Divisor,
    by_input: Divisor,
    by_in_maps: Divisor,
    by_out_maps: Divisor,
    by_row: Divisor,
    by_taps_x: Divisor,
}

impl Geometry {
    /// `padding` is that of the weights' rows; see [`Padding`].
    pub(crate) fn new(images: usize, window: &Window, padding: &Padding, out_maps: usize) -> Self {
        let Padding { pitch, taps_x, .. } = *padding;
        Self {
            images: images as i32,
            input: window.input as i32,
            output: window.output as i32,
            stride: window.stride as i32,
            pad: window.pad as i32,
            taps: window.size as i32,
            taps_x: taps_x as i32,
            in_maps: pitch as i32,
            out_maps: out_maps as i32,
            by_output_positions: Divisor::new(window.output * window.output),
            by_output: Divisor::new(window.output),
            by_input_positions: Divisor::new(window.input * window.input),
            by_input: Divisor::new(window.input),
            by_in_maps: Divisor::new(pitch),
            by_out_maps: Divisor::new(out_maps),
            by_row: Divisor::new(taps_x * pitch),
            by_taps_x: Divisor::new(taps_x),
        }
    }
}

/// A dense layer is a convolution of one position.
pub(crate) const POINT: Window = Window { input: 1, output: 1, size: 1, stride: 1, pad: 0 };

/// How rows of weights, `[taps][taps][channels]`, are spread for the kernels: each position of the image takes `pitch`
/// elements instead of its 3 channels, and each row of the window `taps_x` positions, so that every 16-byte access
/// stays inside one row. What is added is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Padding {
    pub(crate) taps: usize,
    pub(crate) channels: usize,
    pub(crate) pitch: usize,
    pub(crate) taps_x: usize,
}

impl Padding {
    /// No padding: `rows` rows as they are.
    pub(crate) fn none(size: usize, maps: usize) -> Self {
        Self { taps: size, channels: maps, pitch: maps, taps_x: size }
    }

    /// Of the layer that reads the image, whose accesses have `vector` elements: two positions each where everything is
    /// even, else one.
    pub(crate) fn of_image(window: &Window, channels: usize, vector: usize) -> Self {
        let pairs = [window.input, window.stride, window.pad].iter().all(|n| n % 2 == 0);
        let pitch = if pairs { (vector / 2).max(4) } else { vector };
        let taps_x = if pairs && pitch < vector { window.size.next_multiple_of(2) } else { window.size };
        Self { taps: window.size, channels, pitch, taps_x }
    }

    /// Whether anything is added.
    pub(crate) fn is_none(&self) -> bool {
        self.channels == self.pitch && self.taps == self.taps_x
    }

    /// Rows without what is added.
    pub(crate) fn rows(&self) -> usize {
        self.taps * self.taps * self.channels
    }

    /// Rows with it.
    pub(crate) fn padded_rows(&self) -> usize {
        self.taps * self.taps_x * self.pitch
    }

    /// The padded row of a row.
    pub(crate) fn row(&self, row: usize) -> usize {
        let (tap, channel) = (row / self.channels, row % self.channels);
        (tap / self.taps * self.taps_x + tap % self.taps) * self.pitch + channel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisions_are_exact() {
        for divisor in [1, 2, 3, 5, 7, 48, 55, 121, 363, 729, 3025, 9216, 65_537, (1 << 31) - 1, 1 << 31] {
            let d = Divisor::new(divisor);
            let mut numbers = vec![0u32, 1, 2, (1 << 31) - 1];
            for k in [1u64, 2, 3, 1000, 12_345] {
                for off in [-1i64, 0, 1] {
                    let n = (k * divisor as u64) as i64 + off;
                    numbers.extend((0..1 << 31).contains(&n).then_some(n as u32));
                }
            }
            for n in numbers {
                let high = ((u64::from(n) * u64::from(d.multiplier)) >> 32) as u32;
                assert_eq!(
                    (u64::from(high) + u64::from(n)) >> d.shift,
                    u64::from(n) / divisor as u64,
                    "{n} / {divisor}"
                );
            }
        }
    }

    #[test]
    fn the_first_layers_of_the_presets() {
        let conv1 = Window { input: 224, output: 55, size: 11, stride: 4, pad: 0 };
        let bf16 = Padding::of_image(&conv1, 3, 8);
        assert_eq!((bf16.pitch, bf16.taps_x, bf16.padded_rows()), (4, 12, 528));
        assert_eq!((bf16.row(0), bf16.row(32), bf16.row(33)), (0, 42, 48));
        let f32 = Padding::of_image(&conv1, 3, 4);
        assert_eq!((f32.pitch, f32.taps_x), (4, 11));
        let cifar = Window { input: 32, output: 32, size: 5, stride: 1, pad: 2 };
        assert_eq!(Padding::of_image(&cifar, 3, 8).pitch, 8);
        assert!(Padding::none(3, 128).is_none());
    }
}
