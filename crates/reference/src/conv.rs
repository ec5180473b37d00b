//! Convolution: `out[n, y, x, o] = bias[o] + sum over ky, kx, c of in[n, y*s + ky - pad, x*s + kx - pad, c] * w[ky, kx, c, o]`.

use ilsvrc_network::Window;

pub(crate) struct Shape {
    pub(crate) window: Window,
    pub(crate) in_maps: usize,
    pub(crate) out_maps: usize,
}

impl Shape {
    /// Calls `visit(input, weight, output)` with the first input map, weight and output map of every pair of positions
    /// that a kernel joins. The maps themselves are the caller's loops.
    pub(crate) fn for_each_tap(&self, batch: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let Window { input, output, size, stride, pad } = self.window;
        for n in 0..batch {
            for y in 0..output {
                for x in 0..output {
                    for ky in 0..size {
                        for kx in 0..size {
                            // Before the first row or column, or after the last: zeros.
                            let Some(iy) = (y * stride + ky).checked_sub(pad).filter(|iy| *iy < input) else {
                                continue;
                            };
                            let Some(ix) = (x * stride + kx).checked_sub(pad).filter(|ix| *ix < input) else {
                                continue;
                            };
                            visit(
                                ((n * input + iy) * input + ix) * self.in_maps,
                                (ky * size + kx) * self.in_maps * self.out_maps,
                                ((n * output + y) * output + x) * self.out_maps,
                            );
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn inputs(&self, batch: usize) -> usize {
        batch * self.window.input * self.window.input * self.in_maps
    }

    pub(crate) fn positions(&self, batch: usize) -> usize {
        batch * self.window.output * self.window.output
    }
}

pub(crate) fn forward(shape: &Shape, batch: usize, input: &[f64], weights: &[f64], bias: &[f64]) -> Vec<f64> {
    let mut out: Vec<f64> = bias.repeat(shape.positions(batch));
    shape.for_each_tap(batch, |i, w, o| {
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
    shape.for_each_tap(batch, |i, w, o| {
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
    let taps = shape.window.size * shape.window.size;
    let mut weights = vec![0.0; taps * shape.in_maps * shape.out_maps];
    shape.for_each_tap(batch, |i, w, o| {
        for c in 0..shape.in_maps {
            for m in 0..shape.out_maps {
                weights[w + c * shape.out_maps + m] += input[i + c] * output_gradient[o + m];
            }
        }
    });
    let mut bias = vec![0.0; shape.out_maps];
    for position in output_gradient[..shape.positions(batch) * shape.out_maps].chunks(shape.out_maps) {
        bias.iter_mut().zip(position).for_each(|(sum, g)| *sum += g);
    }
    (weights, bias)
}
