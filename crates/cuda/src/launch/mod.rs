//! From an op to the kernels that compute it: finds its operands, checks their sizes, waits for what other streams do to
//! them, and queues the kernels on the tower's compute stream.

mod gradients;
mod layers;
mod local;
pub(crate) mod names;
pub(crate) mod products;

pub(crate) use gradients::{Learn, update_all};
pub(crate) use names::kernels_of;

use crate::geometry::{POINT, Padding};
use crate::gpu::launch;
use crate::layout::TowerLayout;
use crate::precision::Precision;
use crate::tower::CudaTower;
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_network::{Activation, Mode, Norm, Op, Pass, Window};
use products::{Kind, Product};

/// Threads of a block of every kernel.
pub(crate) const THREADS: u32 = 256;
/// Blocks of an elementwise kernel: enough for the largest GPU, each then takes several elements a thread.
const MOST_BLOCKS: usize = 4096;

/// The name of a kernel for the element type of a precision.
macro_rules! element {
    ($precision:expr, $base:literal) => {
        match $precision {
            $crate::precision::Precision::Bf16 => concat!($base, "_bf16"),
            $crate::precision::Precision::Tf32 | $crate::precision::Precision::F32 => concat!($base, "_f32"),
        }
    };
}
pub(crate) use element;

/// The grid of an elementwise kernel over `elements`, which takes about eight at a time.
pub(crate) fn blocks(elements: usize) -> [u32; 3] {
    [elements.div_ceil(8 * THREADS as usize).clamp(1, MOST_BLOCKS) as u32, 1, 1]
}

/// As kernels number activations.
pub(crate) fn number(activation: Activation) -> i32 {
    match activation {
        Activation::None => 0,
        Activation::Relu => 1,
        Activation::Tanh => 2,
    }
}

/// The constants of a normalisation as kernels take them.
pub(crate) type NormArguments = (i32, f32, f32, f32);

pub(crate) fn norm_arguments(norm: &Norm) -> NormArguments {
    (norm.size as i32, norm.k, norm.alpha, norm.beta)
}

/// Elements of the maps that a window reads.
fn read(window: &Window, maps: usize) -> usize {
    window.input * window.input * maps
}

/// Elements of the maps that it writes.
fn written(window: &Window, maps: usize) -> usize {
    window.output * window.output * maps
}

/// The product that a layer's op is, with its window.
fn product(op: &Op, batch: usize, precision: Precision, layout: &TowerLayout) -> Option<Product> {
    let padding = |input, window: &Window, maps| layout.padding(input, window, maps);
    let (kind, window, padding, out_maps) = match *op {
        Op::Conv { window, in_maps, out_maps, input, .. } => {
            (Kind::Forward, window, padding(input, &window, in_maps), out_maps)
        }
        Op::ConvInputGradient { window, in_maps, out_maps, .. } => {
            (Kind::InputGradient, window, Padding::none(window.size, in_maps), out_maps)
        }
        Op::ConvWeightGradient { window, in_maps, out_maps, input, .. } => {
            (Kind::WeightGradient, window, padding(input, &window, in_maps), out_maps)
        }
        Op::Dense { inputs, outputs, .. } => (Kind::Forward, POINT, Padding::none(1, inputs), outputs),
        Op::DenseInputGradient { inputs, outputs, .. } => {
            (Kind::InputGradient, POINT, Padding::none(1, inputs), outputs)
        }
        Op::DenseWeightGradient { inputs, outputs, .. } => {
            (Kind::WeightGradient, POINT, Padding::none(1, inputs), outputs)
        }
        _ => return None,
    };
    Some(Product::new(kind, precision, batch, &window, &padding, out_maps))
}

/// Bytes of working memory that an op needs for `batch` images.
pub(crate) fn workspace_bytes(op: &Op, batch: usize, precision: Precision, layout: &TowerLayout) -> usize {
    let partial = product(op, batch, precision, layout).map_or(0, |product| product.partial_bytes());
    let own = match *op {
        Op::ConvWeightGradient { window, out_maps, .. } => {
            gradients::bias_bytes(batch * window.output * window.output, out_maps)
        }
        Op::DenseWeightGradient { outputs, .. } => gradients::bias_bytes(batch, outputs),
        Op::LocalWeightGradient { window, out_maps, .. } => local::bias_bytes(batch, &window, out_maps),
        Op::MapNormGradient { side, maps, .. } => batch * side * side * maps * size_of::<f32>(),
        Op::LrnPoolGradient { window, maps, input, .. } if layout.choice(input).is_none() => {
            batch * written(&window, maps) * size_of::<u16>()
        }
        _ => 0,
    };
    partial.max(own)
}

/// Queues one op.
pub(crate) fn run(tower: &mut CudaTower, op: &Op, pass: &Pass) -> Result<()> {
    run_with(tower, op, pass, Learn::Later)
}

/// Queues one op; where `learn` says so, a dense layer's weights learn as soon as their gradient is there.
pub(crate) fn run_with(tower: &mut CudaTower, op: &Op, pass: &Pass, learn: Learn) -> Result<()> {
    for (id, access) in op.operands() {
        tower.access(id, access.writes())?;
    }
    let batch = pass.batch;
    let precision = tower.gpu.precision;
    match *op {
        Op::Conv { .. }
        | Op::ConvInputGradient { .. }
        | Op::ConvWeightGradient { .. }
        | Op::Dense { .. }
        | Op::DenseInputGradient { .. }
        | Op::DenseWeightGradient { .. } => {
            let product = product(op, batch, precision, &tower.layout).expect("these are products");
            layers::run(tower, op, &product, batch, learn)
        }
        Op::Local { .. } | Op::LocalInputGradient { .. } | Op::LocalWeightGradient { .. } => {
            local::run(tower, op, batch)
        }
        Op::Activate { elements, activation, input, output } => {
            let (x, y) = (tower.element(input, elements, batch)?, tower.element(output, elements, batch)?);
            let count = (elements * batch) as i64;
            let name = element!(precision, "activate");
            tower.queue(name, blocks(elements * batch), |gpu, stream, name, grid| {
                launch!(gpu, stream, name, grid, THREADS, 0, x, y, count, number(activation))
            })
        }
        Op::ActivationGradient { elements, activation, output, gradient } => {
            let (y, g) = (tower.element(output, elements, batch)?, tower.element(gradient, elements, batch)?);
            let count = (elements * batch) as i64;
            let name = element!(precision, "activation_gradient");
            tower.queue(name, blocks(elements * batch), |gpu, stream, name, grid| {
                launch!(gpu, stream, name, grid, THREADS, 0, y, g, count, number(activation))
            })
        }
        Op::Lrn { norm, positions, maps, input, output } => {
            let elements = positions * maps;
            let (x, y) = (tower.element(input, elements, batch)?, tower.element(output, elements, batch)?);
            let (rows, (size, k, alpha, beta)) = ((batch * positions) as i32, norm_arguments(&norm));
            tower.queue(element!(precision, "lrn"), blocks(elements * batch), |gpu, stream, name, grid| {
                launch!(gpu, stream, name, grid, THREADS, 0, x, y, rows, maps as i32, size, k, alpha, beta)
            })
        }
        Op::LrnGradient { norm, positions, maps, input, output_gradient, input_gradient } => {
            let elements = positions * maps;
            let x = tower.element(input, elements, batch)?;
            let dy = tower.element(output_gradient, elements, batch)?;
            let dx = tower.element(input_gradient, elements, batch)?;
            let (rows, (size, k, alpha, beta)) = ((batch * positions) as i32, norm_arguments(&norm));
            let name = element!(precision, "lrn_gradient");
            tower.queue(name, blocks(elements * batch), |gpu, stream, name, grid| {
                launch!(
                    gpu,
                    stream,
                    name,
                    grid,
                    THREADS,
                    0,
                    x,
                    dy,
                    dx,
                    rows,
                    maps as i32,
                    size,
                    k,
                    alpha,
                    beta
                )
            })
        }
        Op::MapNorm { .. }
        | Op::MapNormGradient { .. }
        | Op::Pool { .. }
        | Op::PoolGradient { .. }
        | Op::LrnPool { .. }
        | Op::LrnPoolGradient { .. } => layers::run_window(tower, op, batch),
        Op::Dropout { elements, rate, layer, buffer } => {
            let x = tower.element(buffer, elements, batch)?;
            let count = (elements * batch) as i64;
            match pass.mode {
                Mode::Train { .. } => mask(tower, x, (elements, batch), rate, layer),
                Mode::Test => {
                    let name = element!(precision, "dropout_scale");
                    tower.queue(name, blocks(elements * batch), |gpu, stream, name, grid| {
                        launch!(gpu, stream, name, grid, THREADS, 0, x, count, 1.0 - rate)
                    })
                }
            }
        }
        Op::DropoutGradient { elements, rate, layer, gradient } => {
            if pass.mode == Mode::Test {
                return Err(Error::new(INTERNAL, "a backward pass of dropout in test mode"));
            }
            let x = tower.element(gradient, elements, batch)?;
            mask(tower, x, (elements, batch), rate, layer)
        }
        Op::Softmax { classes, logits, probabilities, gradient } => {
            let x = tower.exact(logits, classes, batch)?;
            let p = tower.exact(probabilities, classes, batch)?;
            let labelled = tower.labelled == batch;
            let of = |at: u64| if labelled { at } else { 0 };
            let gradient = match gradient {
                Some(gradient) if labelled => tower.element(gradient, classes, batch)?,
                _ => 0,
            };
            let (labels, losses, hits) = (of(tower.labels.at), of(tower.losses.at), of(tower.hits.at));
            let (images, scale) = (batch as i32, 1.0 / batch as f32);
            let name = element!(precision, "softmax");
            let classes = classes as i32;
            tower.queue(name, [batch as u32, 1, 1], |gpu, stream, name, grid| {
                launch!(
                    gpu, stream, name, grid, THREADS, 0, x, labels, p, gradient, losses, hits, images,
                    classes, scale
                )
            })
        }
    }
}

/// Sets what dropout drops to zero.
fn mask(
    tower: &mut CudaTower,
    x: u64,
    (elements, images): (usize, usize),
    rate: f32,
    layer: u32,
) -> Result<()> {
    let (state, index, count) = (tower.state.at, layer * 2 + tower.number, (elements * images) as i64);
    let elements = elements as i32;
    let name = element!(tower.gpu.precision, "dropout");
    tower.queue(name, blocks(count as usize), |gpu, stream, name, grid| {
        launch!(gpu, stream, name, grid, THREADS, 0, x, state, count, elements, rate, index)
    })
}
