//! Momentum SGD.

use crate::isa::{InstructionSet, Work};
use rayon::ThreadPool;
use rayon::prelude::*;

/// Elements of a task.
const CHUNK: usize = 64 * 1024;

/// The numbers of one parameter's step.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    /// Learning rate, times the layer's own.
    pub(crate) rate: f32,
    /// Of the velocity that is kept.
    pub(crate) momentum: f32,
    /// Weight decay.
    pub(crate) decay: f32,
}

/// `v <- momentum v - decay rate w - rate g`, `w <- w + v`
pub(crate) fn update(
    pool: &ThreadPool,
    set: InstructionSet,
    step: Step,
    weights: &mut [f32],
    velocities: &mut [f32],
    gradients: &[f32],
) {
    struct Update<'a>(Step, &'a mut [f32], &'a mut [f32], &'a [f32]);
    impl Work for Update<'_> {
        #[inline(always)]
        fn run(self) {
            let Step { rate, momentum, decay } = self.0;
            let shrink = decay * rate;
            for ((w, v), g) in self.1.iter_mut().zip(self.2).zip(self.3) {
                *v = momentum * *v - shrink * *w - rate * g;
                *w += *v;
            }
        }
    }
    pool.install(|| {
        weights
            .par_chunks_mut(CHUNK)
            .zip(velocities.par_chunks_mut(CHUNK))
            .zip(gradients.par_chunks(CHUNK))
            .for_each(|((w, v), g)| set.run(Update(step, w, v, g)));
    });
}
