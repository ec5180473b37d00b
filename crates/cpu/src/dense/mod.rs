//! Fully connected layers. The weights are read (or written) once from memory, block by block; the activations of the
//! batch stay in cache. Weights `[inputs, outputs]`, row major.

mod stream;

use crate::arena::Shared;
use crate::backend::Machine;
use crate::gemm::{Ahead, Finish, Left, MAX_ROWS, Matrix, Rows, STORE, Tile, Transposed, pack, pack_rows};
use ilsvrc_diagnostics::Result;
use ilsvrc_network::Activation;
use rayon::prelude::*;

/// Terms of a sum that are multiplied before the next block is packed.
const TERMS: usize = 512;

/// Outputs of a task of [`forward`]: with [`TERMS`] rows a quarter of a second-level cache.
const TASK_OUTPUTS: usize = 128;

/// Segments of a block's sum, where its terms can be cut into so many: often enough to ask for what is read next. (A few
/// images have few tiles: then not all of it is asked for.)
const SEGMENTS: usize = 16;

/// Inputs of a task of the gradients: eight tiles of the tallest kernel.
const TASK_INPUTS: usize = 8 * MAX_ROWS;

/// Rows that are read together must not lie a multiple of a page apart, or they share few lines of the cache.
const SKEW: usize = 16;

/// Up to so many images [`forward`] does not pack the weights: reading them is all the work there is.
const STREAMED_IMAGES: usize = 4;

/// `inputs` and `outputs` of a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Rows of the weights.
    pub(crate) inputs: usize,
    /// Columns of the weights.
    pub(crate) outputs: usize,
}

impl Shape {
    /// The part of the weights that begins at `[row, column]` and has so many of both, or as many as there are.
    fn ahead(self, weights: &[f32], [row, column]: [usize; 2], [rows, columns]: [usize; 2]) -> Ahead<'_> {
        let Self { inputs, outputs } = self;
        let from = weights.get(row * outputs + column..).unwrap_or_default();
        let left = [inputs.saturating_sub(row), outputs.saturating_sub(column)];
        Ahead::new(from, outputs, rows.min(left[0]), columns.min(left[1]))
    }
}

/// Terms of a sum in equal segments, as many as may be up to [`SEGMENTS`].
struct Segments {
    starts: [usize; SEGMENTS],
    count: usize,
    /// Terms of each.
    inner: usize,
}

impl Segments {
    /// `terms` that begin at `first`.
    fn new(first: usize, terms: usize) -> Self {
        let count = (1..=SEGMENTS).rev().find(|count| terms.is_multiple_of(*count)).unwrap_or(1);
        let inner = terms / count;
        Self { starts: std::array::from_fn(|i| first + i * inner), count, inner }
    }

    fn starts(&self) -> &[usize] {
        &self.starts[..self.count]
    }
}

/// `output = activation(input * weights + bias)`
pub(crate) fn forward(
    machine: &mut Machine,
    shape: Shape,
    batch: usize,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    activation: Activation,
    output: &mut [f32],
) -> Result<()> {
    if batch <= STREAMED_IMAGES {
        return stream::forward(machine, shape, batch, input, weights, bias, activation, output);
    }
    let Shape { inputs, outputs } = shape;
    let kernel = machine.kernel;
    let stride = inputs.next_multiple_of(SKEW * 2) + SKEW;
    let block = TERMS.min(inputs) * kernel.panels(TASK_OUTPUTS).packed(1);
    let (rows, own) = machine.scratch.get(batch * stride, block)?;
    let output = Shared::new(output);
    machine.pool.install(|| {
        rows.par_chunks_exact_mut(stride)
            .zip(input.par_chunks_exact(inputs))
            .for_each(|(to, from)| to[..inputs].copy_from_slice(from));
        let rows = &*rows;
        (0..outputs.div_ceil(TASK_OUTPUTS)).into_par_iter().for_each(|task| {
            // SAFETY: one call in a task without parallel work.
            let packed = unsafe { own.own() };
            let first = task * TASK_OUTPUTS;
            let panels = kernel.panels(TASK_OUTPUTS.min(outputs - first));
            for k in (0..inputs).step_by(TERMS) {
                let terms = TERMS.min(inputs - k);
                let source = Matrix { data: &weights[first..], stride: outputs };
                pack_rows(&source, k..k + terms, panels, Shared::new(packed), terms, 0);
                let segments = Segments::new(k, terms);
                let last = k + terms == inputs;
                let next = if last { [0, first + TASK_OUTPUTS] } else { [k + terms, first] };
                let mut ahead = shape.ahead(weights, next, [TERMS, TASK_OUTPUTS]);
                let share = ahead.runs().div_ceil(kernel.count_tiles(batch, panels));
                for panel in panels.iter() {
                    let column = first + panel.first;
                    let finish = Finish {
                        accumulate: k > 0,
                        bias: last.then(|| &bias[column..]),
                        activation: if last { activation } else { Activation::None },
                    };
                    for tile in kernel.tiles(batch, &panel) {
                        let mut starts = [0; MAX_ROWS];
                        let starts = &mut starts[..tile.len()];
                        starts.iter_mut().enumerate().for_each(|(i, s)| *s = (tile.start + i) * stride);
                        let tile = Tile {
                            a: rows,
                            left: Left::Rows(starts),
                            segments: segments.starts(),
                            inner: segments.inner,
                            b: &packed[terms * panel.first..],
                            panel,
                            c: output.at(tile.start * outputs + column),
                            c_stride: outputs,
                            finish,
                            ahead: ahead.take(share),
                        };
                        // SAFETY: these columns of the output are this task's alone.
                        unsafe { kernel.run(&tile) };
                    }
                }
            }
        });
    });
    Ok(())
}

/// `input_gradient = output_gradient * weights^T`, computed transposed: rows of the weights are read as they lie, and
/// the small result is turned.
pub(crate) fn input_gradient(
    machine: &mut Machine,
    shape: Shape,
    batch: usize,
    output_gradient: &[f32],
    weights: &[f32],
    input_gradient: &mut [f32],
) -> Result<()> {
    let Shape { inputs, outputs } = shape;
    let kernel = machine.kernel;
    let panels = kernel.panels(batch);
    let stride = TERMS + SKEW;
    let (packed, own) = machine.scratch.get(panels.packed(outputs), TASK_INPUTS * (stride + batch))?;
    let result = Shared::new(input_gradient);
    machine.pool.install(|| {
        pack(&Transposed { data: output_gradient, stride: outputs }, outputs, panels, packed);
        let packed = &*packed;
        (0..inputs.div_ceil(TASK_INPUTS)).into_par_iter().for_each(|task| {
            // SAFETY: one call in a task without parallel work.
            let (rows, sums) = unsafe { own.own() }.split_at_mut(TASK_INPUTS * stride);
            let first = task * TASK_INPUTS;
            let count = TASK_INPUTS.min(inputs - first);
            for k in (0..outputs).step_by(TERMS) {
                let terms = TERMS.min(outputs - k);
                for (i, row) in rows.chunks_exact_mut(stride).take(count).enumerate() {
                    row[..terms].copy_from_slice(&weights[(first + i) * outputs + k..][..terms]);
                }
                let segments = Segments::new(0, terms);
                let last = k + terms == outputs;
                let next = if last { [first + TASK_INPUTS, 0] } else { [first, k + terms] };
                let mut ahead = shape.ahead(weights, next, [TASK_INPUTS, TERMS]);
                let share = ahead.runs().div_ceil(kernel.count_tiles(count, panels));
                for panel in panels.iter() {
                    for tile in kernel.tiles(count, &panel) {
                        let mut starts = [0; MAX_ROWS];
                        let starts = &mut starts[..tile.len()];
                        starts.iter_mut().enumerate().for_each(|(i, s)| *s = (tile.start + i) * stride);
                        let tile = Tile {
                            a: rows,
                            left: Left::Rows(starts),
                            segments: segments.starts(),
                            inner: segments.inner,
                            b: &packed[outputs * panel.first + k * panel.width..],
                            panel,
                            c: sums[tile.start * batch + panel.first..].as_mut_ptr(),
                            c_stride: batch,
                            finish: Finish { accumulate: k > 0, ..STORE },
                            ahead: ahead.take(share),
                        };
                        // SAFETY: `sums` is this task's, of `count` rows of `batch`.
                        unsafe { kernel.run(&tile) };
                    }
                }
            }
            for image in 0..batch {
                // SAFETY: these columns of the result are this task's alone.
                let out = unsafe { result.slice(image * inputs + first..image * inputs + first + count) };
                Transposed { data: sums, stride: batch }.copy(image, 0, out);
            }
        });
    });
    Ok(())
}

/// `weights_gradient = input^T * output_gradient`, `bias_gradient` = sum of `output_gradient` over the batch.
pub(crate) fn weight_gradient(
    machine: &mut Machine,
    shape: Shape,
    batch: usize,
    input: &[f32],
    output_gradient: &[f32],
    weights_gradient: &mut [f32],
    bias_gradient: &mut [f32],
) -> Result<()> {
    let Shape { inputs, outputs } = shape;
    let kernel = machine.kernel;
    let panels = kernel.panels(outputs);
    let (packed, own) = machine.scratch.get(panels.packed(batch), batch * TASK_INPUTS)?;
    let result = Shared::new(weights_gradient);
    machine.pool.install(|| {
        pack(&Matrix { data: output_gradient, stride: outputs }, batch, panels, packed);
        let packed = &*packed;
        (0..inputs.div_ceil(TASK_INPUTS)).into_par_iter().for_each(|task| {
            // SAFETY: one call in a task without parallel work.
            let columns = unsafe { own.own() };
            let first = task * TASK_INPUTS;
            let count = TASK_INPUTS.min(inputs - first);
            for (to, from) in columns.chunks_exact_mut(TASK_INPUTS).zip(input.chunks_exact(inputs)) {
                to[..count].copy_from_slice(&from[first..first + count]);
            }
            // Rows of the result are written from end to end, a few at a time.
            let strip = panels
                .iter()
                .next()
                .map_or(MAX_ROWS, |panel| MAX_ROWS / kernel.rows(&panel) * kernel.rows(&panel));
            for start in (0..count).step_by(strip) {
                for panel in panels.iter() {
                    for tile in kernel.tiles(strip.min(count - start), &panel) {
                        let row = start + tile.start;
                        let tile = Tile {
                            a: &columns[row..],
                            left: Left::Columns { count: tile.len(), step: TASK_INPUTS },
                            segments: &[0],
                            inner: batch,
                            b: &packed[batch * panel.first..],
                            panel,
                            c: result.at((first + row) * outputs + panel.first),
                            c_stride: outputs,
                            finish: STORE,
                            ahead: Ahead::NOTHING,
                        };
                        // SAFETY: these rows of the result are this task's alone.
                        unsafe { kernel.run(&tile) };
                    }
                }
            }
        });
    });
    crate::conv::sum_rows(output_gradient, bias_gradient);
    Ok(())
}
