//! Locally connected layers: a product for each position, over the images of the batch. The kernels are in
//! `kernels/local_*.cu`.

use super::{THREADS, gradients, number, read, written};
use crate::geometry::{Geometry, Padding};
use crate::gpu::launch;
use crate::precision::Precision;
use crate::tower::CudaTower;
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_network::{Op, Window};

/// Rows and columns of a block's tile.
const TILE: [usize; 2] = [128, 64];
/// Dynamic shared memory of a block that copies 16 bytes at a time, and of one that takes any number of maps.
const SHARED: [u32; 2] = [48 << 10, 32 << 10];

/// The kernels of a product by precision: for maps that fit 16-byte accesses, and for any.
struct Kernels {
    bf16: [&'static str; 2],
    tf32: [&'static str; 2],
    f32: &'static str,
}

macro_rules! kernels {
    ($base:literal) => {
        Kernels {
            bf16: [concat!($base, "_bf16"), concat!($base, "_bf16_any")],
            tf32: [concat!($base, "_tf32"), concat!($base, "_tf32_any")],
            f32: concat!($base, "_f32_any"),
        }
    };
}

const FORWARD: Kernels = kernels!("local_forward");
const INPUT_GRADIENT: Kernels = kernels!("local_input_gradient");
const WEIGHT_GRADIENT: Kernels = kernels!("local_weight_gradient");

impl Kernels {
    fn names(&self, precision: Precision) -> Vec<(&'static str, u32)> {
        match precision {
            Precision::Bf16 => self.bf16.into_iter().zip(SHARED).collect(),
            Precision::Tf32 => self.tf32.into_iter().zip(SHARED).collect(),
            Precision::F32 => vec![(self.f32, SHARED[1])],
        }
    }

    /// The kernel for operands of these numbers of maps, which 16-byte accesses must divide.
    fn choose(&self, precision: Precision, maps: &[usize]) -> (&'static str, u32) {
        let names = self.names(precision);
        let aligned = maps.iter().all(|maps| maps.is_multiple_of(precision.vector()));
        if aligned { names[0] } else { names[names.len() - 1] }
    }
}

/// Names and dynamic shared memory of the kernels of `file` for a precision.
pub(super) fn kernels_of(file: &str, precision: Precision) -> Vec<(&'static str, u32)> {
    match file {
        "local_forward.cu" => FORWARD.names(precision),
        "local_input_gradient.cu" => INPUT_GRADIENT.names(precision),
        "local_weight_gradient.cu" => WEIGHT_GRADIENT.names(precision),
        _ => Vec::new(),
    }
}

/// Bytes of working memory that the gradient of the biases needs.
pub(super) fn bias_bytes(batch: usize, window: &Window, out_maps: usize) -> usize {
    gradients::bias_bytes(batch, written(window, out_maps))
}

/// Blocks for `rows` x `cols` at each of `positions`.
fn grid(positions: usize, rows: usize, cols: usize) -> [u32; 3] {
    [(positions * rows.div_ceil(TILE[0])) as u32, cols.div_ceil(TILE[1]) as u32, 1]
}

/// Queues the products of a locally connected layer.
pub(super) fn run(tower: &mut CudaTower, op: &Op, batch: usize) -> Result<()> {
    let precision = tower.gpu.precision;
    let geometry = |window: &Window, in_maps, out_maps| {
        Geometry::new(batch, window, &Padding::none(window.size, in_maps), out_maps)
    };
    match *op {
        Op::Local { window, in_maps, out_maps, input, weights, bias, output, activation } => {
            let outputs = written(&window, out_maps);
            let x = tower.element(input, read(&window, in_maps), batch)?;
            let y = tower.element(output, outputs, batch)?;
            let (w, b) = (tower.weights(weights, out_maps)?, tower.values(bias, outputs)?);
            let (kernel, shared) = FORWARD.choose(precision, &[in_maps, out_maps]);
            let (geometry, act) = (geometry(&window, in_maps, out_maps), number(activation));
            let grid = grid(window.output * window.output, batch, out_maps);
            tower.queue(kernel, grid, |gpu, stream, name, grid| {
                launch!(gpu, stream, name, grid, THREADS, shared, x, w, b, y, geometry, act)
            })
        }
        Op::LocalInputGradient { window, in_maps, out_maps, output_gradient, weights, input_gradient } => {
            let dy = tower.element(output_gradient, written(&window, out_maps), batch)?;
            let dx = tower.element(input_gradient, read(&window, in_maps), batch)?;
            let w = tower.weights(weights, out_maps)?;
            let (kernel, shared) = INPUT_GRADIENT.choose(precision, &[out_maps]);
            let geometry = geometry(&window, in_maps, out_maps);
            let grid = grid(window.input * window.input, batch, in_maps);
            tower.queue(kernel, grid, |gpu, stream, name, grid| {
                launch!(gpu, stream, name, grid, THREADS, shared, dy, w, dx, geometry)
            })
        }
        Op::LocalWeightGradient { window, in_maps, out_maps, input, output_gradient, weights, bias } => {
            let outputs = written(&window, out_maps);
            let rows = window.size * window.size * in_maps;
            let x = tower.element(input, read(&window, in_maps), batch)?;
            let dy = tower.element(output_gradient, outputs, batch)?;
            let dw = tower.gradient(weights, rows * outputs)?;
            let (kernel, shared) = WEIGHT_GRADIENT.choose(precision, &[in_maps, out_maps]);
            let geometry = geometry(&window, in_maps, out_maps);
            let grid = grid(window.output * window.output, rows, out_maps);
            tower.queue(kernel, grid, |gpu, stream, name, grid| {
                launch!(gpu, stream, name, grid, THREADS, shared, x, dy, dw, geometry)
            })?;
            // An image's outputs are one row: every position has biases of its own.
            gradients::bias(tower, dy, batch, outputs, bias)
        }
        _ => Err(Error::new(INTERNAL, "not a locally connected layer")),
    }
}
