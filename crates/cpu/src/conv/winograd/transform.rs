//! The transforms, in one and two dimensions, on numbers or on vectors of them.
//!
//! A convolution of `N` outputs with a kernel of `R` is a product of polynomials, and those are multiplied at `P = N + R - 1`
//! points: `y = A^T [(G g) * (B^T d)]` (Winograd, "Arithmetic complexity of computations", 1980; Lavin and
//! Gray, "Fast algorithms for convolutional neural networks", 2015). `B^T` depends on the points alone, so one serves
//! all kernels. The points are 0, pairs of opposite signs, which share their even and odd parts, and infinity.

use std::mem::MaybeUninit;

/// Pairs of points at most.
pub(super) const MAX_PAIRS: usize = 3;

/// The positive points of the pairs; zeros where `points` has fewer. All are exact in binary. Of six points their errors are about
/// half of those of the customary ±1 and ±2. The eight are the customary ones: of those that `points_tests.rs` compares, none has a
/// smaller error both in forward passes and in weight gradients. How points are
/// chosen: Barabasz, Anderson, Soodhalter and Gregg, "Error analysis and improving the accuracy of Winograd convolution for deep
/// neural networks", 2018.
pub(super) const fn pairs(points: usize) -> [f32; MAX_PAIRS] {
    match points {
        6 => [5.0 / 8.0, 3.0 / 2.0, 0.0],
        8 => [1.0 / 2.0, 1.0, 2.0],
        _ => panic!("no points"),
    }
}

/// The coefficients, in powers of `x^2` from 1 on, of the product of `x^2 - a^2` over the pairs `±a` but the `left_out`-th; in f64
/// and rounded once.
const fn product(points: usize, left_out: usize) -> [f32; MAX_PAIRS + 1] {
    let mut coefficients = [1.0f64, 0.0, 0.0, 0.0];
    let mut pair = 0;
    while pair < points / 2 - 1 {
        if pair != left_out {
            let a = pairs(points)[pair] as f64;
            let mut power = MAX_PAIRS;
            while power > 0 {
                coefficients[power] = coefficients[power - 1] - a * a * coefficients[power];
                power -= 1;
            }
            coefficients[0] *= -a * a;
        }
        pair += 1;
    }
    [coefficients[0] as f32, coefficients[1] as f32, coefficients[2] as f32, coefficients[3] as f32]
}

/// [`product`] without each pair, and of all of them last.
const fn products(points: usize) -> [[f32; MAX_PAIRS + 1]; MAX_PAIRS + 1] {
    [product(points, 0), product(points, 1), product(points, 2), product(points, MAX_PAIRS)]
}

/// What is transformed.
pub(super) trait Number: Copy {
    /// `self * x`
    fn times(self, x: f32) -> Self;
    /// `self + x * other`
    fn plus(self, x: f32, other: Self) -> Self;
}

/// A square of numbers to read. Methods of sources, sinks and transforms must be `#[inline(always)]`: they are compiled in functions
/// that have the instructions of the vectors.
pub(super) trait Source<V> {
    /// The number in row `y` and column `x`.
    ///
    /// # Safety
    /// Inside the square, on a processor that has the vectors.
    unsafe fn get(&self, y: usize, x: usize) -> V;
}

/// A square of numbers to write.
pub(super) trait Sink<V> {
    /// Writes the number in row `y` and column `x`.
    ///
    /// # Safety
    /// As for [`Source::get`].
    unsafe fn put(&mut self, y: usize, x: usize, number: V);
}

/// A linear map of `I` numbers to `O`.
pub(super) trait Transform<const I: usize, const O: usize> {
    /// The result of one dimension.
    fn apply<V: Number>(from: [V; I]) -> [V; O];

    /// Transforms the columns of a square of `I x I` and then the rows of what that gives, to `O x O`.
    ///
    /// # Safety
    /// On a processor that has the vectors.
    #[inline(always)]
    unsafe fn square<V: Number>(from: &impl Source<V>, to: &mut impl Sink<V>) {
        // SAFETY: the caller's promise; each element of `columns` is written before it is read.
        unsafe {
            let mut columns = [[MaybeUninit::uninit(); I]; O];
            for x in 0..I {
                let mut column = [from.get(0, x); I];
                for (y, number) in column.iter_mut().enumerate().skip(1) {
                    *number = from.get(y, x);
                }
                for (row, number) in columns.iter_mut().zip(&Self::apply(column)) {
                    row[x] = MaybeUninit::new(*number);
                }
            }
            for (y, columns) in columns.iter().enumerate() {
                let mut row = [columns[0].assume_init(); I];
                for (number, column) in row.iter_mut().zip(columns).skip(1) {
                    *number = column.assume_init();
                }
                for (x, number) in Self::apply(row).iter().enumerate() {
                    to.put(y, x, *number);
                }
            }
        }
    }
}

/// `B^T d`: row `i` has the coefficients of the product of `x - p` over all points `p` but the `i`-th.
pub(super) struct Input;

impl<const P: usize> Transform<P, P> for Input {
    #[inline(always)]
    fn apply<V: Number>(d: [V; P]) -> [V; P] {
        let products = const { products(P) };
        let pairs = P / 2 - 1;
        // The sum of every other number from `first` on, each times a coefficient of a product over `count` pairs.
        let sum = |coefficients: &[f32; MAX_PAIRS + 1], count: usize, first: usize| {
            // The last coefficient is 1.
            let last = d[first + 2 * count];
            (0..count).rev().fold(last, |sum, k| sum.plus(coefficients[k], d[first + 2 * k]))
        };
        let mut result = [d[0]; P];
        result[0] = sum(&products[MAX_PAIRS], pairs, 0);
        result[P - 1] = sum(&products[MAX_PAIRS], pairs, 1);
        for pair in 0..pairs {
            let a = const { self::pairs(P) }[pair];
            let (even, odd) = (sum(&products[pair], pairs - 1, 2), sum(&products[pair], pairs - 1, 1));
            result[1 + 2 * pair] = even.plus(a, odd);
            result[2 + 2 * pair] = even.plus(-a, odd);
        }
        result
    }
}

/// `G g`: the polynomial with coefficients `g` at each point, over the product of the point's distances from the
/// others; at infinity its last coefficient.
pub(super) struct Kernel;

impl<const R: usize, const P: usize> Transform<R, P> for Kernel {
    #[inline(always)]
    fn apply<V: Number>(g: [V; R]) -> [V; P] {
        let mut result = [g[R - 1]; P];
        result[0] = g[0].times(const { 1.0 / products(P)[MAX_PAIRS][0] });
        for pair in 0..P / 2 - 1 {
            let [a, scale] = const { of_pairs(P) }[pair];
            let [plus, minus] = at_pair(&g, a, scale);
            result[1 + 2 * pair] = plus;
            result[2 + 2 * pair] = minus;
        }
        result
    }
}

/// Each pair, and 1 over the product of its points' distances from the others: `2 a^2` from 0 and each other.
const fn of_pairs(points: usize) -> [[f32; 2]; MAX_PAIRS] {
    let mut result = [[0.0; 2]; MAX_PAIRS];
    let mut pair = 0;
    while pair < points / 2 - 1 {
        let a = pairs(points)[pair];
        let (mut distances, mut other) = (2.0 * a * a, 0);
        while other < points / 2 - 1 {
            let b = pairs(points)[other];
            if other != pair {
                distances *= a * a - b * b;
            }
            other += 1;
        }
        result[pair] = [a, 1.0 / distances];
        pair += 1;
    }
    result
}

/// The polynomial at `x` and at `-x`, times `scale`.
#[inline(always)]
fn at_pair<V: Number, const R: usize>(g: &[V; R], x: f32, scale: f32) -> [V; 2] {
    let mut power = scale;
    let mut even = g[0].times(power);
    power *= x;
    let mut odd = g[1].times(power);
    for (m, coefficient) in g.iter().enumerate().skip(2) {
        power *= x;
        if m % 2 == 0 {
            even = even.plus(power, *coefficient);
        } else {
            odd = odd.plus(power, *coefficient);
        }
    }
    [even.plus(1.0, odd), even.plus(-1.0, odd)]
}

/// `A^T m`: output `i` is the sum of the products, each times its point to the power `i`; infinity adds to the last.
pub(super) struct Output;

impl<const N: usize, const P: usize> Transform<P, N> for Output {
    #[inline(always)]
    fn apply<V: Number>(m: [V; P]) -> [V; N] {
        let pairs = P / 2 - 1;
        let (mut even, mut odd) = ([m[0]; MAX_PAIRS], [m[0]; MAX_PAIRS]);
        for pair in 0..pairs {
            let [plus, minus] = [m[1 + 2 * pair], m[2 + 2 * pair]];
            (even[pair], odd[pair]) = (plus.plus(1.0, minus), plus.plus(-1.0, minus));
        }
        let mut y = [m[0]; N];
        y[0] = even[..pairs].iter().fold(m[0], |sum, even| sum.plus(1.0, *even));
        let mut powers = [1.0; MAX_PAIRS];
        for (i, y) in y.iter_mut().enumerate().skip(1) {
            for (power, a) in powers.iter_mut().zip(const { self::pairs(P) }) {
                *power *= a;
            }
            let parts = if i % 2 == 0 { &even } else { &odd };
            *y = parts[0].times(powers[0]);
            for pair in 1..pairs {
                *y = y.plus(powers[pair], parts[pair]);
            }
        }
        y[N - 1] = y[N - 1].plus(1.0, m[P - 1]);
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Number for f64 {
        fn times(self, x: f32) -> Self {
            self * Self::from(x)
        }

        fn plus(self, x: f32, other: Self) -> Self {
            self + Self::from(x) * other
        }
    }

    fn check<const N: usize, const R: usize, const P: usize>() {
        let d: [f64; P] = std::array::from_fn(|i| ((i * 7 + 3) % 5) as f64 - 1.75);
        let g: [f64; R] = std::array::from_fn(|i| ((i * 5 + 1) % 7) as f64 - 2.5);
        let (u, v): ([f64; P], _) = (Kernel::apply(g), Input::apply(d));
        let y: [f64; N] = Output::apply(std::array::from_fn::<_, P, _>(|i| u[i] * v[i]));
        for (i, y) in y.into_iter().enumerate() {
            let expected: f64 = (0..R).map(|k| d[i + k] * g[k]).sum();
            // In f64 what is left is the rounding of the constants, which are f32.
            assert!((y - expected).abs() < 1e-5, "F({N}, {R}), output {i}: {y}, not {expected}");
        }
    }

    #[test]
    fn all_members_of_both_families_convolve() {
        check::<4, 3, 6>();
        check::<3, 4, 6>();
        check::<2, 5, 6>();
        check::<6, 3, 8>();
        check::<5, 4, 8>();
        check::<4, 5, 8>();
    }
}
