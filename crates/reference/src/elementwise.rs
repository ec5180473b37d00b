//! Activations, dropout, softmax and the gradient of the cross-entropy.

use ilsvrc_network::{Activation, Mode};
use ilsvrc_random::{Purpose, Stream};

pub(crate) fn activate(activation: Activation, input: &[f64]) -> Vec<f64> {
    let f = |x: &f64| match activation {
        Activation::None => *x,
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
    };
    input.iter().map(f).collect()
}

/// `gradient * f'(x)`, from `output = f(x)`.
pub(crate) fn activation_gradient(activation: Activation, output: &[f64], gradient: &[f64]) -> Vec<f64> {
    let slope = |y: &f64| match activation {
        Activation::None => 1.0,
        Activation::Relu => f64::from(u8::from(*y > 0.0)),
        Activation::Tanh => 1.0 - y * y,
    };
    output.iter().zip(gradient).map(|(y, g)| slope(y) * g).collect()
}

/// Activations or gradients through the mask of (seed, step, layer, tower); at test scaled by the share that is kept.
/// `elements` an image.
pub(crate) fn dropout(
    rate: f32,
    (layer, tower): (u32, u32),
    elements: usize,
    mode: Mode,
    values: &[f64],
) -> Vec<f64> {
    match mode {
        Mode::Train { seed, step, first } => {
            let begin = first * elements;
            let stream = Stream::new(seed, Purpose::Dropout, step, layer * 2 + tower);
            let keep = |(e, value): (usize, &f64)| {
                if stream.uniform((begin + e) as u32) >= rate { *value } else { 0.0 }
            };
            values.iter().enumerate().map(keep).collect()
        }
        Mode::Test => values.iter().map(|value| value * f64::from(1.0 - rate)).collect(),
    }
}

/// `exp(x) / sum exp(x)` for each image.
pub(crate) fn softmax(classes: usize, logits: &[f64]) -> Vec<f64> {
    let mut probabilities = Vec::with_capacity(logits.len());
    for row in logits.chunks(classes) {
        // The largest is taken off first: the quotient is the same and nothing overflows.
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exponentials: Vec<f64> = row.iter().map(|x| (x - largest).exp()).collect();
        let sum: f64 = exponentials.iter().sum();
        probabilities.extend(exponentials.iter().map(|e| e / sum));
    }
    probabilities
}

/// Of the mean cross-entropy by the logits: `(probability - onehot) / batch`.
pub(crate) fn cross_entropy_gradient(classes: usize, probabilities: &[f64], labels: &[u32]) -> Vec<f64> {
    let mut gradient = probabilities.to_vec();
    for (row, label) in gradient.chunks_mut(classes).zip(labels) {
        row[*label as usize] -= 1.0;
        row.iter_mut().for_each(|g| *g /= labels.len() as f64);
    }
    gradient
}
