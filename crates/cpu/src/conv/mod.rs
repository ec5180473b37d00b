//! Convolutions as products of matrices. The input of each task is copied once with its border of zeros; the kernels
//! then read every window where it lies: in NHWC one kernel row of a window (columns and maps) is contiguous.

mod choice;
mod few_weights;
mod forward;
mod pooled;
mod weights;
mod winograd;

pub use choice::Convolution;
pub(crate) use forward::{forward, input_gradient};
pub(crate) use pooled::Pooled;
pub(crate) use weights::{sum_rows, weight_gradient};

/// The shape of a convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Sides, size and step.
    pub(crate) window: ilsvrc_network::Window,
    /// Maps that each window reads.
    pub(crate) in_maps: usize,
    /// Maps that it writes.
    pub(crate) out_maps: usize,
}

impl Shape {
    /// The maps that the windows read, as far as they reach.
    fn read(&self) -> Padded {
        let Self { window, in_maps, .. } = *self;
        let width = (window.output - 1) * window.stride + window.size;
        Padded { side: window.input, maps: in_maps, pad: window.pad as isize, dilation: 1, width }
    }
}

/// A map of NHWC images and what surrounds it: zeros, and for the gradient of a strided convolution zeros between its
/// positions. Square sides.
#[derive(Clone, Copy)]
struct Padded {
    /// Side of the stored maps.
    side: usize,
    /// Maps at a position.
    maps: usize,
    /// Position (0, 0) of the stored maps is (pad, pad) here; negative where a border is cut off.
    pad: isize,
    /// Stored positions are this far apart here.
    dilation: usize,
    /// Positions of a padded row.
    width: usize,
}

impl Padded {
    /// Elements of a stored image.
    fn stored(&self) -> usize {
        self.side * self.side * self.maps
    }

    /// The stored position that lies at padded position `p`.
    fn position(&self, p: usize) -> Option<usize> {
        let p = usize::try_from(p as isize - self.pad).ok()?;
        (p.is_multiple_of(self.dilation) && p / self.dilation < self.side).then_some(p / self.dilation)
    }

    /// Writes padded rows `first ..` of `image`, as many as `out` holds.
    fn copy(&self, image: &[f32], first: usize, out: &mut [f32]) {
        let row = self.width * self.maps;
        for (y, out) in out.chunks_exact_mut(row).enumerate() {
            match self.position(first + y) {
                Some(y) => self.copy_row(&image[y * self.side * self.maps..][..self.side * self.maps], out),
                None => out.fill(0.0),
            }
        }
    }

    fn copy_row(&self, row: &[f32], out: &mut [f32]) {
        if self.dilation == 1 {
            // Stored columns `from .. to` are visible, the first at padded column `left`.
            let left = self.pad.max(0) as usize;
            let from = (-self.pad).max(0) as usize;
            let to = self.side.min((from + self.width).saturating_sub(left)).max(from);
            let (before, rest) = out.split_at_mut(left.min(self.width) * self.maps);
            let (inside, after) = rest.split_at_mut((to - from) * self.maps);
            before.fill(0.0);
            inside.copy_from_slice(&row[from * self.maps..to * self.maps]);
            after.fill(0.0);
        } else {
            for (x, out) in out.chunks_exact_mut(self.maps).enumerate() {
                match self.position(x) {
                    Some(x) => out.copy_from_slice(&row[x * self.maps..][..self.maps]),
                    None => out.fill(0.0),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Padded;

    #[test]
    fn borders_cuts_and_dilation() {
        let image: Vec<f32> = (1..=9u8).map(f32::from).collect();
        let rows = |pad, dilation, width: usize, first, count: usize| {
            let mut out = vec![-1.0; width * count];
            Padded { side: 3, maps: 1, pad, dilation, width }.copy(&image, first, &mut out);
            out
        };
        assert_eq!(rows(1, 1, 5, 0, 2), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 0.0]);
        assert_eq!(rows(-1, 1, 3, 1, 2), [8.0, 9.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(rows(0, 2, 5, 1, 2), [0.0, 0.0, 0.0, 0.0, 0.0, 4.0, 0.0, 5.0, 0.0, 6.0]);
        assert_eq!(rows(4, 1, 3, 4, 1), [0.0, 0.0, 0.0]);
        assert_eq!(rows(-4, 1, 2, 0, 1), [0.0, 0.0]);
        assert_eq!(rows(0, 1, 2, 0, 1), [1.0, 2.0]);
    }
}
