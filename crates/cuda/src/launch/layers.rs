//! Layers with parameters, and layers whose windows slide over maps.

use super::products::Product;
use super::{Learn, THREADS, blocks, element, gradients, norm_arguments, number, read, written};
use crate::gpu::launch;
use crate::layout::Store;
use crate::tower::CudaTower;
use ilsvrc_diagnostics::{Error, INTERNAL, NET_INVALID, Result};
use ilsvrc_network::{Activation, BufferId, Norm, Op, ParamId, PoolKind, Window};

/// Threads of the kernel that takes a row of an image a block.
const ROW_THREADS: u32 = 128;

/// Queues the product of a convolution or dense layer.
pub(super) fn run(
    tower: &mut CudaTower,
    op: &Op,
    product: &Product,
    batch: usize,
    learn: Learn,
) -> Result<()> {
    match *op {
        Op::Conv { window, in_maps, out_maps, input, weights, bias, output, activation } => {
            let (inputs, outputs) = (read(&window, in_maps), written(&window, out_maps));
            let x = tower.input(input, inputs, batch)?;
            forward(tower, product, x, (weights, bias), (output, outputs), batch, activation)
        }
        Op::Dense { inputs, outputs, input, weights, bias, output, activation } => {
            let x = tower.element(input, inputs, batch)?;
            forward(tower, product, x, (weights, bias), (output, outputs), batch, activation)
        }
        Op::ConvInputGradient { window, in_maps, out_maps, output_gradient, weights, input_gradient } => {
            let dy = tower.element(output_gradient, written(&window, out_maps), batch)?;
            let dx = tower.element(input_gradient, read(&window, in_maps), batch)?;
            input_gradient_of(tower, product, dy, weights, dx)
        }
        Op::DenseInputGradient { inputs, outputs, output_gradient, weights, input_gradient } => {
            let dy = tower.element(output_gradient, outputs, batch)?;
            let dx = tower.element(input_gradient, inputs, batch)?;
            input_gradient_of(tower, product, dy, weights, dx)
        }
        Op::ConvWeightGradient { window, in_maps, out_maps, input, output_gradient, weights, bias } => {
            let x = tower.input(input, read(&window, in_maps), batch)?;
            let dy = tower.element(output_gradient, written(&window, out_maps), batch)?;
            gradients::weights(tower, product, x, dy, weights)?;
            gradients::bias(tower, dy, batch * window.output * window.output, out_maps, bias)
        }
        Op::DenseWeightGradient { inputs, outputs, input, output_gradient, weights, bias } => {
            let x = tower.element(input, inputs, batch)?;
            let dy = tower.element(output_gradient, outputs, batch)?;
            match learn {
                Learn::Later => gradients::weights(tower, product, x, dy, weights)?,
                Learn::AtOnce => gradients::weights_at_once(tower, batch, (inputs, outputs), x, dy, weights)?,
            }
            gradients::bias(tower, dy, batch, outputs, bias)
        }
        _ => Err(Error::new(INTERNAL, "not a product")),
    }
}

fn forward(
    tower: &mut CudaTower,
    product: &Product,
    x: u64,
    (weights, bias): (ParamId, ParamId),
    (output, elements): (BufferId, usize),
    batch: usize,
    activation: Activation,
) -> Result<()> {
    let w = tower.weights(weights, product.cols)?;
    let b = tower.values(bias, product.cols)?;
    let (y, y_f32) = match tower.store(output)? {
        Store::Exact => (0, tower.exact(output, elements, batch)?),
        _ => (tower.element(output, elements, batch)?, 0),
    };
    let Product { kernel, grid, shared, geometry, splits, steps_per_split, .. } = *product;
    let (activation, steps) = (number(activation), steps_per_split as i32);
    if splits == 1 {
        return tower.queue(kernel, grid, |gpu, stream, name, grid| {
            launch!(
                gpu, stream, name, grid, THREADS, shared, x, w, b, y, y_f32, 0u64, geometry, activation,
                steps
            )
        });
    }
    let partial = tower.workspace(product.partial_bytes())?;
    tower.queue(kernel, grid, |gpu, stream, name, grid| {
        launch!(gpu, stream, name, grid, THREADS, shared, x, w, b, 0u64, 0u64, partial, geometry, 0i32, steps)
    })?;
    sum(tower, product, partial, b, y, y_f32, activation)
}

fn input_gradient_of(
    tower: &mut CudaTower,
    product: &Product,
    dy: u64,
    weights: ParamId,
    dx: u64,
) -> Result<()> {
    let w = tower.weights(weights, product.geometry.out_maps as usize)?;
    let Product { kernel, grid, shared, geometry, splits, steps_per_split, .. } = *product;
    let steps = steps_per_split as i32;
    if splits == 1 {
        return tower.queue(kernel, grid, |gpu, stream, name, grid| {
            launch!(gpu, stream, name, grid, THREADS, shared, dy, w, dx, 0u64, geometry, steps)
        });
    }
    let partial = tower.workspace(product.partial_bytes())?;
    tower.queue(kernel, grid, |gpu, stream, name, grid| {
        launch!(gpu, stream, name, grid, THREADS, shared, dy, w, 0u64, partial, geometry, steps)
    })?;
    sum(tower, product, partial, 0, dx, 0, 0)
}

/// Adds the parts of a product.
pub(super) fn sum(
    tower: &mut CudaTower,
    product: &Product,
    partial: u64,
    bias: u64,
    y: u64,
    y_f32: u64,
    activation: i32,
) -> Result<()> {
    let (splits, rows, cols) = (product.splits as i32, product.rows as i32, product.cols as i32);
    let name = element!(tower.gpu.precision, "split_sum");
    tower.queue(name, blocks(product.rows * product.cols), |gpu, stream, name, grid| {
        launch!(gpu, stream, name, grid, THREADS, 0, partial, bias, y, y_f32, splits, rows, cols, activation)
    })
}

/// Queues a pooling or a normalisation within maps.
pub(super) fn run_window(tower: &mut CudaTower, op: &Op, batch: usize) -> Result<()> {
    let precision = tower.gpu.precision;
    let images = batch as i32;
    match *op {
        Op::Pool { kind, window, maps, input, output } => {
            let x = tower.element(input, read(&window, maps), batch)?;
            let y = tower.element(output, written(&window, maps), batch)?;
            let [from, to, m, size, stride] = sides(&window, maps);
            let name = match kind {
                PoolKind::Max => element!(precision, "max_pool"),
                PoolKind::Avg => element!(precision, "avg_pool"),
            };
            tower.queue(name, blocks(batch * written(&window, maps)), |gpu, stream, name, grid| {
                launch!(gpu, stream, name, grid, THREADS, 0, x, y, images, from, to, m, size, stride)
            })
        }
        Op::PoolGradient { kind, window, maps, input, output_gradient, input_gradient, activation } => {
            let x = tower.element(input, read(&window, maps), batch)?;
            let dy = tower.element(output_gradient, written(&window, maps), batch)?;
            let dx = tower.element(input_gradient, read(&window, maps), batch)?;
            let [from, to, m, size, stride] = sides(&window, maps);
            let grid = blocks(batch * read(&window, maps));
            let name = match kind {
                PoolKind::Max => element!(precision, "max_pool_gradient"),
                PoolKind::Avg => element!(precision, "avg_pool_gradient"),
            };
            let act = number(activation);
            tower.queue(name, grid, |gpu, stream, name, grid| {
                launch!(
                    gpu, stream, name, grid, THREADS, 0, x, dy, dx, images, from, to, m, size, stride, act
                )
            })
        }
        Op::LrnPool { norm, window, maps, input, output } => {
            let y = tower.element(output, written(&window, maps), batch)?;
            let choice = tower.choice(input).unwrap_or(0);
            lrn_pool(tower, (&norm, &window, maps), input, y, choice, batch)
        }
        Op::LrnPoolGradient { norm, window, maps, input, output_gradient, input_gradient, activation } => {
            if window.size * window.size > usize::from(u16::MAX) {
                return Err(Error::new(
                    NET_INVALID,
                    format!("a pool of {} is too large for a GPU", window.size),
                )
                .hint("put another layer between the normalisation and the pool"));
            }
            let x = tower.element(input, read(&window, maps), batch)?;
            let dy = tower.element(output_gradient, written(&window, maps), batch)?;
            let dx = tower.element(input_gradient, read(&window, maps), batch)?;
            let choice = match tower.choice(input) {
                Some(choice) => choice,
                // The plan has no forward pass that would have left it.
                None => {
                    let choice = tower.workspace(batch * written(&window, maps) * size_of::<u16>())?;
                    lrn_pool(tower, (&norm, &window, maps), input, 0, choice, batch)?;
                    choice
                }
            };
            let [from, to, m, size, stride] = sides(&window, maps);
            let ((n, k, alpha, beta), act) = (norm_arguments(&norm), number(activation));
            let grid = [(batch * window.input) as u32, 1, 1];
            tower.queue(element!(precision, "lrn_pool_gradient"), grid, |gpu, stream, name, grid| {
                launch!(
                    gpu,
                    stream,
                    name,
                    grid,
                    ROW_THREADS,
                    0,
                    x,
                    dy,
                    choice,
                    dx,
                    images,
                    from,
                    to,
                    m,
                    size,
                    stride,
                    n,
                    k,
                    alpha,
                    beta,
                    act
                )
            })
        }
        Op::MapNorm { norm, side, maps, input, output } => {
            let elements = side * side * maps;
            let (x, y) = (tower.element(input, elements, batch)?, tower.element(output, elements, batch)?);
            let ((n, k, alpha, beta), s, m) = (norm_arguments(&norm), side as i32, maps as i32);
            tower.queue(
                element!(precision, "map_norm"),
                blocks(batch * elements),
                |gpu, stream, name, grid| {
                    launch!(gpu, stream, name, grid, THREADS, 0, x, y, images, s, m, n, k, alpha, beta)
                },
            )
        }
        Op::MapNormGradient { norm, side, maps, input, output_gradient, input_gradient } => {
            let elements = side * side * maps;
            let x = tower.element(input, elements, batch)?;
            let dy = tower.element(output_gradient, elements, batch)?;
            let dx = tower.element(input_gradient, elements, batch)?;
            let ((n, k, alpha, beta), s, m) = (norm_arguments(&norm), side as i32, maps as i32);
            let terms = tower.workspace(batch * elements * size_of::<f32>())?;
            let grid = blocks(batch * elements);
            tower.queue(element!(precision, "map_norm_terms"), grid, |gpu, stream, name, grid| {
                launch!(gpu, stream, name, grid, THREADS, 0, x, dy, terms, images, s, m, n, k, alpha, beta)
            })?;
            tower.queue(element!(precision, "map_norm_gradient"), grid, |gpu, stream, name, grid| {
                launch!(
                    gpu, stream, name, grid, THREADS, 0, x, dy, terms, dx, images, s, m, n, k, alpha, beta
                )
            })
        }
        _ => Err(Error::new(INTERNAL, "not a layer of windows")),
    }
}

/// Queues normalisation and pooling; `y` or `choice` may be null.
fn lrn_pool(
    tower: &mut CudaTower,
    (norm, window, maps): (&Norm, &Window, usize),
    input: BufferId,
    y: u64,
    choice: u64,
    batch: usize,
) -> Result<()> {
    let x = tower.element(input, read(window, maps), batch)?;
    let [from, to, m, size, stride] = sides(window, maps);
    let ((n, k, alpha, beta), images) = (norm_arguments(norm), batch as i32);
    let grid = blocks(batch * written(window, maps));
    tower.queue(element!(tower.gpu.precision, "lrn_pool"), grid, |gpu, stream, name, grid| {
        launch!(
            gpu, stream, name, grid, THREADS, 0, x, y, choice, images, from, to, m, size, stride, n, k,
            alpha, beta
        )
    })
}

/// Input side, output side, maps, window size and stride as kernels take them.
fn sides(window: &Window, maps: usize) -> [i32; 5] {
    [window.input, window.output, maps, window.size, window.stride].map(|n| n as i32)
}
