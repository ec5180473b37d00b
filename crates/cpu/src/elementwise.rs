//! Activations that could not be fused, and the softmax.

use crate::backend::Machine;
use crate::isa::Work;
use ilsvrc_network::Activation;
use rayon::prelude::*;

/// Elements of a task.
const CHUNK: usize = 16 * 1024;

/// `values = activation(values)`
pub(crate) fn activate(machine: &Machine, activation: Activation, values: &mut [f32]) {
    struct Activate<'a>(Activation, &'a mut [f32]);
    impl Work for Activate<'_> {
        #[inline(always)]
        fn run(self) {
            match self.0 {
                Activation::None => {}
                // Written so that a NaN goes on.
                Activation::Relu => self.1.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x }),
                Activation::Tanh => self.1.iter_mut().for_each(|x| *x = x.tanh()),
            }
        }
    }
    let set = machine.set;
    machine.pool.install(|| {
        values.par_chunks_mut(CHUNK).for_each(|values| set.run(Activate(activation, values)));
    });
}

/// `gradient *= activation'`, from the activation's output: 1 where ReLU let it through, `1 - y^2` for tanh.
pub(crate) fn activation_gradient(
    machine: &Machine,
    activation: Activation,
    output: &[f32],
    gradient: &mut [f32],
) {
    struct Gradient<'a>(Activation, &'a [f32], &'a mut [f32]);
    impl Work for Gradient<'_> {
        #[inline(always)]
        fn run(self) {
            let pairs = self.2.iter_mut().zip(self.1);
            match self.0 {
                Activation::None => {}
                Activation::Relu => pairs.for_each(|(g, y)| *g = if *y > 0.0 { *g } else { 0.0 }),
                Activation::Tanh => pairs.for_each(|(g, y)| *g *= 1.0 - y * y),
            }
        }
    }
    let set = machine.set;
    machine.pool.install(|| {
        gradient
            .par_chunks_mut(CHUNK)
            .zip(output.par_chunks(CHUNK))
            .for_each(|(gradient, output)| set.run(Gradient(activation, output, gradient)));
    });
}

/// Probabilities of each image's `classes` logits.
pub(crate) fn softmax(machine: &Machine, classes: usize, logits: &[f32], probabilities: &mut [f32]) {
    machine.pool.install(|| {
        probabilities.par_chunks_exact_mut(classes).zip(logits.par_chunks_exact(classes)).for_each(
            |(probabilities, logits)| {
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for (p, x) in probabilities.iter_mut().zip(logits) {
                    *p = (x - largest).exp();
                    sum += f64::from(*p);
                }
                let scale = (1.0 / sum) as f32;
                probabilities.iter_mut().for_each(|p| *p *= scale);
            },
        );
    });
}

/// The gradient of the mean cross-entropy of `labels.len()` images: `(probability - onehot) / images`.
pub(crate) fn softmax_gradient(classes: usize, labels: &[u32], probabilities: &[f32], gradient: &mut [f32]) {
    let share = 1.0 / labels.len() as f32;
    let rows = probabilities.chunks_exact(classes).zip(gradient.chunks_exact_mut(classes));
    for ((probabilities, gradient), label) in rows.zip(labels) {
        gradient.iter_mut().zip(probabilities).for_each(|(g, p)| *g = p * share);
        gradient[*label as usize] = (probabilities[*label as usize] - 1.0) * share;
    }
}
