//! The gradient of the weights: a convolution of the input with the output's gradient, whose tiles are the kernels.

use super::transform::{Input, Kernel, Output, Transform};
use super::vectors::{EachSpan, Maps, Span, Spread};
use super::{SKEW, TILE, TileOf, Tiling};
use crate::arena::Shared;
use crate::backend::Machine;
use crate::conv::{Padded, Shape, sum_rows};
use crate::gemm::{Ahead, Finish, Left, Panels, STORE, Tile, Vector, VectorWork, run_on_vectors};
use ilsvrc_diagnostics::Result;
use rayon::prelude::*;
use std::marker::PhantomData;

/// Transformed inputs and gradients of the rows of tiles that are worked on together: some times as many as the sums have, which
/// each group reads and writes once, but not so many that they leave the caches.
const GROUP_ELEMENTS: [usize; 2] = [512 * 1024, 4 * 1024 * 1024];

/// As [`crate::conv::weight_gradient`], for steps of 1 and kernels of `R x R`, at `P` points.
///
/// Tasks own rows of each product's sums and add groups of tiles in order; the groups depend on shapes alone.
pub(in crate::conv) fn weight_gradient<const R: usize, const P: usize>(
    machine: &mut Machine,
    shape: &Shape,
    batch: usize,
    input: &[f32],
    output_gradient: &[f32],
    weights_gradient: &mut [f32],
    bias_gradient: &mut [f32],
) -> Result<()> {
    const { assert!(P == TILE + R - 1) };
    let products = P * P;
    let Shape { window, in_maps, out_maps } = *shape;
    let (kernel, set) = (machine.kernel, machine.set);
    let inputs = Tiling::new(shape.read(), window.output);
    let gradients = Padded { side: window.output, maps: out_maps, pad: 0, dilation: 1, width: window.output };
    let outputs = Tiling::new(gradients, window.output);
    let across = inputs.across;
    let (in_panels, out_panels) = (kernel.panels(in_maps), kernel.panels(out_maps));

    let bands = batch * across;
    let [least, most] = GROUP_ELEMENTS;
    let elements = (4 * products * in_maps * out_maps).clamp(least, most);
    let group = elements / (products * across * (in_panels.packed(1) + out_panels.packed(1)));
    let groups = bands.div_ceil(group.clamp(1, bands));
    let group = bands.div_ceil(groups);
    let strides = [in_panels.packed(group * across), out_panels.packed(group * across), in_maps * out_maps]
        .map(|elements| elements + SKEW);
    let sizes = strides.map(|stride| products * stride);
    let zeros = in_maps.max(out_maps);
    let (memory, _) = machine.scratch.get(sizes.iter().sum::<usize>() + group * out_maps + zeros, 0)?;
    let (left, memory) = memory.split_at_mut(sizes[0]);
    let (right, memory) = memory.split_at_mut(sizes[1]);
    let (sums, memory) = memory.split_at_mut(sizes[2]);
    let (bias_sums, zeros) = memory.split_at_mut(group * out_maps);
    zeros.fill(0.0);
    bias_gradient.fill(0.0);

    for number in 0..groups {
        let bands = bands * number / groups..bands * (number + 1) / groups;
        let count = bands.len() * across;
        let zeros = &*zeros;
        let tiles =
            |i, band| Tiles { first: band * across, count: across, rows: count, row: i * across, zeros };
        machine.pool.install(|| {
            let (to_left, to_right) = (Shared::new(left), Shared::new(right));
            let tasks = bias_sums.par_chunks_exact_mut(out_maps).zip(bands.clone());
            tasks.enumerate().for_each(|(i, (bias_sums, band))| {
                run_on_vectors(
                    set,
                    Pack::<Kernel, TILE, P> {
                        transform: PhantomData,
                        tiling: &outputs,
                        from: output_gradient,
                        tiles: tiles(i, band),
                        to: Transformed { panels: out_panels, stride: strides[1], packed: to_right },
                    },
                );
                run_on_vectors(
                    set,
                    Pack::<Input, P, P> {
                        transform: PhantomData,
                        tiling: &inputs,
                        from: input,
                        tiles: tiles(i, band),
                        to: Transformed { panels: in_panels, stride: strides[0], packed: to_left },
                    },
                );
                let (image, first) = (band / across * window.output, band % across * TILE);
                let rows = image + first..image + window.output.min(first + TILE);
                let row = window.output * out_maps;
                sum_rows(&output_gradient[rows.start * row..rows.end * row], bias_sums);
            });
            let (left, right, sums) = (&*left, &*right, Shared::new(sums));
            let parts = in_panels.iter().count();
            (0..products * parts).into_par_iter().for_each(|task| {
                let (product, part) = (task / parts, task % parts);
                let Some(rows) = in_panels.iter().nth(part) else { return };
                let a = &left[product * strides[0] + count * rows.first..][..count * rows.width];
                for panel in out_panels.iter() {
                    for tile in kernel.tiles(rows.columns, &panel) {
                        let tile = Tile {
                            a: &a[tile.start..],
                            left: Left::Columns { count: tile.len(), step: rows.width },
                            segments: &[0],
                            inner: count,
                            b: &right[product * strides[1] + count * panel.first..][..count * panel.width],
                            panel,
                            c: sums.at(product * strides[2]
                                + (rows.first + tile.start) * out_maps
                                + panel.first),
                            c_stride: out_maps,
                            finish: Finish { accumulate: number > 0, ..STORE },
                            ahead: Ahead::NOTHING,
                        };
                        // SAFETY: these rows of this product's sums are this task's alone.
                        unsafe { kernel.run(&tile) };
                    }
                }
            });
        });
        for sums in bias_sums.chunks_exact(out_maps).take(bands.len()) {
            bias_gradient.iter_mut().zip(sums).for_each(|(b, s)| *b += s);
        }
    }
    let result = Shared::new(weights_gradient);
    machine.pool.install(|| {
        (0..in_maps).into_par_iter().for_each(|row| {
            let stride = strides[2];
            run_on_vectors(set, Gradients::<R, P> { sums, stride, row, in_maps, out_maps, result });
        });
    });
    Ok(())
}

/// Consecutive tiles, and the rows of packed matrices that they become.
#[derive(Clone, Copy)]
struct Tiles<'a> {
    first: usize,
    count: usize,
    /// Rows of the matrices.
    rows: usize,
    /// The first tile's.
    row: usize,
    /// A position outside the maps.
    zeros: &'a [f32],
}

/// Packed matrices, one for each product.
struct Transformed<'a> {
    panels: Panels,
    /// Elements between them.
    stride: usize,
    packed: Shared<'a>,
}

/// Transforms tiles of `S x S` positions into rows of packed matrices.
struct Pack<'a, T, const S: usize, const P: usize> {
    transform: PhantomData<T>,
    tiling: &'a Tiling,
    from: &'a [f32],
    tiles: Tiles<'a>,
    to: Transformed<'a>,
}

impl<T: Transform<S, P>, const S: usize, const P: usize> VectorWork for Pack<'_, T, S, P> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Tiles { first, count, rows, row, zeros } = self.tiles;
        for tile in 0..count {
            let Padded { side, maps, .. } = self.tiling.padded;
            self.tiling.prefetch(first + tile + self.tiling.across, side, maps, self.from.as_ptr());
            let positions = &self.tiling.positions::<S>(first + tile, self.from, zeros);
            for panel in self.to.panels.iter() {
                let start = rows * panel.first + (row + tile) * panel.width;
                let stride = self.to.stride;
                let to = self.to.packed.strided(start, P * P, stride, panel.width);
                // SAFETY: the caller's promise; this row of each matrix is this call's alone, and the positions have all
                // maps of all panels.
                unsafe {
                    let padding = panel.width - panel.columns;
                    for product in 0..if padding > 0 { P * P } else { 0 } {
                        to.add(product * stride + panel.columns).write_bytes(0, padding);
                    }
                    let mut positions = *positions;
                    for position in positions.as_flattened_mut() {
                        *position = position.add(panel.first);
                    }
                    let positions = &positions;
                    let mut tile = TileOf::<T, S, P> { transform: PhantomData, positions, to, stride };
                    tile.spans::<V>(panel.columns);
                }
            }
        }
    }
}

/// Transforms the sums of one input map into its rows of the weights' gradient.
struct Gradients<'a, const R: usize, const P: usize> {
    sums: &'a [f32],
    /// Elements between the sums of products.
    stride: usize,
    row: usize,
    in_maps: usize,
    out_maps: usize,
    result: Shared<'a>,
}

impl<const R: usize, const P: usize> VectorWork for Gradients<'_, R, P> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { sums, stride, row, in_maps, out_maps, result } = self;
        let sums = sums[row * out_maps..][..(P * P - 1) * stride + out_maps].as_ptr();
        let to = result.strided(row * out_maps, R * R, in_maps * out_maps, out_maps);
        let mut kernels = Kernels::<R, P> { sums, stride, to, kernel: in_maps * out_maps };
        // SAFETY: the caller's promise; the rows of this input map are this task's alone.
        unsafe { kernels.spans::<V>(out_maps) };
    }
}

/// The gradients of the kernels that read one map.
struct Kernels<const R: usize, const P: usize> {
    /// Its row in the first matrix of sums.
    sums: *const f32,
    /// Elements between matrices.
    stride: usize,
    /// Its row at the kernels' first position; nobody else uses these rows.
    to: *mut f32,
    /// Elements between positions of the kernels.
    kernel: usize,
}

impl<const R: usize, const P: usize> EachSpan for Kernels<R, P> {
    #[inline(always)]
    unsafe fn span<V: Vector, const WHOLE: bool>(&mut self, span: Span<WHOLE>) {
        let from = Spread::<_, P, WHOLE> { first: self.sums, step: self.stride, span };
        let mut to = Spread::<_, R, WHOLE> { first: self.to, step: self.kernel, span };
        // SAFETY: the caller's promise, and those of the fields.
        unsafe { <Output as Transform<P, R>>::square::<Maps<V>>(&from, &mut to) };
    }
}
