//! Local response normalisation: `b_i = a_i * s_i^-beta`, `s_i = k + alpha * sum over the neighbours j of i of a_j^2`.
//! With `d b_i / d a_j = [i = j] s_i^-beta - 2 alpha beta a_i a_j s_i^(-beta - 1)` for neighbours.

use ilsvrc_network::Norm;

/// Who is in whose sum. The relation is symmetric.
#[derive(Clone, Copy)]
pub(crate) enum Neighbours {
    /// The same position in nearby maps.
    Maps { maps: usize },
    /// Nearby positions of the same map.
    Positions { side: usize, maps: usize },
}

impl Neighbours {
    /// Indices in the sum of element `i`, itself included.
    fn of(self, i: usize, size: usize) -> Vec<usize> {
        let reach = size / 2;
        match self {
            Self::Maps { maps } => {
                let (first, map) = (i - i % maps, i % maps);
                (map.saturating_sub(reach)..maps.min(map + reach + 1)).map(|m| first + m).collect()
            }
            Self::Positions { side, maps } => {
                let (position, map) = (i / maps % (side * side), i % maps);
                let first = i - position * maps - map;
                let around = |at: usize| at.saturating_sub(reach)..side.min(at + reach + 1);
                around(position / side)
                    .flat_map(|y| around(position % side).map(move |x| first + (y * side + x) * maps + map))
                    .collect()
            }
        }
    }
}

fn sums(norm: &Norm, neighbours: Neighbours, input: &[f64]) -> Vec<f64> {
    let sum = |i| -> f64 { neighbours.of(i, norm.size).into_iter().map(|j| input[j] * input[j]).sum() };
    (0..input.len()).map(|i| f64::from(norm.k) + f64::from(norm.alpha) * sum(i)).collect()
}

pub(crate) fn forward(norm: &Norm, neighbours: Neighbours, input: &[f64]) -> Vec<f64> {
    let beta = f64::from(norm.beta);
    sums(norm, neighbours, input).iter().zip(input).map(|(s, a)| a * s.powf(-beta)).collect()
}

pub(crate) fn gradient(
    norm: &Norm,
    neighbours: Neighbours,
    input: &[f64],
    output_gradient: &[f64],
) -> Vec<f64> {
    let (alpha, beta) = (f64::from(norm.alpha), f64::from(norm.beta));
    let sums = sums(norm, neighbours, input);
    let mut gradient = vec![0.0; input.len()];
    for (i, s) in sums.iter().enumerate() {
        gradient[i] += output_gradient[i] * s.powf(-beta);
        let shared = 2.0 * alpha * beta * input[i] * s.powf(-beta - 1.0) * output_gradient[i];
        for j in neighbours.of(i, norm.size) {
            gradient[j] -= shared * input[j];
        }
    }
    gradient
}
