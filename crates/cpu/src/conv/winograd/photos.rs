//! Forward convolution of photos, whose three maps are too few for products of matrices: the products of a tile are made where
//! the output's transform reads them, and never stored.

use super::super::{Padded, Shape};
use super::TILE;
use super::outputs::OutputTile;
use super::transform::{Input, Kernel, Output, Sink, Transform};
use super::vectors::{EachSpan, Maps, Span, Spread};
use crate::arena::{PerThread, Scratch};
use crate::backend::Machine;
use crate::gemm::{Finish, Vector, VectorWork, run_on_vectors};
use crate::isa::InstructionSet;
use crate::kept::{Form, Kept};
use ilsvrc_diagnostics::Result;
use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Maps of a photo.
pub(in crate::conv) const COLOURS: usize = 3;

/// Side of the kernels.
pub(in crate::conv) const SIZE: usize = 5;

/// Side of the squares that tiles read, and of their transforms.
const P: usize = TILE + SIZE - 1;

/// Numbers of a column of a transformed tile.
const COLUMN: usize = P * COLOURS;

/// Maps whose transformed kernels lie together: the widest vector.
const BLOCK: usize = 16;

/// A convolution of photos with kernels of `5 x 5` and a step of 1.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Photos {
    /// What tiles read, those over the right and lower border included.
    padded: Padded,
    /// Side of the maps written.
    pub(in crate::conv) side: usize,
    /// Maps written.
    pub(in crate::conv) maps: usize,
    /// Tiles of a row.
    across: usize,
}

impl Photos {
    /// The convolution, if it is such a one.
    pub(in crate::conv) fn of(shape: &Shape) -> Option<Self> {
        let Shape { window, in_maps, out_maps: maps } = *shape;
        if [window.size, window.stride, in_maps] != [SIZE, 1, COLOURS] {
            return None;
        }
        let side = window.output;
        let across = side.div_ceil(TILE);
        let padded = Padded { width: across * TILE + SIZE - 1, ..shape.read() };
        Some(Self { padded, side, maps, across })
    }

    /// `output = activation(conv(input, weights) + bias)`; weights HWIO, and where they are kept in the form that is multiplied.
    pub(in crate::conv) fn forward(
        &self,
        machine: &mut Machine,
        batch: usize,
        input: &[f32],
        weights: (&[f32], Option<&mut Kept>),
        finish: Finish,
        output: &mut [f32],
    ) -> Result<()> {
        let (pool, set) = (machine.pool, machine.set);
        // Where images are few, each is cut into bands.
        let bands = (2 * pool.current_num_threads()).div_ceil(batch).min(self.across);
        let most = self.across.div_ceil(bands);
        let (kernels, own) = self.kernels(set, machine.scratch, weights, self.memory(most))?;
        let image = self.side * self.side * self.maps;
        pool.install(|| {
            let images = output.par_chunks_exact_mut(image).zip(input.par_chunks_exact(self.padded.stored()));
            images.for_each(|(output, photo)| {
                let rows = output.par_chunks_mut(most * TILE * self.side * self.maps).enumerate();
                rows.for_each(|(band, output)| {
                    let tiles = band * most..self.across.min((band + 1) * most);
                    // SAFETY: one call in a task without parallel work.
                    let memory = unsafe { own.own() };
                    self.convolve(set, kernels, finish, photo, tiles, memory, output);
                });
            });
        });
        Ok(())
    }

    /// The transformed kernels, and memory for each thread.
    pub(in crate::conv) fn kernels<'a>(
        &self,
        set: InstructionSet,
        scratch: &'a mut Scratch,
        (weights, kept): (&[f32], Option<&'a mut Kept>),
        own: usize,
    ) -> Result<(&'a [f32], PerThread<'a>)> {
        let maps = self.maps;
        let length = P * COLUMN * maps.next_multiple_of(BLOCK);
        let (shared, own) = scratch.get(if kept.is_some() { 0 } else { length }, own)?;
        let (kernels, ready) = match kept {
            Some(kept) => kept.weights(Form::Transformed, length)?,
            None => (shared, false),
        };
        if !ready {
            run_on_vectors(set, Kernels { weights, maps, to: &mut *kernels });
        }
        Ok((kernels, own))
    }

    /// Elements of memory that [`Photos::convolve`] needs for so many rows of tiles: the photo with its border; a row of tiles
    /// transformed down, the same with columns together, and transformed across.
    pub(in crate::conv) fn memory(&self, tiles: usize) -> usize {
        self.border(tiles) + 2 * P * self.row() + self.across * P * COLUMN
    }

    /// Elements of the photo with its border under so many rows of tiles.
    fn border(&self, tiles: usize) -> usize {
        (tiles * TILE + SIZE - 1) * self.row()
    }

    /// Elements of a row of it.
    fn row(&self) -> usize {
        self.padded.width * COLOURS
    }

    /// Computes some rows of tiles of one photo. `output` begins with the first of them.
    pub(in crate::conv) fn convolve(
        &self,
        set: InstructionSet,
        kernels: &[f32],
        finish: Finish,
        photo: &[f32],
        tiles: Range<usize>,
        memory: &mut [f32],
        output: &mut [f32],
    ) {
        let (border, memory) = memory.split_at_mut(self.border(tiles.len()));
        self.padded.copy(photo, tiles.start * TILE, border);
        run_on_vectors(set, Rows { photos: self, kernels, finish, photo: border, tiles, memory, output });
    }
}

/// Transforms kernels: for each block of maps, column and row of the transform, and colour, a vector of the block's maps.
struct Kernels<'a> {
    weights: &'a [f32],
    maps: usize,
    to: &'a mut [f32],
}

impl VectorWork for Kernels<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { weights, maps, to } = self;
        for (block, to) in to.chunks_exact_mut(P * COLUMN * BLOCK).enumerate() {
            let first = block * BLOCK;
            let count = BLOCK.min(maps - first);
            for colour in 0..COLOURS {
                let mut kernels = [[0.0; BLOCK]; SIZE * SIZE];
                for (position, kernels) in kernels.iter_mut().enumerate() {
                    let row = &weights[(position * COLOURS + colour) * maps + first..][..count];
                    kernels[..count].copy_from_slice(row);
                }
                let kernels = kernels.as_flattened().as_ptr();
                let mut kernels = KernelsOf { kernels, to: to[colour * BLOCK..].as_mut_ptr() };
                // SAFETY: the caller's promise; the block has room for all colours.
                unsafe { kernels.spans::<V>(BLOCK) };
            }
        }
    }
}

/// The kernels from a colour to a block of maps.
struct KernelsOf {
    kernels: *const f32,
    to: *mut f32,
}

impl EachSpan for KernelsOf {
    #[inline(always)]
    unsafe fn span<V: Vector, const WHOLE: bool>(&mut self, span: Span<WHOLE>) {
        // SAFETY: the caller's promise, and those of the fields.
        unsafe {
            let from = Spread::<_, SIZE, WHOLE> { first: self.kernels, step: BLOCK, span };
            <Kernel as Transform<SIZE, P>>::square::<Maps<V>>(&from, &mut Columns { to: self.to, span });
        }
    }
}

/// A square that is written column by column, with room for all colours.
struct Columns<const WHOLE: bool> {
    to: *mut f32,
    span: Span<WHOLE>,
}

impl<V: Vector, const WHOLE: bool> Sink<Maps<V>> for Columns<WHOLE> {
    #[inline(always)]
    unsafe fn put(&mut self, y: usize, x: usize, maps: Maps<V>) {
        // SAFETY: the caller's promise, and that of whoever made this.
        unsafe { self.span.store(maps, self.to.add((x * P + y) * COLOURS * BLOCK)) }
    }
}

/// Rows of tiles of one photo, which has its border.
struct Rows<'a> {
    photos: &'a Photos,
    kernels: &'a [f32],
    finish: Finish<'a>,
    photo: &'a [f32],
    tiles: Range<usize>,
    memory: &'a mut [f32],
    output: &'a mut [f32],
}

impl VectorWork for Rows<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { photos, kernels, finish, photo, tiles, memory, output } = self;
        let Photos { side, maps, across, .. } = *photos;
        let row = photos.row();
        let (down, memory) = memory.split_at_mut(P * row);
        let (columns, inputs) = memory.split_at_mut(P * row);
        for (i, tile) in tiles.enumerate() {
            let from = photo[i * TILE * row..][..P * row].as_ptr();
            // SAFETY: the caller's promise; both have `P` rows.
            unsafe { Transformed { from, to: down.as_mut_ptr(), step: row }.spans::<V>(row) };
            // Colours of all rows of a column side by side: the vectors of the other transform.
            for (x, column) in columns.as_chunks_mut::<COLUMN>().0.iter_mut().enumerate() {
                for (y, colours) in column.as_chunks_mut::<COLOURS>().0.iter_mut().enumerate() {
                    colours.copy_from_slice(&down[y * row + x * COLOURS..][..COLOURS]);
                }
            }
            for (x, inputs) in inputs.as_chunks_mut::<{ P * COLUMN }>().0.iter_mut().take(across).enumerate()
            {
                let from = columns[x * TILE * COLUMN..][..P * COLUMN].as_ptr();
                // SAFETY: as above.
                unsafe { Transformed { from, to: inputs.as_mut_ptr(), step: COLUMN }.spans::<V>(COLUMN) };
            }
            let rows = TILE.min(side - tile * TILE);
            let mut tiles = RowOfTiles {
                kernels: kernels[..P * COLUMN * maps.next_multiple_of(BLOCK)].as_ptr(),
                inputs: inputs[..across * P * COLUMN].as_ptr(),
                across,
                first: OutputTile {
                    to: output[i * TILE * side * maps..][..rows * side * maps].as_mut_ptr(),
                    row: side * maps,
                    maps,
                    rows,
                    columns: side,
                    bias: finish.bias.map(|bias| bias[..maps].as_ptr()),
                    activation: finish.activation,
                },
            };
            // SAFETY: the caller's promise, and the lengths above.
            unsafe { tiles.spans::<V>(maps) };
        }
    }
}

/// Transforms `P` rows of numbers, each with those at the same place.
struct Transformed {
    from: *const f32,
    to: *mut f32,
    /// Elements between rows.
    step: usize,
}

impl EachSpan for Transformed {
    #[inline(always)]
    unsafe fn span<V: Vector, const WHOLE: bool>(&mut self, span: Span<WHOLE>) {
        let Self { from, to, step } = *self;
        // SAFETY: the caller's promise, and those of the fields.
        unsafe {
            let mut rows = [span.load::<V>(from); P];
            for (i, row) in rows.iter_mut().enumerate().skip(1) {
                *row = span.load(from.add(i * step));
            }
            for (i, row) in <Input as Transform<P, P>>::apply(rows).into_iter().enumerate() {
                span.store(row, to.add(i * step));
            }
        }
    }
}

/// Transformed tiles that lie side by side.
struct RowOfTiles {
    kernels: *const f32,
    /// Of each tile and column `P` rows of all colours.
    inputs: *const f32,
    across: usize,
    /// The outputs from the first tile on to the right border.
    first: OutputTile,
}

impl EachSpan for RowOfTiles {
    #[inline(always)]
    unsafe fn span<V: Vector, const WHOLE: bool>(&mut self, span: Span<WHOLE>) {
        // SAFETY: the caller's promise, and those of the fields.
        unsafe {
            let pairs = self.across / 2 * 2;
            for tile in (0..pairs).step_by(2) {
                self.outputs::<V, WHOLE, 2>(tile, span);
            }
            if pairs < self.across {
                self.outputs::<V, WHOLE, 1>(pairs, span);
            }
        }
    }
}

impl RowOfTiles {
    /// Some maps of the outputs of `T` tiles: each vector of kernels is loaded once for all of them.
    #[inline(always)]
    unsafe fn outputs<V: Vector, const WHOLE: bool, const T: usize>(&self, tile: usize, span: Span<WHOLE>) {
        // SAFETY: the caller's promise, and those of the fields; each column is written before it is read.
        unsafe {
            let kernels = self.kernels.add(span.first / BLOCK * BLOCK * P * COLUMN + span.first % BLOCK);
            let inputs = self.inputs.add(tile * P * COLUMN);
            let mut columns = [[[MaybeUninit::<Maps<V>>::uninit(); P]; TILE]; T];
            for x in 0..P {
                let mut sums = [[V::splat(0.0); P]; T];
                for y in 0..P {
                    for colour in 0..COLOURS {
                        let i = x * COLUMN + y * COLOURS + colour;
                        let kernel = V::load(kernels.add(i * BLOCK));
                        for (t, sums) in sums.iter_mut().enumerate() {
                            sums[y] = sums[y].add_product(V::splat(*inputs.add(t * P * COLUMN + i)), kernel);
                        }
                    }
                }
                for (columns, sums) in columns.iter_mut().zip(sums) {
                    let sums = <Output as Transform<P, TILE>>::apply(sums.map(Maps));
                    columns.iter_mut().zip(sums).for_each(|(row, sum)| row[x] = MaybeUninit::new(sum));
                }
            }
            for (t, columns) in columns.iter().enumerate() {
                let first = (tile + t) * TILE;
                let to = self.first.to.add(first * self.first.maps);
                let columns_left = self.first.columns - first;
                let outputs = OutputTile { to, columns: columns_left, ..self.first };
                let mut outputs = outputs.span::<V, WHOLE>(span);
                for (y, columns) in columns.iter().enumerate() {
                    let row = <Output as Transform<P, TILE>>::apply(columns.map(|sum| sum.assume_init()));
                    row.into_iter().enumerate().for_each(|(x, sum)| outputs.put(y, x, sum));
                }
            }
        }
    }
}
