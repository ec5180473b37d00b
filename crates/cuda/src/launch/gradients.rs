//! Gradients of weights and biases, and the learning rule.

use super::products::{Kind, Product};
use super::{THREADS, blocks, element, layers};
use crate::geometry::{POINT, Padding};
use crate::gpu::launch;
use crate::tower::CudaTower;
use ilsvrc_diagnostics::Result;
use ilsvrc_network::{ParamId, Slot};

/// When dense layers' weights learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learn {
    /// When all gradients are there: they are kept.
    Later,
    /// With the product that makes their gradient, which is never stored: of 151 MB of gradients a step of the paper's
    /// net neither writes nor reads any.
    AtOnce,
}

/// Rows of an output's gradient that a block adds for the biases.
const BIAS_ROWS: usize = 512;
/// Columns of such a block.
const BIAS_COLS: usize = 64;
/// Sums of blocks, which are then added.
const MOST_BIAS_BLOCKS: usize = 1024;

/// How many rows each block adds, and how many blocks there are.
fn bias_blocks(rows: usize) -> (usize, usize) {
    let rows_per_block = BIAS_ROWS.max(rows.div_ceil(MOST_BIAS_BLOCKS));
    (rows_per_block, rows.div_ceil(rows_per_block))
}

/// Working memory of [`bias`].
pub(super) fn bias_bytes(rows: usize, cols: usize) -> usize {
    bias_blocks(rows).1 * cols * size_of::<f32>()
}

/// The gradient of weights, into their gradient tensor.
pub(super) fn weights(
    tower: &mut CudaTower,
    product: &Product,
    x: u64,
    dy: u64,
    weights: ParamId,
) -> Result<()> {
    let dw = tower.gradient(weights, product.rows * product.cols)?;
    let Product { kernel, grid, shared, geometry, splits, steps_per_split, .. } = *product;
    let steps = steps_per_split as i32;
    if splits == 1 {
        return tower.queue(kernel, grid, |gpu, stream, name, grid| {
            launch!(gpu, stream, name, grid, THREADS, shared, x, dy, dw, 0u64, geometry, steps)
        });
    }
    let partial = tower.workspace(product.partial_bytes())?;
    tower.queue(kernel, grid, |gpu, stream, name, grid| {
        launch!(gpu, stream, name, grid, THREADS, shared, x, dy, 0u64, partial, geometry, steps)
    })?;
    layers::sum(tower, product, partial, 0, 0, dw, 0)
}

/// The gradient of a dense layer's weights, which learn from it in the same kernel.
pub(super) fn weights_at_once(
    tower: &mut CudaTower,
    batch: usize,
    (inputs, outputs): (usize, usize),
    x: u64,
    dy: u64,
    weights: ParamId,
) -> Result<()> {
    let padding = Padding::none(1, inputs);
    let product = Product::new(Kind::WeightUpdate, tower.gpu.precision, batch, &POINT, &padding, outputs);
    let w = tower.values(weights, inputs * outputs)?;
    let v = tower.slot(weights, Slot::Velocity)?;
    let copy = tower.copy(weights);
    let (state, diverged) = (tower.state.at, tower.read_diverged()?);
    let (rate, decay) = tower.learning(weights);
    let Product { kernel, grid, shared, geometry, .. } = product;
    tower.queue(kernel, grid, |gpu, stream, name, grid| {
        launch!(
            gpu, stream, name, grid, THREADS, shared, x, dy, w, v, copy, state, diverged, rate, decay,
            geometry
        )
    })
}

/// The gradient of biases: the sums of the columns of `dy`.
pub(super) fn bias(tower: &mut CudaTower, dy: u64, rows: usize, cols: usize, bias: ParamId) -> Result<()> {
    let db = tower.gradient(bias, cols)?;
    let (rows_per_block, parts) = bias_blocks(rows);
    let (r, c, per_block) = (rows as i32, cols as i32, rows_per_block as i32);
    let grid = [cols.div_ceil(BIAS_COLS) as u32, parts as u32, 1];
    let name = element!(tower.gpu.precision, "bias_gradient");
    if parts == 1 {
        return tower.queue(name, grid, |gpu, stream, name, grid| {
            launch!(gpu, stream, name, grid, THREADS, 0, dy, db, r, c, per_block)
        });
    }
    let partial = tower.workspace(bias_bytes(rows, cols))?;
    tower.queue(name, grid, |gpu, stream, name, grid| {
        launch!(gpu, stream, name, grid, THREADS, 0, dy, partial, r, c, per_block)
    })?;
    let name = element!(tower.gpu.precision, "split_sum");
    tower.queue(name, blocks(cols), |gpu, stream, name, grid| {
        launch!(gpu, stream, name, grid, THREADS, 0, partial, 0u64, 0u64, db, parts as i32, 1i32, c, 0i32)
    })
}

/// The learning rule for all parameters whose gradient is kept.
pub(crate) fn update_all(tower: &mut CudaTower, all: bool) -> Result<()> {
    for index in 0..tower.parameter_count() {
        let id = ParamId(index);
        if !all && !tower.layout.keeps_gradient[index] {
            continue;
        }
        let (len, padding) = (tower.len(id), tower.layout.paddings[index]);
        let w = tower.values(id, len)?;
        let v = tower.slot(id, Slot::Velocity)?;
        let (g, elements) = tower.whole_gradient(id)?;
        let read = g..g + (elements * size_of::<f32>()) as u64;
        // Other ranks' gradients may still be on their way into it.
        tower.order.access(&tower.compute, &read, false)?;
        let copy = tower.copy(id);
        let (state, diverged) = (tower.state.at, tower.read_diverged()?);
        let (rate, decay) = tower.learning(id);
        let [rows, channels, pitch, taps, taps_x] =
            [padding.rows(), padding.channels, padding.pitch, padding.taps, padding.taps_x].map(|n| n as i32);
        let outputs = (len / padding.rows()) as i32;
        let name = element!(tower.gpu.precision, "update");
        tower.queue(name, blocks(len), |gpu, stream, name, grid| {
            launch!(
                gpu, stream, name, grid, THREADS, 0, w, v, g, copy, state, diverged, rate, decay, rows,
                outputs, channels, pitch, taps, taps_x
            )
        })?;
    }
    Ok(())
}
