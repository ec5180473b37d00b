//! Pooling, alone and with the normalisation before it in one pass over the rows.

use crate::backend::Machine;
use crate::isa::{Work, prefetch_run};
use crate::norm::{Lines, normalise, normalise_gradient};
use ilsvrc_diagnostics::Result;
use ilsvrc_network::{Norm, PoolKind, Window};
use rayon::prelude::*;
use std::ops::Range;

/// Rows or columns of the input that output row or column `o` pools.
#[inline(always)]
pub(crate) fn covered(window: &Window, o: usize) -> Range<usize> {
    let start = o * window.stride;
    start..(start + window.size).min(window.input)
}

/// Maps that are worked on together: the widest vector.
pub(crate) const CHUNK: usize = 16;

/// Rows of one image, or the last few of them in turn.
#[derive(Clone, Copy)]
struct Rows {
    /// Row `y` is kept at place `y % kept`.
    kept: usize,
    /// Elements of a row.
    length: usize,
    /// Elements of a position.
    maps: usize,
}

impl Rows {
    #[inline(always)]
    fn row(&self, y: usize) -> Range<usize> {
        let start = (y % self.kept) * self.length;
        start..start + self.length
    }

    #[inline(always)]
    fn position(&self, y: usize, x: usize) -> Range<usize> {
        let start = (y % self.kept) * self.length + x * self.maps;
        start..start + self.maps
    }

    /// Asks for what the window below reads and this one does not.
    #[inline(always)]
    fn prefetch(&self, data: &[f32], window: &Window, ys: &Range<usize>, xs: &Range<usize>) {
        for y in ys.end..ys.end + window.stride {
            let first = data.as_ptr().wrapping_add(y * self.length + xs.start * self.maps);
            prefetch_run(first, window.stride * self.maps);
        }
    }

    /// The largest of each map in a window.
    #[inline(always)]
    fn maxima(&self, data: &[f32], ys: Range<usize>, xs: Range<usize>, out: &mut [f32]) {
        let (whole, rest) = out.as_chunks_mut();
        for (out, map) in whole.iter_mut().zip((0..).step_by(CHUNK)) {
            *out = self.largest(data, ys.clone(), xs.clone(), map, CHUNK);
        }
        if !rest.is_empty() {
            let map = CHUNK * whole.len();
            rest.copy_from_slice(&self.largest(data, ys, xs, map, rest.len())[..rest.len()]);
        }
    }

    /// Adds to each map's first position, in row order, that holds the largest of a window what `given` has for it.
    #[inline(always)]
    fn give(&self, data: &[f32], gradient: &mut [f32], ys: Range<usize>, xs: Range<usize>, given: &[f32]) {
        let (whole, rest) = given.as_chunks();
        for (given, map) in whole.iter().zip((0..).step_by(CHUNK)) {
            self.give_chunk(data, gradient, ys.clone(), xs.clone(), map, CHUNK, *given);
        }
        if !rest.is_empty() {
            let mut given = [0.0; CHUNK];
            given[..rest.len()].copy_from_slice(rest);
            self.give_chunk(data, gradient, ys, xs, CHUNK * whole.len(), rest.len(), given);
        }
    }

    /// The largest of `count` maps from `map` on, kept in registers.
    #[inline(always)]
    fn largest(
        &self,
        data: &[f32],
        ys: Range<usize>,
        xs: Range<usize>,
        map: usize,
        count: usize,
    ) -> [f32; CHUNK] {
        let mut largest = [f32::NEG_INFINITY; CHUNK];
        for y in ys {
            let row = &data[self.row(y)];
            for x in xs.clone() {
                let values = &row[x * self.maps + map..][..count];
                // One instruction, where `max` looks for NaN too.
                let one = |largest: &mut f32, value: f32| {
                    *largest = if value > *largest { value } else { *largest }
                };
                if let Ok(values) = <&[f32; CHUNK]>::try_from(values) {
                    for c in 0..CHUNK {
                        one(&mut largest[c], values[c]);
                    }
                } else {
                    largest.iter_mut().zip(values).for_each(|(m, v)| one(m, *v));
                }
            }
        }
        largest
    }

    #[inline(always)]
    fn give_chunk(
        &self,
        data: &[f32],
        gradient: &mut [f32],
        ys: Range<usize>,
        xs: Range<usize>,
        map: usize,
        count: usize,
        given: [f32; CHUNK],
    ) {
        let largest = self.largest(data, ys.clone(), xs.clone(), map, count);
        // What was given leaves 0 for later positions. Masks of bits, because branches become masked stores, for which the
        // next window's loads would have to wait.
        let mut left = given.map(f32::to_bits);
        for y in ys {
            let (row, gradient) = (&data[self.row(y)], &mut gradient[self.row(y)]);
            for x in xs.clone() {
                let at = x * self.maps + map;
                let (values, gradient) = (&row[at..][..count], &mut gradient[at..][..count]);
                let one = |value: f32, gradient: &mut f32, largest: f32, left: &mut u32| {
                    let first = u32::from(value == largest).wrapping_neg();
                    *gradient += f32::from_bits(*left & first);
                    *left &= !first;
                };
                if let (Ok(values), Ok(gradient)) =
                    (<&[f32; CHUNK]>::try_from(values), <&mut [f32; CHUNK]>::try_from(&mut *gradient))
                {
                    for c in 0..CHUNK {
                        one(values[c], &mut gradient[c], largest[c], &mut left[c]);
                    }
                } else {
                    for c in 0..count {
                        one(values[c], &mut gradient[c], largest[c], &mut left[c]);
                    }
                }
            }
        }
    }
}

/// Pools images of `window.input^2 * maps`.
pub(crate) fn forward(
    machine: &mut Machine,
    kind: PoolKind,
    window: &Window,
    maps: usize,
    input: &[f32],
    output: &mut [f32],
) -> Result<()> {
    struct Forward<'a>(PoolKind, &'a Window, Rows, &'a [f32], &'a mut [f32]);
    impl Work for Forward<'_> {
        #[inline(always)]
        fn run(self) {
            let Self(kind, window, rows, input, output) = self;
            for (i, out) in output.chunks_exact_mut(rows.maps).enumerate() {
                let (ys, xs) = (covered(window, i / window.output), covered(window, i % window.output));
                match kind {
                    PoolKind::Max => {
                        rows.prefetch(input, window, &ys, &xs);
                        rows.maxima(input, ys, xs, out);
                    }
                    PoolKind::Avg => {
                        rows.prefetch(input, window, &ys, &xs);
                        let share = 1.0 / (ys.len() * xs.len()) as f32;
                        out.fill(0.0);
                        for y in ys {
                            for x in xs.clone() {
                                out.iter_mut().zip(&input[rows.position(y, x)]).for_each(|(o, v)| *o += v);
                            }
                        }
                        out.iter_mut().for_each(|o| *o *= share);
                    }
                }
            }
        }
    }
    let rows = Rows { kept: window.input, length: window.input * maps, maps };
    let (from, to) = (window.input * window.input * maps, window.output * window.output * maps);
    let set = machine.set;
    machine.pool.install(|| {
        output
            .par_chunks_exact_mut(to)
            .zip(input.par_chunks_exact(from))
            .for_each(|(output, input)| set.run(Forward(kind, window, rows, input, output)));
    });
    Ok(())
}

/// The gradient of [`forward`].
pub(crate) fn backward(
    machine: &mut Machine,
    kind: PoolKind,
    window: &Window,
    maps: usize,
    input: &[f32],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<()> {
    struct Backward<'a>(PoolKind, &'a Window, Rows, &'a [f32], &'a [f32], &'a mut [f32]);
    impl Work for Backward<'_> {
        #[inline(always)]
        fn run(self) {
            let Self(kind, window, rows, input, from, to) = self;
            to.fill(0.0);
            for (i, g) in from.chunks_exact(rows.maps).enumerate() {
                let (ys, xs) = (covered(window, i / window.output), covered(window, i % window.output));
                match kind {
                    PoolKind::Max => {
                        rows.prefetch(input, window, &ys, &xs);
                        rows.give(input, to, ys, xs, g);
                    }
                    PoolKind::Avg => {
                        let share = 1.0 / (ys.len() * xs.len()) as f32;
                        for y in ys {
                            for x in xs.clone() {
                                let to = &mut to[rows.position(y, x)];
                                to.iter_mut().zip(g).for_each(|(d, g)| *d += g * share);
                            }
                        }
                    }
                }
            }
        }
    }
    let rows = Rows { kept: window.input, length: window.input * maps, maps };
    let (large, small) = (window.input * window.input * maps, window.output * window.output * maps);
    let set = machine.set;
    machine.pool.install(|| {
        let sources = input.par_chunks_exact(large).zip(output_gradient.par_chunks_exact(small));
        input_gradient
            .par_chunks_exact_mut(large)
            .zip(sources)
            .for_each(|(to, (input, from))| set.run(Backward(kind, window, rows, input, from, to)));
    });
    Ok(())
}

/// Normalises across maps, then pools maxima; normalised rows are kept only while windows read them.
pub(crate) fn norm_forward(
    machine: &mut Machine,
    norm: &Norm,
    window: &Window,
    maps: usize,
    input: &[f32],
    output: &mut [f32],
) -> Result<()> {
    struct Forward<'a>(&'a Norm, &'a Window, Rows, &'a [f32], Band<'a>, &'a mut [f32]);
    /// Rows of the output from `first` on.
    struct Band<'a> {
        first: usize,
        rows: &'a mut [f32],
    }
    impl Work for Forward<'_> {
        #[inline(always)]
        fn run(self) {
            let Self(norm, window, rows, input, output, memory) = self;
            let (normalised, lines) = memory.split_at_mut(rows.kept * rows.length);
            let mut lines = Lines::new(norm, rows.maps, lines);
            let mut done = 0;
            for (i, out) in output.rows.chunks_exact_mut(window.output * rows.maps).enumerate() {
                let ys = covered(window, output.first + i);
                for y in ys.start.max(done)..ys.end {
                    let input = &input[y * rows.length..][..rows.length];
                    normalise(norm, &mut lines, input, &mut normalised[rows.row(y)]);
                }
                done = ys.end;
                for (ox, out) in out.chunks_exact_mut(rows.maps).enumerate() {
                    rows.maxima(normalised, ys.clone(), covered(window, ox), out);
                }
            }
        }
    }
    let rows = Rows { kept: window.size, length: window.input * maps, maps };
    let (from, to) = (window.input * window.input * maps, window.output * window.output * maps);
    let (_, own) = machine.scratch.get(0, rows.kept * rows.length + Lines::elements(norm, maps))?;
    let set = machine.set;
    // Where images are fewer than threads, each is cut into bands. Rows at their edges are normalised twice; no sum changes.
    let bands = machine.pool.current_num_threads().div_ceil((output.len() / to).max(1)).min(window.output);
    let band = window.output.div_ceil(bands);
    machine.pool.install(|| {
        output.par_chunks_exact_mut(to).zip(input.par_chunks_exact(from)).for_each(|(output, input)| {
            let bands = output.par_chunks_mut(band * window.output * maps).enumerate();
            bands.for_each(|(i, rows_of_band)| {
                // SAFETY: one call in a task without parallel work.
                let memory = unsafe { own.own() };
                let output = Band { first: i * band, rows: rows_of_band };
                set.run(Forward(norm, window, rows, input, output, memory));
            });
        });
    });
    Ok(())
}

/// The gradient of [`norm_forward`]. A row is normalised again when the first window reaches it, and its gradient
/// goes back through the normalisation when the last window has left it.
pub(crate) fn norm_backward(
    machine: &mut Machine,
    norm: &Norm,
    window: &Window,
    maps: usize,
    input: &[f32],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<()> {
    let rows = Rows { kept: window.size, length: window.input * maps, maps };
    let (large, small) = (window.input * window.input * maps, window.output * window.output * maps);
    let memory = 2 * rows.kept * rows.length + Lines::elements(norm, maps);
    let (_, own) = machine.scratch.get(0, memory)?;
    let set = machine.set;
    machine.pool.install(|| {
        let sources = input.par_chunks_exact(large).zip(output_gradient.par_chunks_exact(small));
        input_gradient.par_chunks_exact_mut(large).zip(sources).for_each(|(to, (input, from))| {
            // SAFETY: one call in a task without parallel work.
            let memory = unsafe { own.own() };
            set.run(NormBackward { norm, window, rows, input, from, to, memory });
        });
    });
    Ok(())
}

struct NormBackward<'a> {
    norm: &'a Norm,
    window: &'a Window,
    rows: Rows,
    input: &'a [f32],
    from: &'a [f32],
    to: &'a mut [f32],
    memory: &'a mut [f32],
}

impl Work for NormBackward<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { norm, window, rows, input, from, to, memory } = self;
        let (normalised, memory) = memory.split_at_mut(rows.kept * rows.length);
        let (gradients, memory) = memory.split_at_mut(rows.kept * rows.length);
        let mut lines = Lines::new(norm, rows.maps, memory);
        let image_row = |y: usize| y * rows.length..(y + 1) * rows.length;
        // Rows before `entered` were normalised (but for rows between windows); rows before `left` are finished.
        let (mut entered, mut left) = (0, 0);
        for (oy, g) in from.chunks_exact(window.output * rows.maps).enumerate() {
            let ys = covered(window, oy);
            for y in left..ys.start {
                let to = &mut to[image_row(y)];
                if y < entered {
                    normalise_gradient(norm, &mut lines, &input[image_row(y)], &gradients[rows.row(y)], to);
                } else {
                    to.fill(0.0);
                }
            }
            left = ys.start;
            for y in ys.start.max(entered)..ys.end {
                normalise(norm, &mut lines, &input[image_row(y)], &mut normalised[rows.row(y)]);
                gradients[rows.row(y)].fill(0.0);
            }
            entered = ys.end;
            for (ox, g) in g.chunks_exact(rows.maps).enumerate() {
                let xs = covered(window, ox);
                rows.give(normalised, gradients, ys.clone(), xs, g);
            }
        }
        for y in left..window.input {
            let to = &mut to[image_row(y)];
            if y < entered {
                normalise_gradient(norm, &mut lines, &input[image_row(y)], &gradients[rows.row(y)], to);
            } else {
                to.fill(0.0);
            }
        }
    }
}
