//! Fully connected: `out[n, o] = bias[o] + sum over i of in[n, i] * w[i, o]`. Sizes are `[batch, inputs, outputs]`.

pub(crate) fn forward(
    [n, inputs, outputs]: [usize; 3],
    input: &[f64],
    weights: &[f64],
    bias: &[f64],
) -> Vec<f64> {
    let mut out = bias.repeat(n);
    for image in 0..n {
        for i in 0..inputs {
            for o in 0..outputs {
                out[image * outputs + o] += input[image * inputs + i] * weights[i * outputs + o];
            }
        }
    }
    out
}

pub(crate) fn input_gradient(
    [n, inputs, outputs]: [usize; 3],
    output_gradient: &[f64],
    weights: &[f64],
) -> Vec<f64> {
    let mut gradient = vec![0.0; n * inputs];
    for image in 0..n {
        for i in 0..inputs {
            for o in 0..outputs {
                gradient[image * inputs + i] +=
                    output_gradient[image * outputs + o] * weights[i * outputs + o];
            }
        }
    }
    gradient
}

/// Of the weights and of the biases.
pub(crate) fn weight_gradient(
    [n, inputs, outputs]: [usize; 3],
    input: &[f64],
    output_gradient: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let mut weights = vec![0.0; inputs * outputs];
    let mut bias = vec![0.0; outputs];
    for image in 0..n {
        for o in 0..outputs {
            let slope = output_gradient[image * outputs + o];
            bias[o] += slope;
            for i in 0..inputs {
                weights[i * outputs + o] += input[image * inputs + i] * slope;
            }
        }
    }
    (weights, bias)
}
