//! Locally connected: a convolution whose kernels and biases differ from position to position,
//! `out[n, p, o] = bias[p, o] + sum over taps t and c of in[n, under t of p, c] * w[p, t, c, o]`.

use crate::conv::Shape;

impl Shape {
    /// Weights of one position.
    fn kernel(&self) -> usize {
        self.window.size * self.window.size * self.in_maps * self.out_maps
    }

    /// As [`Shape::for_each_tap`], with the weight in the kernel of its position.
    fn for_each_own_tap(&self, batch: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let (kernel, positions) = (self.kernel(), self.positions(1));
        self.for_each_tap(batch, |i, w, o| visit(i, o / self.out_maps % positions * kernel + w, o));
    }
}

pub(crate) fn forward(shape: &Shape, batch: usize, input: &[f64], weights: &[f64], bias: &[f64]) -> Vec<f64> {
    let mut out: Vec<f64> = bias.repeat(batch);
    shape.for_each_own_tap(batch, |i, w, o| {
        for c in 0..shape.in_maps {
            for m in 0..shape.out_maps {
                out[o + m] += input[i + c] * weights[w + c * shape.out_maps + m];
            }
        }
    });
    out
}

pub(crate) fn input_gradient(
    shape: &Shape,
    batch: usize,
    output_gradient: &[f64],
    weights: &[f64],
) -> Vec<f64> {
    let mut gradient = vec![0.0; shape.inputs(batch)];
    shape.for_each_own_tap(batch, |i, w, o| {
        for c in 0..shape.in_maps {
            for m in 0..shape.out_maps {
                gradient[i + c] += output_gradient[o + m] * weights[w + c * shape.out_maps + m];
            }
        }
    });
    gradient
}

/// Of the weights and of the biases.
pub(crate) fn weight_gradient(
    shape: &Shape,
    batch: usize,
    input: &[f64],
    output_gradient: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let mut weights = vec![0.0; shape.positions(1) * shape.kernel()];
    shape.for_each_own_tap(batch, |i, w, o| {
        for c in 0..shape.in_maps {
            for m in 0..shape.out_maps {
                weights[w + c * shape.out_maps + m] += input[i + c] * output_gradient[o + m];
            }
        }
    });
    let biases = shape.positions(1) * shape.out_maps;
    let mut bias = vec![0.0; biases];
    for image in output_gradient[..batch * biases].chunks(biases) {
        bias.iter_mut().zip(image).for_each(|(sum, g)| *sum += g);
    }
    (weights, bias)
}
