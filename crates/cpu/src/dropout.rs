//! Dropout with the masks that `ilsvrc_network::Op::Dropout` specifies.

use crate::backend::Machine;
use crate::isa::Work;
use ilsvrc_random::{Stream, unit};
use rayon::prelude::*;

/// Blocks of four random numbers that are drawn side by side.
const LANES: usize = 16;

/// Elements of a task; a multiple of `4 * LANES`.
const CHUNK: usize = 8 * 1024;

/// Sets the elements that the mask drops to zero. `values` are those of the whole batch, the first of them element `begin` of
/// the stream.
pub(crate) fn mask(machine: &Machine, stream: &Stream, begin: usize, rate: f32, values: &mut [f32]) {
    struct Mask<'a>(&'a Stream, f32, u32, &'a mut [f32]);
    impl Work for Mask<'_> {
        #[inline(always)]
        fn run(self) {
            let Self(stream, rate, mut block, values) = self;
            for values in values.chunks_mut(4 * LANES) {
                let mut draws = [[0; 4]; LANES];
                for (i, draw) in draws.iter_mut().enumerate() {
                    *draw = stream.block(block + i as u32);
                }
                for (value, bits) in values.iter_mut().zip(draws.as_flattened()) {
                    *value = if unit(*bits) >= rate { *value } else { 0.0 };
                }
                block += LANES as u32;
            }
        }
    }
    // Those before the first whole block, one by one.
    let (lead, values) = values.split_at_mut(begin.next_multiple_of(4).min(begin + values.len()) - begin);
    for (e, value) in (begin..).zip(&mut *lead) {
        *value = if stream.uniform(e as u32) >= rate { *value } else { 0.0 };
    }
    let block = (begin + lead.len()) / 4;
    let set = machine.set;
    machine.pool.install(|| {
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(i, values)| {
            set.run(Mask(stream, rate, (block + i * CHUNK / 4) as u32, values));
        });
    });
}

/// `values *= factor`, the test mode.
pub(crate) fn scale(machine: &Machine, factor: f32, values: &mut [f32]) {
    machine.pool.install(|| {
        values.par_chunks_mut(CHUNK).for_each(|values| values.iter_mut().for_each(|x| *x *= factor));
    });
}
