//! The transforms of the six-point family, in one and two dimensions, on numbers or on vectors of them.
//!
//! A convolution of `N` outputs with a kernel of `R = 7 - N` is a product of polynomials, and those are multiplied
//! point by point: `y = A^T [(G g) * (B^T d)]` (Winograd, "Arithmetic complexity of computations", 1980; Lavin and
//! Gray, "Fast algorithms for convolutional neural networks", 2015). `B^T` depends on the points alone, so one serves
//! all kernels. The points are 0, ±a, ±b and infinity; pairs of opposite signs share their even and odd parts.

/// Products of one dimension.
pub(super) const POINTS: usize = 6;

/// The points ±a and ±b. Both are exact in binary, and their errors are about half of those of the customary ±1 and ±2:
/// `points_tests.rs` compares pairs. How points are chosen: Barabasz, Anderson, Soodhalter and Gregg, "Error analysis
/// and improving the accuracy of Winograd convolution for deep neural networks", 2018.
pub(super) const A: f32 = 5.0 / 8.0;
pub(super) const B: f32 = 3.0 / 2.0;
const AA: f32 = A * A;
const BB: f32 = B * B;

/// What is transformed.
pub(super) trait Number: Copy {
    /// `self * x`
    fn times(self, x: f32) -> Self;
    /// `self + x * other`
    fn plus(self, x: f32, other: Self) -> Self;
}

/// A linear map of `I` numbers to `O`. `apply` must be `#[inline(always)]`: it is compiled in functions that have the
/// instructions of the vectors.
pub(super) trait Transform<const I: usize, const O: usize> {
    /// The result of one dimension.
    fn apply<V: Number>(from: [V; I]) -> [V; O];

    /// Transforms the columns of a square and then its rows.
    #[inline(always)]
    fn square<V: Number>(from: &[[V; I]; I]) -> [[V; O]; O] {
        let mut columns = [[from[0][0]; I]; O];
        for x in 0..I {
            let mut column = from[0];
            for y in 0..I {
                column[y] = from[y][x];
            }
            let column = Self::apply(column);
            for y in 0..O {
                columns[y][x] = column[y];
            }
        }
        let mut result = [[from[0][0]; O]; O];
        for y in 0..O {
            result[y] = Self::apply(columns[y]);
        }
        result
    }
}

/// `B^T d`: row `i` has the coefficients of the product of `x - p` over all points `p` but the `i`-th.
pub(super) struct Input;

impl Transform<POINTS, POINTS> for Input {
    #[inline(always)]
    fn apply<V: Number>(d: [V; POINTS]) -> [V; POINTS] {
        let (even_a, odd_a) = (d[4].plus(-BB, d[2]), d[3].plus(-BB, d[1]));
        let (even_b, odd_b) = (d[4].plus(-AA, d[2]), d[3].plus(-AA, d[1]));
        [
            d[4].plus(-AA - BB, d[2]).plus(AA * BB, d[0]),
            even_a.plus(A, odd_a),
            even_a.plus(-A, odd_a),
            even_b.plus(B, odd_b),
            even_b.plus(-B, odd_b),
            d[5].plus(-AA - BB, d[3]).plus(AA * BB, d[1]),
        ]
    }
}

/// `G g`: the polynomial with coefficients `g` at each point, over the product of the point's distances from the
/// others; at infinity its last coefficient.
pub(super) struct Kernel;

impl<const R: usize> Transform<R, POINTS> for Kernel {
    #[inline(always)]
    fn apply<V: Number>(g: [V; R]) -> [V; POINTS] {
        let [plus_a, minus_a] = at_pair(&g, A, 2.0 * AA * (AA - BB));
        let [plus_b, minus_b] = at_pair(&g, B, 2.0 * BB * (BB - AA));
        [g[0].times(1.0 / (AA * BB)), plus_a, minus_a, plus_b, minus_b, g[R - 1]]
    }
}

/// The polynomial at `x` and at `-x`, over `distances`.
#[inline(always)]
fn at_pair<V: Number, const R: usize>(g: &[V; R], x: f32, distances: f32) -> [V; 2] {
    let mut power = 1.0 / distances;
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

impl<const N: usize> Transform<POINTS, N> for Output {
    #[inline(always)]
    fn apply<V: Number>(m: [V; POINTS]) -> [V; N] {
        let even = [m[1].plus(1.0, m[2]), m[3].plus(1.0, m[4])];
        let odd = [m[1].plus(-1.0, m[2]), m[3].plus(-1.0, m[4])];
        let mut y = [m[0].plus(1.0, even[0]).plus(1.0, even[1]); N];
        let (mut power_a, mut power_b) = (1.0, 1.0);
        for (i, y) in y.iter_mut().enumerate().skip(1) {
            power_a *= A;
            power_b *= B;
            let [of_a, of_b] = if i % 2 == 0 { even } else { odd };
            *y = of_a.times(power_a).plus(power_b, of_b);
        }
        y[N - 1] = y[N - 1].plus(1.0, m[5]);
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

    fn check<const N: usize, const R: usize>() {
        let d: [f64; POINTS] = std::array::from_fn(|i| ((i * 7 + 3) % 5) as f64 - 1.75);
        let g: [f64; R] = std::array::from_fn(|i| ((i * 5 + 1) % 7) as f64 - 2.5);
        let (u, v) = (Kernel::apply(g), Input::apply(d));
        let y: [f64; N] = Output::apply(std::array::from_fn(|i| u[i] * v[i]));
        for (i, y) in y.into_iter().enumerate() {
            let expected: f64 = (0..R).map(|k| d[i + k] * g[k]).sum();
            // In f64 what is left is the rounding of the constants, which are f32.
            assert!((y - expected).abs() < 1e-5, "F({N}, {R}), output {i}: {y}, not {expected}");
        }
    }

    #[test]
    fn all_members_of_the_family_convolve() {
        check::<4, 3>();
        check::<2, 5>();
        check::<3, 4>();
    }
}
