//! Products of matrices by small register tiles, as in BLIS (Van Zee and van de Geijn, "BLIS: a framework for rapidly
//! instantiating BLAS functionality", 2015), with one change: of the two operands only the right one (`B`) is packed.
//! The left one (`A`) is read where it lies, one scalar at a time, broadcast into the multiply. Its rows may begin
//! anywhere and its columns come in segments, so that a convolution reads the (padded) image itself and no matrix of
//! windows is ever made; packing costs would weigh on the few output maps (48 to 192) of a convolution.

mod kernel_avx2;
mod kernel_avx512;
mod kernel_neon;
mod kernel_portable;
mod pack;

pub(crate) use pack::{Matrix, Rows, Transposed, pack, pack_rows};

use crate::isa::{InstructionSet, prefetch, prefetch_run};
use ilsvrc_network::Activation;
use std::hint::black_box;
use std::mem::MaybeUninit;

/// The most rows that a tile of any kernel has.
pub(crate) const MAX_ROWS: usize = 14;

/// The most vectors that a tile of any kernel is wide.
const MAX_VECTORS: usize = 3;

/// The most elements that a tile of any kernel is wide.
pub(crate) const MAX_WIDTH: usize = 16 * MAX_VECTORS;

/// Rows of `A` of one tile.
pub(crate) enum Left<'a> {
    /// Row `i` begins at `rows[i]`; the elements of a segment follow each other.
    Rows(&'a [usize]),
    /// `count` rows begin one element after another; the elements of a segment are `step` apart: the transpose of a
    /// row-major matrix.
    Columns {
        /// Rows of the tile.
        count: usize,
        /// Elements between two terms of the sum.
        step: usize,
    },
}

/// What is done with a tile's sums.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    /// The sums are added to what `C` holds.
    pub(crate) accumulate: bool,
    /// Added to each column, from the tile's first on.
    pub(crate) bias: Option<&'a [f32]>,
    /// Then applied.
    pub(crate) activation: Activation,
}

impl Finish<'_> {
    /// Whether nothing is done but to store them, or to add them to what is there.
    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.bias.is_none() && self.activation == Activation::None
    }
}

/// `C = sums`
pub(crate) const STORE: Finish<'static> =
    Finish { accumulate: false, bias: None, activation: Activation::None };

/// Elements that are asked for at once: eight lines of a cache.
const RUN: usize = 128;

/// Part of a matrix that is read soon after a tile: with each segment of the tile's sum one run of it is asked for. Asked for
/// all at once, between two tiles, they gain nothing.
#[derive(Clone, Copy)]
pub(crate) struct Ahead<'a> {
    /// From the part's first element on.
    from: &'a [f32],
    /// Elements between rows of the matrix.
    stride: usize,
    /// Elements of a row of the part.
    columns: usize,
    /// Runs asked for already, counted through its rows.
    asked: usize,
    /// Runs up to the end.
    end: usize,
}

impl<'a> Ahead<'a> {
    /// Nothing.
    pub(crate) const NOTHING: Self = Self { from: &[], stride: 0, columns: 0, asked: 0, end: 0 };

    /// So many rows and columns, of which `from` has at least the first element.
    pub(crate) fn new(from: &'a [f32], stride: usize, rows: usize, columns: usize) -> Self {
        Self { from, stride, columns, asked: 0, end: rows * columns.div_ceil(RUN) }
    }

    /// Runs that are left.
    pub(crate) fn runs(&self) -> usize {
        self.end - self.asked
    }

    /// Takes the next `runs` off, or all that are left.
    pub(crate) fn take(&mut self, runs: usize) -> Self {
        let taken = Self { end: self.end.min(self.asked + runs), ..*self };
        self.asked = taken.end;
        taken
    }

    /// Where run `number` of those left lies, counted from the part's first element, and how many elements it has.
    #[inline(always)]
    fn run(&self, number: usize) -> Option<(usize, usize)> {
        if number >= self.runs() {
            return None;
        }
        let (in_row, number) = (self.columns.div_ceil(RUN), self.asked + number);
        let (row, column) = (number / in_row, number % in_row * RUN);
        Some((row * self.stride + column, RUN.min(self.columns - column)))
    }

    /// Asks for run `number` of those left, if there is one.
    #[inline(always)]
    fn ask(&self, number: usize) {
        if let Some((first, elements)) = self.run(number) {
            prefetch_run(self.from.as_ptr().wrapping_add(first), elements);
        }
    }
}

/// One tile of a product: `C[i][j] = finish(sum over segments s and k < inner of A[i][s, k] * B[s * inner + k][j])`.
pub(crate) struct Tile<'a> {
    /// What all offsets of `A` count from.
    pub(crate) a: &'a [f32],
    /// The rows of `A`.
    pub(crate) left: Left<'a>,
    /// Where each segment of the sum begins, counted from the beginning of a row.
    pub(crate) segments: &'a [usize],
    /// Terms in a segment.
    pub(crate) inner: usize,
    /// A panel of packed `B`: `segments.len() * inner` rows of `panel.vectors` vectors.
    pub(crate) b: &'a [f32],
    /// The panel's shape.
    pub(crate) panel: Panel,
    /// First element of the tile in `C`.
    pub(crate) c: *mut f32,
    /// Elements between rows of `C`.
    pub(crate) c_stride: usize,
    /// What is done with the sums.
    pub(crate) finish: Finish<'a>,
    /// What is asked for meanwhile.
    pub(crate) ahead: Ahead<'a>,
}

impl Tile<'_> {
    fn count(&self) -> usize {
        match self.left {
            Left::Rows(rows) => rows.len(),
            Left::Columns { count, .. } => count,
        }
    }

    /// True when all of `A` and `B` that the tile reads lies in their slices.
    fn inside(&self) -> bool {
        let (first_row_end, row) = match self.left {
            Left::Rows(rows) => (self.inner, rows.iter().copied().max().unwrap_or(0)),
            Left::Columns { count, step } => (self.inner.saturating_sub(1) * step + count, 0),
        };
        let segment = self.segments.iter().copied().max().unwrap_or(0);
        row + segment + first_row_end <= self.a.len()
            && self.segments.len() * self.inner * self.panel.width <= self.b.len()
    }
}

/// Columns of `B` that are packed together: one tile's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panel {
    /// Its first column.
    pub(crate) first: usize,
    /// Columns that exist; the rest of the last vector is zero.
    pub(crate) columns: usize,
    /// Vectors of the kernel's length.
    pub(crate) vectors: usize,
    /// Elements of a packed row.
    pub(crate) width: usize,
}

/// How `columns` columns are cut into panels: two vectors wide, the last one three where that avoids a single one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panels {
    lanes: usize,
    columns: usize,
}

impl Panels {
    /// Elements of a packed matrix of `rows` rows.
    pub(crate) fn packed(self, rows: usize) -> usize {
        rows * self.columns.next_multiple_of(self.lanes)
    }

    /// From left to right. Panel `p` of a packed matrix of `rows` rows begins at `rows * p.first`.
    pub(crate) fn iter(self) -> impl Iterator<Item = Panel> + Clone {
        let total = self.columns.div_ceil(self.lanes);
        let mut next = 0;
        std::iter::from_fn(move || {
            let left = total - next;
            if left == 0 {
                return None;
            }
            let vectors = if left <= MAX_VECTORS { left } else { 2 };
            let first = next * self.lanes;
            next += vectors;
            let width = vectors * self.lanes;
            Some(Panel { first, columns: width.min(self.columns - first), vectors, width })
        })
    }
}

/// A micro-kernel: the vector type and tile sizes of one instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Kernel {
    /// Elements of a vector.
    lanes: usize,
    /// The most rows of a tile of 1, 2 and 3 vectors: as many accumulators as there are registers for.
    rows: [usize; MAX_VECTORS],
    tile: unsafe fn(&Tile),
    /// See [`Kernel::multiply_add`].
    chains: unsafe fn(usize) -> usize,
}

impl Kernel {
    /// The kernel for `set`.
    pub(crate) fn of(set: InstructionSet) -> Self {
        debug_assert!(set.available());
        match set {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => kernel_avx512::KERNEL,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => kernel_avx2::KERNEL,
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon => kernel_neon::KERNEL,
            _ => kernel_portable::KERNEL,
        }
    }

    /// How a matrix of `columns` columns is packed for this kernel.
    pub(crate) fn panels(&self, columns: usize) -> Panels {
        Panels { lanes: self.lanes, columns }
    }

    /// The most rows of a tile in `panel`.
    pub(crate) fn rows(&self, panel: &Panel) -> usize {
        self.rows[panel.vectors - 1]
    }

    /// Cuts `0..rows` into tiles of nearly equal height, the fewest that `panel` allows.
    pub(crate) fn tiles(&self, rows: usize, panel: &Panel) -> impl Iterator<Item = std::ops::Range<usize>> {
        let count = rows.div_ceil(self.rows(panel));
        (0..count).map(move |i| rows * i / count..rows * (i + 1) / count)
    }

    /// Tiles of `rows` rows in all of `panels`.
    pub(crate) fn count_tiles(&self, rows: usize, panels: Panels) -> usize {
        panels.iter().map(|panel| rows.div_ceil(self.rows(&panel))).sum()
    }

    /// Computes a tile.
    ///
    /// # Safety
    /// `c` holds `count` rows of `panel.columns` elements, `c_stride` apart, that nobody else uses meanwhile.
    #[inline]
    pub(crate) unsafe fn run(&self, tile: &Tile) {
        debug_assert!(tile.inside());
        let count = tile.count();
        assert!(count <= self.rows(&tile.panel));
        // SAFETY: `Kernel::of` takes available instruction sets only; the caller answers for `c`.
        unsafe { (self.tile)(tile) };
        if tile.finish.activation == Activation::Tanh {
            for i in 0..count {
                // SAFETY: row `i` of the tile in `c`.
                let row = unsafe {
                    std::slice::from_raw_parts_mut(tile.c.add(i * tile.c_stride), tile.panel.columns)
                };
                row.iter_mut().for_each(|x| *x = x.tanh());
            }
        }
    }
}

impl Kernel {
    /// Multiplies and adds in registers, `rounds` times in each of enough independent chains to hide the latency.
    /// Returns the number of operations, two for each element.
    pub(crate) fn multiply_add(&self, rounds: usize) -> usize {
        // SAFETY: `Kernel::of` takes available instruction sets only.
        unsafe { (self.chains)(rounds) }
    }
}

/// Work on vectors of whichever type the processor has: [`run_on_vectors`] compiles it for each.
pub(crate) trait VectorWork {
    /// The work. It must be `#[inline(always)]`, and what it calls.
    ///
    /// # Safety
    /// On a processor that has `V`.
    unsafe fn run<V: Vector>(self);
}

/// Runs `work` on the vectors of `set`.
pub(crate) fn run_on_vectors(set: InstructionSet, work: impl VectorWork) {
    debug_assert!(set.available());
    match set {
        // SAFETY: levels are only made by `CpuBackend`, which checks `available`.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => unsafe { kernel_avx512::run_work(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => unsafe { kernel_avx2::run_work(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        InstructionSet::Neon => unsafe { kernel_neon::run_work(work) },
        _ => kernel_portable::run_work(work),
    }
}

/// What a micro-kernel needs of a vector type. All methods must be `#[inline(always)]`.
///
/// # Safety
/// Methods may use instructions that not every processor has: they are called in functions with these features.
pub(crate) unsafe trait Vector: Copy {
    /// Elements.
    const LANES: usize;
    /// All elements `x`.
    unsafe fn splat(x: f32) -> Self;
    /// `LANES` elements from `p`.
    unsafe fn load(p: *const f32) -> Self;
    /// The first `n < LANES` elements from `p`, then zeros.
    unsafe fn load_first(p: *const f32, n: usize) -> Self;
    /// `LANES` elements to `p`.
    unsafe fn store(self, p: *mut f32);
    /// The first `n < LANES` elements to `p`.
    unsafe fn store_first(self, p: *mut f32, n: usize);
    /// `self + other`
    unsafe fn add(self, other: Self) -> Self;
    /// `self + a * b`
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// The larger of each element; `other` where one is not a number.
    unsafe fn max(self, other: Self) -> Self;
}

/// The tile of `R` rows and `N` vectors.
///
/// # Safety
/// As for [`Kernel::run`], on a processor that has `V`; the tile has `R` rows and `N` vectors and lies inside its
/// slices.
#[inline(always)]
unsafe fn tile<V: Vector, const R: usize, const N: usize>(t: &Tile) {
    // SAFETY: all addresses below are of elements that the tile names (see `Tile::inside`).
    unsafe {
        let mut sums = [[V::splat(0.0); N]; R];
        let mut b = t.b.as_ptr();
        for i in 0..R {
            for v in 0..N {
                prefetch(t.c.wrapping_add(i * t.c_stride + v * V::LANES));
            }
        }
        match t.left {
            Left::Rows(rows) => {
                for (number, &segment) in t.segments.iter().enumerate() {
                    t.ahead.ask(number);
                    let start = t.a.as_ptr().add(segment);
                    let a: [*const f32; R] = std::array::from_fn(|i| start.add(*rows.get_unchecked(i)));
                    for k in 0..t.inner {
                        step::<V, R, N>(&mut sums, |i| *a[i].add(k), b);
                        b = b.add(N * V::LANES);
                    }
                }
            }
            Left::Columns { step: stride, .. } => {
                for (number, &segment) in t.segments.iter().enumerate() {
                    t.ahead.ask(number);
                    let mut a = t.a.as_ptr().add(segment);
                    for _ in 0..t.inner {
                        step::<V, R, N>(&mut sums, |i| *a.add(i), b);
                        a = a.wrapping_add(stride);
                        b = b.add(N * V::LANES);
                    }
                }
            }
        }
        // Straight from registers, but for rows that begin anywhere: stores that cross cache lines would pile up.
        if t.finish.is_plain() && t.panel.columns == N * V::LANES && t.c_stride.is_multiple_of(V::LANES) {
            for (i, row) in sums.iter().enumerate() {
                for (v, sum) in row.iter().enumerate() {
                    let c = t.c.add(i * t.c_stride + v * V::LANES);
                    if t.finish.accumulate { V::load(c).add(*sum).store(c) } else { sum.store(c) }
                }
            }
            return;
        }
        // The epilogue's branches would keep its loops, and so the sums, out of registers: it reads a copy.
        let mut copy = MaybeUninit::<[[V; N]; R]>::uninit();
        let out = copy.as_mut_ptr().cast::<f32>();
        for (i, row) in sums.iter().enumerate() {
            for (v, sum) in row.iter().enumerate() {
                sum.store(out.add((i * N + v) * V::LANES));
            }
        }
        finish::<V, R, N>(t, out);
    }
}

/// Chains of [`Kernel::multiply_add`].
const CHAINS: usize = 12;

/// Loops for [`Kernel::multiply_add`].
///
/// # Safety
/// On a processor that has `V`.
#[inline(always)]
unsafe fn chains<V: Vector>(rounds: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        let half = V::splat(black_box(0.5));
        let mut sums = [V::splat(black_box(1.0)); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                // Depends on the last one and stays near 1, where all numbers are equally fast.
                *sum = half.add_product(*sum, half);
            }
        }
        for sum in sums {
            black_box(sum);
        }
    }
    2 * rounds * CHAINS * V::LANES
}

/// One term of all sums of a tile.
#[inline(always)]
unsafe fn step<V: Vector, const R: usize, const N: usize>(
    sums: &mut [[V; N]; R],
    a: impl Fn(usize) -> f32,
    b: *const f32,
) {
    // SAFETY: as in `tile`.
    unsafe {
        let mut columns = [V::splat(0.0); N];
        for (v, column) in columns.iter_mut().enumerate() {
            *column = V::load(b.add(v * V::LANES));
        }
        for (i, row) in sums.iter_mut().enumerate() {
            let x = V::splat(a(i));
            for (sum, column) in row.iter_mut().zip(columns) {
                *sum = sum.add_product(x, column);
            }
        }
    }
}

/// Adds `C` and the bias to the sums, applies ReLU and stores.
#[inline(always)]
unsafe fn finish<V: Vector, const R: usize, const N: usize>(t: &Tile, sums: *const f32) {
    let relu = t.finish.activation == Activation::Relu;
    for v in 0..N {
        let column = v * V::LANES;
        let valid = t.panel.columns - column;
        // SAFETY: the first `valid` columns of each row exist, and of the bias; `sums` has `R * N` vectors.
        unsafe {
            let whole = valid >= V::LANES;
            let load = |p: *const f32| if whole { V::load(p) } else { V::load_first(p, valid) };
            let bias = t.finish.bias.map_or(V::splat(0.0), |bias| load(bias[column..][..valid].as_ptr()));
            for i in 0..R {
                let c = t.c.add(i * t.c_stride + column);
                let mut x = V::load(sums.add((i * N + v) * V::LANES));
                if t.finish.accumulate {
                    x = x.add(load(c));
                }
                x = x.add(bias);
                if relu {
                    // In this order a NaN goes on instead of becoming 0.
                    x = V::splat(0.0).max(x);
                }
                if whole {
                    x.store(c);
                } else {
                    x.store_first(c, valid);
                }
            }
        }
    }
}

/// Calls the instance of a kernel's tile function for a tile's number of rows and vectors.
macro_rules! dispatch {
    ($tile:ident, $call:ident, one: [$($r1:literal)*], two: [$($r2:literal)*], three: [$($r3:literal)*]) => {
        match ($tile.panel.vectors, $tile.count()) {
            $((1, $r1) => $call::<$r1, 1>($tile),)*
            $((2, $r2) => $call::<$r2, 2>($tile),)*
            $((3, $r3) => $call::<$r3, 3>($tile),)*
            _ => unreachable!("`Kernel::run` checks the number of rows"),
        }
    };
}
use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ahead_is_asked_for_once() {
        for (rows, columns, share) in [(3, 300, 2), (7, 128, 3), (1, 1, 5), (0, 9, 1), (9, 0, 1)] {
            let stride = columns + 11;
            let mut asked = vec![0; rows * stride];
            let mut ahead = Ahead::new(&[], stride, rows, columns);
            while ahead.runs() > 0 {
                let taken = ahead.take(share);
                assert!(taken.runs() <= share && taken.run(taken.runs()).is_none());
                for (first, elements) in (0..taken.runs()).filter_map(|number| taken.run(number)) {
                    asked[first..first + elements].iter_mut().for_each(|times| *times += 1);
                }
            }
            let part = asked.chunks(stride).all(|row| {
                let (inside, outside) = row.split_at(columns);
                inside.iter().all(|times| *times == 1) && outside.iter().all(|times| *times == 0)
            });
            assert!(part, "{rows} x {columns}, {share} at a time: {asked:?}");
        }
    }
}
