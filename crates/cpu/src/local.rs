//! Locally connected layers. Output positions share nothing, so each is a product of its own over the batch:
//! `[images, taps * in_maps] * [taps * in_maps, out_maps]`. Taps that meet padding are left out of the sums. The input gradient
//! is the same the other way round: for each input position a sum over the positions whose windows reach it, so that
//! nothing is ever added to what another task wrote. Weights `[positions, taps, in_maps, out_maps]`.

use crate::arena::{PerThread, Shared};
use crate::backend::Machine;
use crate::conv::{Shape, sum_rows};
use crate::gemm::{Ahead, Finish, Left, MAX_ROWS, Matrix, Rows, STORE, Tile, pack_rows};
use ilsvrc_diagnostics::Result;
use ilsvrc_network::{Activation, Window};
use rayon::prelude::*;

/// Columns of a task: of 3 x 3 windows over 64 maps they take 144 KiB, which stay in a second-level cache.
const TASK_COLUMNS: usize = 64;

/// Images that are read together must not lie a multiple of a page apart, or they share few lines of the cache.
const SKEW: usize = 16;

/// `output = activation(products + bias)`
pub(crate) fn forward(
    machine: &mut Machine,
    shape: &Shape,
    batch: usize,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    activation: Activation,
    output: &mut [f32],
) -> Result<()> {
    let Shape { window, in_maps, out_maps } = *shape;
    let joined = Joined {
        from: Maps { positions: window.input * window.input, maps: in_maps },
        to: Maps { positions: window.output * window.output, maps: out_maps },
        most: window.size * window.size,
    };
    let block = in_maps * out_maps;
    let pairs = |position, pairs: &mut Pairs| {
        for (tap, from) in taps(&window, position) {
            pairs.segments.push(from * in_maps);
            pairs.blocks.push((position * window.size * window.size + tap) * block);
        }
    };
    let rows = |blocks: &[usize], row: usize, first: usize, out: &mut [f32]| {
        let start = blocks[row / in_maps] + row % in_maps * out_maps + first;
        out.copy_from_slice(&weights[start..][..out.len()]);
    };
    let finish = Finish { accumulate: false, bias: Some(bias), activation };
    joined.compute(machine, batch, input, pairs, rows, finish, output)
}

/// `input_gradient[i] = sum of output_gradient[p] * weights[p, tap]^T` over what reaches `i`.
pub(crate) fn input_gradient(
    machine: &mut Machine,
    shape: &Shape,
    batch: usize,
    output_gradient: &[f32],
    weights: &[f32],
    input_gradient: &mut [f32],
) -> Result<()> {
    let Shape { window, in_maps, out_maps } = *shape;
    let joined = Joined {
        from: Maps { positions: window.output * window.output, maps: out_maps },
        to: Maps { positions: window.input * window.input, maps: in_maps },
        most: window.size * window.size,
    };
    let block = in_maps * out_maps;
    let pairs = |position, pairs: &mut Pairs| {
        for (tap, from) in takers(&window, position) {
            pairs.segments.push(from * out_maps);
            pairs.blocks.push((from * window.size * window.size + tap) * block);
        }
    };
    let rows = |blocks: &[usize], row: usize, first: usize, out: &mut [f32]| {
        let start = blocks[row / out_maps] + first * out_maps + row % out_maps;
        out.iter_mut().zip(weights[start..].iter().step_by(out_maps)).for_each(|(o, x)| *o = *x);
    };
    let finish = Finish { accumulate: false, bias: None, activation: Activation::None };
    joined.compute(machine, batch, output_gradient, pairs, rows, finish, input_gradient)
}

/// `weights_gradient[p, tap] = input[under tap of p]^T * output_gradient[p]`, `bias_gradient` = its sum over the images.
pub(crate) fn weight_gradient(
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
    let (positions, count) = (window.output * window.output, window.size * window.size);
    let image = window.input * window.input * in_maps;
    let stride = skewed(image);
    let own = kernel.panels(TASK_COLUMNS.min(out_maps)).packed(batch);
    let (images, own) = machine.scratch.get(batch * stride, own)?;
    let result = Shared::new(weights_gradient);
    machine.pool.install(|| {
        spread(input, image, images, stride);
        let images = &*images;
        each_task(positions, out_maps, &own, |position, columns, packed| {
            let panels = kernel.panels(columns.len());
            let gradients = Matrix {
                data: &output_gradient[position * out_maps + columns.start..],
                stride: positions * out_maps,
            };
            pack_rows(&gradients, 0..batch, panels, Shared::new(packed), batch, 0);
            let packed = &*packed;
            let mut met = taps(&window, position).peekable();
            for tap in 0..count {
                let row = (position * count + tap) * in_maps;
                let Some((_, from)) = met.next_if(|(other, _)| *other == tap) else {
                    for row in row..row + in_maps {
                        let start = row * out_maps + columns.start;
                        // SAFETY: these columns of this position's rows are this task's alone.
                        unsafe { result.slice(start..start + columns.len()) }.fill(0.0);
                    }
                    continue;
                };
                for panel in panels.iter() {
                    for tile in kernel.tiles(in_maps, &panel) {
                        let tile = Tile {
                            a: &images[from * in_maps + tile.start..],
                            left: Left::Columns { count: tile.len(), step: stride },
                            segments: &[0],
                            inner: batch,
                            b: &packed[batch * panel.first..],
                            panel,
                            c: result.at((row + tile.start) * out_maps + columns.start + panel.first),
                            c_stride: out_maps,
                            finish: STORE,
                            ahead: Ahead::NOTHING,
                        };
                        // SAFETY: as above.
                        unsafe { kernel.run(&tile) };
                    }
                }
            }
        });
    });
    sum_rows(output_gradient, bias_gradient);
    Ok(())
}

/// Maps of one image.
#[derive(Clone, Copy)]
struct Maps {
    positions: usize,
    maps: usize,
}

/// What a position is summed of: where the maps of each joined position begin in an image, and the weights between them.
#[derive(Default)]
struct Pairs {
    segments: Vec<usize>,
    blocks: Vec<usize>,
}

/// Maps that are sums over some positions of other maps, with weights of its own for each pair of positions.
struct Joined {
    from: Maps,
    to: Maps,
    /// The most positions of a sum.
    most: usize,
}

/// Row `row` of the weights in `blocks`, from column `first` on.
struct Blocks<'a, F> {
    blocks: &'a [usize],
    rows: F,
}

impl<F: Fn(&[usize], usize, usize, &mut [f32]) + Sync> Rows for Blocks<'_, F> {
    #[inline]
    fn copy(&self, row: usize, first: usize, out: &mut [f32]) {
        (self.rows)(self.blocks, row, first, out);
    }
}

impl Joined {
    /// `pairs` names what a position is summed of, `rows` copies from the weights between them.
    fn compute(
        &self,
        machine: &mut Machine,
        batch: usize,
        input: &[f32],
        pairs: impl Fn(usize, &mut Pairs) + Sync,
        rows: impl Fn(&[usize], usize, usize, &mut [f32]) + Sync,
        finish: Finish,
        output: &mut [f32],
    ) -> Result<()> {
        let Self { from, to, most } = *self;
        let kernel = machine.kernel;
        let image = from.positions * from.maps;
        let stride = skewed(image);
        let own = kernel.panels(TASK_COLUMNS.min(to.maps)).packed(most * from.maps);
        let (images, own) = machine.scratch.get(batch * stride, own)?;
        let output = Shared::new(output);
        machine.pool.install(|| {
            spread(input, image, images, stride);
            let images = &*images;
            each_task(to.positions, to.maps, &own, |position, columns, packed| {
                let mut sum = Pairs::default();
                pairs(position, &mut sum);
                let terms = sum.segments.len() * from.maps;
                let panels = kernel.panels(columns.len());
                let blocks = Blocks {
                    blocks: &sum.blocks,
                    rows: |blocks: &[usize], row, first, out: &mut [f32]| {
                        rows(blocks, row, columns.start + first, out)
                    },
                };
                pack_rows(&blocks, 0..terms, panels, Shared::new(packed), terms, 0);
                for panel in panels.iter() {
                    let column = position * to.maps + columns.start + panel.first;
                    let finish = Finish { bias: finish.bias.map(|bias| &bias[column..]), ..finish };
                    for tile in kernel.tiles(batch, &panel) {
                        let mut starts = [0; MAX_ROWS];
                        let starts = &mut starts[..tile.len()];
                        starts
                            .iter_mut()
                            .zip(tile.clone())
                            .for_each(|(start, image)| *start = image * stride);
                        let tile = Tile {
                            a: images,
                            left: Left::Rows(starts),
                            segments: &sum.segments,
                            inner: from.maps,
                            b: &packed[terms * panel.first..],
                            panel,
                            c: output.at(tile.start * to.positions * to.maps + column),
                            c_stride: to.positions * to.maps,
                            finish,
                            ahead: Ahead::NOTHING,
                        };
                        // SAFETY: these columns of this position are this task's alone.
                        unsafe { kernel.run(&tile) };
                    }
                }
            });
        });
        Ok(())
    }
}

/// Elements from one image to the next.
fn skewed(image: usize) -> usize {
    image.next_multiple_of(SKEW * 2) + SKEW
}

/// Copies images of `image` elements to places that are `stride` apart.
fn spread(from: &[f32], image: usize, to: &mut [f32], stride: usize) {
    to.par_chunks_exact_mut(stride)
        .zip(from.par_chunks_exact(image))
        .for_each(|(to, from)| to[..image].copy_from_slice(from));
}

/// Calls `task(position, columns, working memory)` for every position and every [`TASK_COLUMNS`] of `maps`, in parallel.
fn each_task(
    positions: usize,
    maps: usize,
    own: &PerThread,
    task: impl Fn(usize, std::ops::Range<usize>, &mut [f32]) + Sync,
) {
    let groups = maps.div_ceil(TASK_COLUMNS);
    (0..positions * groups).into_par_iter().for_each(|i| {
        let first = i % groups * TASK_COLUMNS;
        // SAFETY: one call in a task without parallel work.
        task(i / groups, first..maps.min(first + TASK_COLUMNS), unsafe { own.own() });
    });
}

/// Taps of output position `position` that meet the input, in order, each with the input position under it.
fn taps(window: &Window, position: usize) -> impl Iterator<Item = (usize, usize)> {
    let Window { input, output, size, stride, pad } = *window;
    let (y, x) = (position / output * stride, position % output * stride);
    (0..size * size).filter_map(move |tap| {
        let inside = |at: usize| at.checked_sub(pad).filter(|at| *at < input);
        Some((tap, inside(y + tap / size)? * input + inside(x + tap % size)?))
    })
}

/// The other way round: taps that meet input position `position`, each with the output position whose it is.
fn takers(window: &Window, position: usize) -> impl Iterator<Item = (usize, usize)> {
    let Window { input, output, size, stride, pad } = *window;
    let (y, x) = (position / input + pad, position % input + pad);
    (0..size * size).filter_map(move |tap| {
        let whole = |at: usize| (at.is_multiple_of(stride) && at / stride < output).then_some(at / stride);
        let at = |place: usize, tap: usize| place.checked_sub(tap).and_then(whole);
        Some((tap, at(y, tap / size)? * output + at(x, tap % size)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_and_takers_name_the_same_pairs() {
        for (input, output, size, stride, pad) in [
            (6, 6, 3, 1, 1),
            (5, 3, 3, 2, 1),
            (7, 2, 2, 5, 0),
            (4, 3, 3, 3, 2),
            (1, 1, 1, 1, 0),
            (4, 8, 3, 1, 3),
        ] {
            let window = Window { input, output, size, stride, pad };
            let mut by_output: Vec<_> = (0..output * output)
                .flat_map(|p| taps(&window, p).map(move |(tap, i)| (i, tap, p)).collect::<Vec<_>>())
                .collect();
            by_output.sort_unstable();
            let by_input: Vec<_> = (0..input * input)
                .flat_map(|i| takers(&window, i).map(move |(tap, p)| (i, tap, p)).collect::<Vec<_>>())
                .collect();
            assert_eq!(by_output, by_input);
        }
    }
}
