//! Dot products of unsigned by signed bytes, many rows by many queries, exact in `i32`: one tile, generic over its size,
//! and a file for each instruction set.

mod kernel_avx2;
mod kernel_avx512;
mod kernel_portable;
mod peak;

pub use peak::{peak_products, read_rate};

/// A level of vector instructions that there is a kernel for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// What every processor of the target has.
    Portable,
    /// x86-64 with AVX2: products of 16-bit numbers.
    Avx2,
    /// x86-64 with AVX-512 VNNI: products of bytes, summed in fours by one instruction.
    Avx512Vnni,
}

impl InstructionSet {
    /// Every level, slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512Vnni];

    /// True where this processor can run it.
    pub fn available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Portable => true,
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            Self::Avx512Vnni => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni"),
        }
        #[cfg(not(target_arch = "x86_64"))]
        matches!(self, Self::Portable)
    }

    /// The fastest that is available.
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|set| set.available()).unwrap_or(Self::Portable)
    }
}

/// Rows of a tile, and the most queries: sixteen sums fit the registers of AVX-512, eight those of AVX2.
#[derive(Clone, Copy)]
pub(crate) struct Kernel {
    rows: usize,
    queries: usize,
    tile: unsafe fn(&Tile),
}

/// One tile: `sums[row * sums_stride + query] = dot(row, query)`.
struct Tile {
    rows: *const u8,
    row_count: usize,
    queries: *const i8,
    query_count: usize,
    /// Bytes of a row and of a query.
    stride: usize,
    sums: *mut i32,
    sums_stride: usize,
}

impl Kernel {
    /// The kernel of an instruction set that is available.
    pub(crate) fn of(set: InstructionSet) -> Self {
        assert!(set.available());
        match set {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Vnni => kernel_avx512::KERNEL,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => kernel_avx2::KERNEL,
            _ => kernel_portable::KERNEL,
        }
    }

    /// All dot products of `rows` and `queries`, both of `stride` bytes (a multiple of [`crate::code::ALIGNMENT`]):
    /// `sums[row * queries + query]`.
    pub(crate) fn dots(&self, rows: &[u8], queries: &[i8], stride: usize, sums: &mut [i32]) {
        let (row_count, query_count) = (rows.len() / stride, queries.len() / stride);
        assert!(stride.is_multiple_of(crate::code::ALIGNMENT) && sums.len() == row_count * query_count);
        let mut row = 0;
        while row < row_count {
            let height = if row_count - row >= self.rows { self.rows } else { 1 };
            let mut query = 0;
            while query < query_count {
                let width = self.queries.min(query_count - query);
                let tile = Tile {
                    rows: rows[row * stride..][..height * stride].as_ptr(),
                    row_count: height,
                    queries: queries[query * stride..][..width * stride].as_ptr(),
                    query_count: width,
                    stride,
                    sums: sums[row * query_count + query..][..(height - 1) * query_count + width]
                        .as_mut_ptr(),
                    sums_stride: query_count,
                };
                // SAFETY: `of` takes available sets only; the slices above hold what the tile names.
                unsafe { (self.tile)(&tile) };
                query += width;
            }
            row += height;
        }
    }
}

/// What a tile needs of a vector of sums. All methods must be `#[inline(always)]`.
///
/// # Safety
/// Methods may use instructions that not every processor has: they are called in functions with these features.
unsafe trait Sums: Copy {
    /// Elements of a step; divides [`crate::code::ALIGNMENT`].
    const STEP: usize;
    /// Elements of a row, ready to be multiplied.
    type Row: Copy;
    /// Elements of a query.
    type Query: Copy;
    /// All 0.
    unsafe fn zero() -> Self;
    /// `STEP` elements from `p`.
    unsafe fn row(p: *const u8) -> Self::Row;
    /// `STEP` elements from `p`.
    unsafe fn query(p: *const i8) -> Self::Query;
    /// The sums with the products added, wherever.
    unsafe fn add(self, row: Self::Row, query: Self::Query) -> Self;
    /// The sum of the sums.
    unsafe fn total(self) -> i32;
}

/// The tile of `R` rows and `Q` queries.
///
/// # Safety
/// On a processor that has `S`, and all that `t` names exists.
#[inline(always)]
unsafe fn tile<S: Sums, const R: usize, const Q: usize>(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[S::zero(); Q]; R];
        let mut at = 0;
        while at < t.stride {
            let mut rows = [S::row(t.rows.add(at)); R];
            for (i, row) in rows.iter_mut().enumerate().skip(1) {
                *row = S::row(t.rows.add(i * t.stride + at));
            }
            let mut queries = [S::query(t.queries.add(at)); Q];
            for (i, query) in queries.iter_mut().enumerate().skip(1) {
                *query = S::query(t.queries.add(i * t.stride + at));
            }
            for (sums, &row) in sums.iter_mut().zip(&rows) {
                for (sum, &query) in sums.iter_mut().zip(&queries) {
                    *sum = sum.add(row, query);
                }
            }
            at += S::STEP;
        }
        for (r, row) in sums.into_iter().enumerate() {
            for (q, sum) in row.into_iter().enumerate() {
                *t.sums.add(r * t.sums_stride + q) = sum.total();
            }
        }
    }
}

/// Calls the instance of a kernel's tile function for a tile's numbers of rows and queries.
macro_rules! dispatch {
    ($tile:ident, $call:ident, $rows:literal, [$($queries:literal)*]) => {
        match ($tile.row_count, $tile.query_count) {
            $(($rows, $queries) => $call::<$rows, $queries>($tile),
            (1, $queries) => $call::<1, $queries>($tile),)*
            _ => unreachable!("`Kernel::dots` cuts tiles of these sizes"),
        }
    };
}
use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that reach both ends of their range.
    fn byte(i: usize) -> u8 {
        match i % 7 {
            0 => 255,
            1 => 0,
            2 => 128,
            _ => ((i * 2_654_435_761) >> 7) as u8,
        }
    }

    #[test]
    fn every_instruction_set_agrees_with_plain_loops() {
        for set in InstructionSet::ALL.into_iter().filter(|set| set.available()) {
            let kernel = Kernel::of(set);
            for (rows, queries, stride) in [
                (1, 1, 64),
                (2, 3, 64),
                (4, 4, 128),
                (5, 1, 192),
                (7, 5, 64),
                (9, 32, 320),
                (13, 33, 4096),
                (0, 4, 64),
            ] {
                let a: Vec<u8> = (0..rows * stride).map(byte).collect();
                let b: Vec<i8> = (0..queries * stride).map(|i| byte(i + 3).cast_signed()).collect();
                let mut sums = vec![-1; rows * queries];
                kernel.dots(&a, &b, stride, &mut sums);
                for (place, &sum) in sums.iter().enumerate() {
                    let row = &a[place / queries * stride..][..stride];
                    let query = &b[place % queries * stride..][..stride];
                    let plain: i32 = row.iter().zip(query).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum();
                    assert_eq!(sum, plain, "{set:?} {rows} x {queries} x {stride} at {place}");
                }
            }
        }
    }

    #[test]
    fn the_largest_sum_does_not_overflow() {
        let stride = crate::code::MAX_DIMENSION;
        for set in InstructionSet::ALL.into_iter().filter(|set| set.available()) {
            let mut sums = [0];
            Kernel::of(set).dots(&vec![255; stride], &vec![-128; stride], stride, &mut sums);
            assert_eq!(sums[0], -255 * 128 * stride as i32, "{set:?}");
        }
    }
}
