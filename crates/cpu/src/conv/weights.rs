//! Gradients of a convolution's weights and biases.

use super::choice::Transformed;
use super::{Shape, few_weights, winograd};
use crate::arena::Shared;
use crate::backend::Machine;
use crate::gemm::{Ahead, Finish, Left, Matrix, Tile, pack_rows};
use ilsvrc_diagnostics::Result;
use ilsvrc_network::Activation;
use rayon::prelude::*;

/// Padded input and packed gradients of the images that are worked on together.
const GROUP_ELEMENTS: usize = 1024 * 1024;

/// What is packed behind the images begins a cache line, as vectors do.
const ALIGNED: usize = 16;

/// Positions in one call of a kernel: their gradients of one panel stay in a first-level cache.
const CALL_POSITIONS: usize = 256;

/// Rows of the weights in a task: enough to read the gradients for, few enough to share among threads.
const TASK_ROWS: usize = 56;

/// `weights_gradient = windows(input)^T * output_gradient`, `bias_gradient` = its sum over positions and images.
pub(crate) fn weight_gradient(
    machine: &mut Machine,
    shape: &Shape,
    batch: usize,
    input: &[f32],
    output_gradient: &[f32],
    weights_gradient: &mut [f32],
    bias_gradient: &mut [f32],
) -> Result<()> {
    let compute = match machine.convolution.transformed(shape, shape.window.output, batch, false) {
        Some(Transformed::Three) => winograd::weight_gradient::<3, 6>,
        Some(Transformed::Five) => winograd::weight_gradient::<5, 8>,
        None if few_weights::few(shape) => few_weights::weight_gradient,
        None => direct,
    };
    compute(machine, shape, batch, input, output_gradient, weights_gradient, bias_gradient)
}

/// Tasks own rows of the result and add images in order, so the sums do not depend on the number of threads.
fn direct(
    machine: &mut Machine,
    shape: &Shape,
    batch: usize,
    input: &[f32],
    output_gradient: &[f32],
    weights_gradient: &mut [f32],
    bias_gradient: &mut [f32],
) -> Result<()> {
    let Shape { window, in_maps, out_maps } = *shape;
    let kernel = machine.kernel;
    let panels = kernel.panels(out_maps);
    let padded = shape.read();
    let width = padded.width;
    let image = width * width * in_maps;
    let positions = window.output * window.output;
    let group = (GROUP_ELEMENTS / (image + panels.packed(positions))).clamp(1, batch);
    let call = CALL_POSITIONS.div_ceil(window.output);

    let sizes =
        [(group * image).next_multiple_of(ALIGNED), panels.packed(group * positions), group * out_maps];
    let (shared, _) = machine.scratch.get(sizes.iter().sum(), 0)?;
    let (images, rest) = shared.split_at_mut(sizes[0]);
    let (gradients, bias_sums) = rest.split_at_mut(sizes[1]);

    let step = window.stride * in_maps;
    // Where rows of windows begin.
    let segments: Vec<usize> =
        (0..group).flat_map(|i| (0..window.output).map(move |y| i * image + y * step * width)).collect();
    let row = window.size * in_maps;
    let parts = row.div_ceil(TASK_ROWS);
    bias_gradient.fill(0.0);
    let result = Shared::new(weights_gradient);

    for start in (0..batch).step_by(group) {
        let count = group.min(batch - start);
        let total = count * positions;
        machine.pool.install(|| {
            let packed = Shared::new(gradients);
            images
                .par_chunks_exact_mut(image)
                .zip(bias_sums.par_chunks_exact_mut(out_maps))
                .take(count)
                .enumerate()
                .for_each(|(i, (out, sums))| {
                    let n = start + i;
                    padded.copy(&input[n * padded.stored()..][..padded.stored()], 0, out);
                    let data = &output_gradient[n * positions * out_maps..][..positions * out_maps];
                    pack_rows(
                        &Matrix { data, stride: out_maps },
                        0..positions,
                        panels,
                        packed,
                        total,
                        i * positions,
                    );
                    sum_rows(data, sums);
                });
            for sums in bias_sums.chunks_exact(out_maps).take(count) {
                bias_gradient.iter_mut().zip(sums).for_each(|(b, s)| *b += s);
            }
            let (images, gradients) = (&*images, &*gradients);
            (0..window.size * parts).into_par_iter().for_each(|task| {
                let (y, part) = (task / parts, task % parts);
                let rows = row * part / parts..row * (part + 1) / parts;
                let segments = &segments[..count * window.output];
                for (call, segments) in segments.chunks(call).enumerate().map(|(i, s)| (i * call, s)) {
                    let finish =
                        Finish { accumulate: start + call > 0, bias: None, activation: Activation::None };
                    for panel in panels.iter() {
                        let b = &gradients[total * panel.first..][call * window.output * panel.width..];
                        for tile in kernel.tiles(rows.len(), &panel) {
                            let r = rows.start + tile.start;
                            let tile = Tile {
                                a: &images[y * width * in_maps + r..],
                                left: Left::Columns { count: tile.len(), step },
                                segments,
                                inner: window.output,
                                b,
                                panel,
                                c: result.at((y * row + r) * out_maps + panel.first),
                                c_stride: out_maps,
                                finish,
                                ahead: Ahead::NOTHING,
                            };
                            // SAFETY: these rows of the result are this task's alone.
                            unsafe { kernel.run(&tile) };
                        }
                    }
                }
            });
        });
    }
    Ok(())
}

/// Sums of the columns of a row-major matrix.
pub(crate) fn sum_rows(rows: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    for row in rows.chunks_exact(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
}
