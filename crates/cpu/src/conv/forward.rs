//! Convolution, and its input gradient as a convolution with the flipped kernels.

use super::choice::Transformed;
use super::{Padded, Shape, winograd};
use crate::arena::Shared;
use crate::backend::Machine;
use crate::gemm::{Ahead, Finish, Left, MAX_ROWS, Matrix, Rows, Tile, pack};
use crate::kept::{Form, Kept};
use ilsvrc_diagnostics::Result;
use ilsvrc_network::Activation;
use rayon::prelude::*;

/// Elements of padded input that a task works on: with the panel of weights that it multiplies with, they stay in a
/// second-level cache of 512 KiB.
const TASK_ELEMENTS: usize = 48 * 1024;

/// Small maps of several images make one task until it has this many positions, or it would only move weights.
const TASK_POSITIONS: usize = 512;

/// `output = activation(conv(input, weights) + bias)`; weights HWIO, and where they are kept in the form that is multiplied.
pub(crate) fn forward(
    machine: &mut Machine,
    shape: &Shape,
    batch: usize,
    input: &[f32],
    (weights, kept): (&[f32], Option<&mut Kept>),
    bias: &[f32],
    activation: Activation,
    output: &mut [f32],
) -> Result<()> {
    let Shape { window, out_maps, .. } = *shape;
    let sliding = Sliding {
        padded: shape.read(),
        size: window.size,
        stride: window.stride,
        side: window.output,
        maps: out_maps,
    };
    let finish = Finish { accumulate: false, bias: Some(bias), activation };
    if let Some(photos) = machine.convolution.of_photos(shape) {
        return photos.forward(machine, batch, input, (weights, kept), finish, output);
    }
    let weights = Matrix { data: weights, stride: out_maps };
    let way = machine.convolution.transformed(shape, sliding.side, batch, kept.is_some());
    sliding.compute(way, machine, batch, input, (&weights, kept), finish, output)
}

/// `input_gradient = conv_transposed(output_gradient, weights)`. With `i = o * stride - pad + k` for kernel position
/// `k`, the sum over `k` of `gradient[(i + pad - k) / stride]` is a convolution of step 1, with the kernel turned
/// around, of the gradient with `stride - 1` zeros between its positions and `size - 1 - pad` before the first.
pub(crate) fn input_gradient(
    machine: &mut Machine,
    shape: &Shape,
    batch: usize,
    output_gradient: &[f32],
    weights: &[f32],
    input_gradient: &mut [f32],
) -> Result<()> {
    let Shape { window, in_maps, out_maps } = *shape;
    let padded = Padded {
        side: window.output,
        maps: out_maps,
        pad: window.size as isize - 1 - window.pad as isize,
        dilation: window.stride,
        width: window.input - 1 + window.size,
    };
    let sliding = Sliding { padded, size: window.size, stride: 1, side: window.input, maps: in_maps };
    let weights = Flipped { weights, positions: window.size * window.size, in_maps, out_maps };
    let finish = Finish { accumulate: false, bias: None, activation: Activation::None };
    let way = machine.convolution.transformed(shape, sliding.side, batch, false);
    sliding.compute(way, machine, batch, output_gradient, (&weights, None), finish, input_gradient)
}

/// Kernels turned around and transposed: row (position, output map), column (input map).
struct Flipped<'a> {
    weights: &'a [f32],
    positions: usize,
    in_maps: usize,
    out_maps: usize,
}

impl Rows for Flipped<'_> {
    #[inline]
    fn copy(&self, row: usize, first: usize, out: &mut [f32]) {
        let position = self.positions - 1 - row / self.out_maps;
        let start = (position * self.in_maps + first) * self.out_maps + row % self.out_maps;
        let column = self.weights[start..].iter().step_by(self.out_maps);
        out.iter_mut().zip(column).for_each(|(o, x)| *o = *x);
    }
}

/// Windows sliding over padded maps.
pub(super) struct Sliding {
    pub(super) padded: Padded,
    size: usize,
    stride: usize,
    /// Side of the maps written.
    pub(super) side: usize,
    /// Maps written.
    pub(super) maps: usize,
}

/// What one task writes: rows `rows` of images `images`; all rows where it has several images.
struct Part {
    images: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
}

impl Sliding {
    /// Padded rows under `rows` rows of windows.
    fn padded_rows(&self, rows: usize) -> usize {
        (rows - 1) * self.stride + self.size
    }

    /// Padded elements under `rows` rows of windows.
    fn elements(&self, rows: usize) -> usize {
        self.padded_rows(rows) * self.padded.width * self.padded.maps
    }

    /// Images of a task and bands of rows of an image; one of the two is 1. The split changes no sum, so it may look
    /// at the number of threads.
    fn split(&self, batch: usize, threads: usize) -> (usize, usize) {
        let image = self.elements(self.side);
        let bands = image.div_ceil(TASK_ELEMENTS).max((2 * threads).div_ceil(batch)).min(self.side);
        if bands > 1 {
            return (1, bands);
        }
        let images = TASK_POSITIONS.div_ceil(self.side * self.side).min(TASK_ELEMENTS / image);
        (images.min(batch.div_ceil(2 * threads)).max(1), 1)
    }

    /// By the transforms that were chosen, or directly.
    fn compute(
        &self,
        way: Option<Transformed>,
        machine: &mut Machine,
        batch: usize,
        input: &[f32],
        weights: (&impl Rows, Option<&mut Kept>),
        finish: Finish,
        output: &mut [f32],
    ) -> Result<()> {
        let run = match way {
            Some(Transformed::Three) => winograd::run::<3, 6>,
            Some(Transformed::Five) => winograd::run::<5, 8>,
            None => Self::run,
        };
        run(self, machine, batch, input, weights, finish, output)
    }

    fn run(
        &self,
        machine: &mut Machine,
        batch: usize,
        input: &[f32],
        (weights, kept): (&impl Rows, Option<&mut Kept>),
        finish: Finish,
        output: &mut [f32],
    ) -> Result<()> {
        let kernel = machine.kernel;
        let panels = kernel.panels(self.maps);
        let run = self.size * self.padded.maps;
        let terms = self.size * run;
        let (group, bands) = self.split(batch, machine.pool.current_num_threads());
        let rows = self.side.div_ceil(bands);
        let length = panels.packed(terms);
        let shared = if kept.is_some() { 0 } else { length };
        let (packed, own) = machine.scratch.get(shared, group * self.elements(rows))?;
        let (packed, ready) = match kept {
            Some(kept) => kept.weights(Form::Packed, length)?,
            None => (packed, false),
        };
        let segments: Vec<usize> = (0..self.size).map(|y| y * self.padded.width * self.padded.maps).collect();
        let output = Shared::new(output);

        let task = |part: Part, packed: &[f32]| {
            // SAFETY: one call in a task without parallel work.
            let buffer = unsafe { own.own() };
            let image_elements = self.elements(part.rows.len());
            for (image, padded) in part.images.clone().zip(buffer.chunks_exact_mut(image_elements)) {
                let stored = self.padded.stored();
                self.padded.copy(&input[image * stored..][..stored], part.rows.start * self.stride, padded);
            }
            let positions = part.images.len() * part.rows.len() * self.side;
            let first = (part.images.start * self.side + part.rows.start) * self.side;
            for panel in panels.iter() {
                let b = &packed[terms * panel.first..][..terms * panel.width];
                let finish = Finish { bias: finish.bias.map(|bias| &bias[panel.first..]), ..finish };
                let mut windows = Windows::new(self, image_elements, part.rows.len());
                for tile in kernel.tiles(positions, &panel) {
                    let mut starts = [0; MAX_ROWS];
                    let starts = &mut starts[..tile.len()];
                    starts.fill_with(|| windows.next());
                    let tile = Tile {
                        a: buffer,
                        left: Left::Rows(starts),
                        segments: &segments,
                        inner: run,
                        b,
                        panel,
                        c: output.at((first + tile.start) * self.maps + panel.first),
                        c_stride: self.maps,
                        finish,
                        ahead: Ahead::NOTHING,
                    };
                    // SAFETY: positions `first..` of the output are this task's alone.
                    unsafe { kernel.run(&tile) };
                }
            }
        };

        machine.pool.install(|| {
            if !ready {
                pack(weights, terms, panels, packed);
            }
            let packed = &*packed;
            (0..batch.div_ceil(group) * bands).into_par_iter().for_each(|i| {
                let (image, band) = (i / bands * group, i % bands);
                let rows = band * self.side / bands..(band + 1) * self.side / bands;
                task(Part { images: image..batch.min(image + group), rows }, packed);
            });
        });
        Ok(())
    }
}

/// Where the windows of a task begin in its buffer, in the order of their outputs.
struct Windows {
    column: usize,
    row: usize,
    /// Start of the next window, of its row's first, and of its image's.
    starts: [usize; 3],
    /// Distances between neighbouring windows, rows of windows and images.
    steps: [usize; 3],
    columns: usize,
    rows: usize,
}

impl Windows {
    fn new(sliding: &Sliding, image_elements: usize, rows: usize) -> Self {
        let step = sliding.stride * sliding.padded.maps;
        let steps = [step, step * sliding.padded.width, image_elements];
        Self { column: 0, row: 0, starts: [0; 3], steps, columns: sliding.side, rows }
    }

    #[inline]
    fn next(&mut self) -> usize {
        let start = self.starts[0];
        self.column += 1;
        if self.column < self.columns {
            self.starts[0] += self.steps[0];
            return start;
        }
        self.column = 0;
        self.row += 1;
        if self.row < self.rows {
            self.starts[1] += self.steps[1];
        } else {
            self.row = 0;
            self.starts[2] += self.steps[2];
            self.starts[1] = self.starts[2];
        }
        self.starts[0] = self.starts[1];
        start
    }
}
