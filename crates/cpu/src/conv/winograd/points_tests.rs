//! Why these points: f32 errors of a convolution in two dimensions by several choices, from matrices made for each.

use super::transform::pairs;
use ilsvrc_random::{Purpose, Stream};

/// Maps that are summed over, and tiles.
const MAPS: usize = 64;
const TILES: usize = 24;

type Matrix = Vec<Vec<f32>>;

/// `A^T`, `G` and `B^T` of `outputs` with points 0, both of each pair, and infinity.
fn matrices(pairs: &[f64], outputs: usize) -> [Matrix; 3] {
    let count = 2 * pairs.len() + 2;
    let size = count + 1 - outputs;
    let points: Vec<f64> = [0.0].into_iter().chain(pairs.iter().flat_map(|a| [*a, -a])).collect();
    let single =
        |rows: Vec<Vec<f64>>| rows.into_iter().map(|r| r.into_iter().map(|x| x as f32).collect()).collect();
    let mut to_outputs = vec![vec![0.0; count]; outputs];
    let (mut of_kernel, mut of_input) = (vec![vec![0.0; size]; count], vec![vec![0.0; count]; count]);
    for (i, p) in points.iter().enumerate() {
        let others = || points.iter().enumerate().filter(move |(j, _)| *j != i).map(|(_, q)| q);
        let distances: f64 = others().map(|q| p - q).product();
        (0..outputs).for_each(|m| to_outputs[m][i] = p.powi(m as i32));
        (0..size).for_each(|m| of_kernel[i][m] = p.powi(m as i32) / distances);
        of_input[i][..count - 1].copy_from_slice(&coefficients(others()));
    }
    to_outputs[outputs - 1][count - 1] = 1.0;
    of_kernel[count - 1][size - 1] = 1.0;
    of_input[count - 1] = coefficients(points.iter());
    [single(to_outputs), single(of_kernel), single(of_input)]
}

/// The coefficients, the lowest first, of the product of `x - q`.
fn coefficients<'a>(points: impl Iterator<Item = &'a f64>) -> Vec<f64> {
    points.fold(vec![1.0], |c, q| {
        let mut product = vec![0.0; c.len() + 1];
        for (i, c) in c.iter().enumerate() {
            product[i] -= q * c;
            product[i + 1] += c;
        }
        product
    })
}

/// `m x m^T`
fn both_ways(m: &Matrix, x: &Matrix) -> Matrix {
    let row = |r: &Vec<f32>| (0..x[0].len()).map(|j| (0..r.len()).map(|k| r[k] * x[k][j]).sum()).collect();
    let half: Matrix = m.iter().map(row).collect();
    half.iter().map(|h| m.iter().map(|r| h.iter().zip(r).map(|(x, y)| x * y).sum()).collect()).collect()
}

/// Root mean square error, over that of what is right.
fn error(pairs: &[f64], outputs: usize) -> f64 {
    let count = 2 * pairs.len() + 2;
    let size = count + 1 - outputs;
    let [to_outputs, of_kernel, of_input] = matrices(pairs, outputs);
    let (mut off, mut scale) = (0.0, 0.0);
    for tile in 0..TILES as u32 {
        let square = |index: u32, map: u32, side: usize| -> Matrix {
            let stream = Stream::new(3, Purpose::Weights, u64::from(tile), 1000 * index + map);
            (0..side)
                .map(|y| (0..side).map(|x| stream.normal_pair((y * 8 + x) as u32)[0]).collect())
                .collect()
        };
        let mut sums = vec![vec![0.0f32; count]; count];
        let mut right = vec![vec![0.0f64; outputs]; outputs];
        for map in 0..MAPS as u32 {
            let mut input = square(0, map, count);
            input.iter_mut().flatten().for_each(|x| *x = x.max(0.0));
            let kernel = square(1, map, size);
            let (v, u) = (both_ways(&of_input, &input), both_ways(&of_kernel, &kernel));
            for (sums, (v, u)) in sums.iter_mut().zip(v.iter().zip(&u)) {
                sums.iter_mut().zip(v.iter().zip(u)).for_each(|(sum, (v, u))| *sum += v * u);
            }
            for (y, row) in right.iter_mut().enumerate() {
                for (x, right) in row.iter_mut().enumerate() {
                    for (dy, kernel) in kernel.iter().enumerate() {
                        for (dx, k) in kernel.iter().enumerate() {
                            *right += f64::from(input[y + dy][x + dx]) * f64::from(*k);
                        }
                    }
                }
            }
        }
        for (result, right) in both_ways(&to_outputs, &sums).iter().flatten().zip(right.iter().flatten()) {
            off += (f64::from(*result) - right).powi(2);
            scale += right.powi(2);
        }
    }
    (off / scale).sqrt()
}

/// The errors of the points that are used, and then those of others, in tiles of so many `outputs`.
fn errors(points: usize, outputs: usize, others: &[&[f64]]) -> (f64, Vec<f64>) {
    let pairs = pairs(points).map(f64::from);
    let ours = error(&pairs[..points / 2 - 1], outputs);
    let of_others = others.iter().map(|others| error(others, outputs)).collect();
    println!("F({outputs}, {}): {ours:.1e}; {others:?}: {of_others:?}", points + 1 - outputs);
    (ours, of_others)
}

#[test]
fn these_six_points_round_least() {
    let others = [[1.0, 2.0], [0.5, 1.0], [0.5, 2.0], [0.5, 1.25], [1.0, 2.5]];
    // Of forward passes and of weight gradients.
    for outputs in [4, 3] {
        let (ours, others) = errors(6, outputs, &others.each_ref().map(|pair| &pair[..]));
        assert!(others.iter().all(|error| *error > 1.15 * ours), "{others:?}, ours {ours:.1e}");
    }
}

/// Some are as good in weight gradients, or a little better, but then worse in forward passes.
#[test]
fn no_other_eight_points_round_less_at_their_worst() {
    let others = [[1.0, 2.0, 3.0], [0.5, 1.0, 1.5], [0.5, 1.5, 2.0], [0.625, 1.125, 2.125], [0.5, 1.0, 2.5]];
    let others = others.each_ref().map(|pairs| &pairs[..]);
    let [(forward, of_others), (gradient, of_others_gradients)] =
        [4, 5].map(|outputs| errors(8, outputs, &others));
    for (i, (a, b)) in of_others.iter().zip(of_others_gradients).enumerate() {
        let worst = forward.max(gradient);
        assert!(a.max(b) > worst, "{:?}: {a:.1e} and {b:.1e}, ours {worst:.1e}", others[i]);
    }
}
