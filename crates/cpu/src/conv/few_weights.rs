//! Gradients of few weights, as those of a first layer, which reads three maps: images are shared among tasks, and each
//! task has sums of its own.

use super::{Shape, sum_rows};
use crate::arena::Shared;
use crate::backend::Machine;
use crate::gemm::{Ahead, Finish, Left, Matrix, STORE, Tile, pack_rows};
use ilsvrc_diagnostics::Result;
use rayon::prelude::*;

/// Weights, at most: their sums stay in a second-level cache.
const MOST_WEIGHTS: usize = 64 * 1024;

/// Parts of a batch. Not a matter of threads, as their sums are added in order.
pub(super) const PARTS: usize = 32;

/// Elements of the packed gradients of some rows, which stay in a first-level cache while all weights are gone through.
const BAND_ELEMENTS: usize = 8 * 1024;

/// What is packed behind an image begins a cache line, as vectors do.
const LINE: usize = 16;

/// Whether there are few.
pub(super) fn few(shape: &Shape) -> bool {
    shape.window.size.pow(2) * shape.in_maps * shape.out_maps <= MOST_WEIGHTS
}

/// As [`super::weight_gradient`].
pub(super) fn weight_gradient(
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
    let behind = image.next_multiple_of(LINE);
    let positions = window.output * window.output;
    let band = (BAND_ELEMENTS / panels.packed(window.output)).clamp(1, window.output);
    let row = window.size * in_maps;
    let weights = window.size * row * out_maps;
    let parts = PARTS.min(batch);
    let (all_sums, own) =
        machine.scratch.get(parts * (weights + out_maps), behind + panels.packed(band * window.output))?;

    let step = window.stride * in_maps;
    let segments: Vec<usize> = (0..band).map(|y| y * step * width).collect();
    let add = Finish { accumulate: true, ..STORE };
    machine.pool.install(|| {
        all_sums.par_chunks_exact_mut(weights + out_maps).enumerate().for_each(|(part, sums)| {
            // SAFETY: one call in a task without parallel work.
            let (buffer, packed) = unsafe { own.own() }.split_at_mut(behind);
            let (sums, bias_sums) = sums.split_at_mut(weights);
            let images = batch * part / parts..batch * (part + 1) / parts;
            let elements = positions * out_maps;
            sum_rows(&output_gradient[images.start * elements..images.end * elements], bias_sums);
            sums.fill(0.0);
            let sums = Shared::new(sums);
            for n in images {
                padded.copy(&input[n * padded.stored()..][..padded.stored()], 0, &mut buffer[..image]);
                let gradients = Matrix { data: &output_gradient[n * elements..], stride: out_maps };
                for first in (0..window.output).step_by(band) {
                    let rows = band.min(window.output - first);
                    let total = rows * window.output;
                    let from = first * window.output;
                    pack_rows(&gradients, from..from + total, panels, Shared::new(packed), total, 0);
                    for y in 0..window.size {
                        for panel in panels.iter() {
                            for tile in kernel.tiles(row, &panel) {
                                let start = (first * window.stride + y) * width * in_maps + tile.start;
                                let tile = Tile {
                                    a: &buffer[start..],
                                    left: Left::Columns { count: tile.len(), step },
                                    segments: &segments[..rows],
                                    inner: window.output,
                                    b: &packed[total * panel.first..],
                                    panel,
                                    c: sums.at((y * row + tile.start) * out_maps + panel.first),
                                    c_stride: out_maps,
                                    finish: add,
                                    ahead: Ahead::NOTHING,
                                };
                                // SAFETY: the sums are this task's alone.
                                unsafe { kernel.run(&tile) };
                            }
                        }
                    }
                }
            }
        });
    });
    weights_gradient.fill(0.0);
    bias_gradient.fill(0.0);
    for sums in all_sums.chunks_exact(weights + out_maps) {
        let gradients = weights_gradient.iter_mut().chain(bias_gradient.iter_mut());
        gradients.zip(sums).for_each(|(gradient, sum)| *gradient += sum);
    }
    Ok(())
}
