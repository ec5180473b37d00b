//! The first values of parameters.

use crate::Parameter;
use ilsvrc_random::{Purpose, Stream};
use std::thread;

/// Numbers that parameter streams of a tower may take; the second tower's start here.
const STREAMS_PER_TOWER: usize = 1000;

impl Parameter {
    /// The parameter's first value in memory order: the constant of its layer for a bias, else N(0, `weight_std`).
    /// Element `e` **in file order** is number `e` of the stream (seed, `Purpose::Weights`, tower * 1000 + `index`), so
    /// that it depends neither on the memory layout nor on the number of threads.
    pub fn initial(&self, seed: u64, tower: usize, index: usize) -> Vec<f32> {
        if self.bias {
            return vec![self.learning.bias; self.len()];
        }
        let mut values = vec![0.0; self.len()];
        if self.learning.weight_std > 0.0 {
            let number = (tower * STREAMS_PER_TOWER + index) as u32;
            draw(&mut values, Stream::new(seed, Purpose::Weights, 0, number), self.learning.weight_std);
        }
        self.to_memory_order(&values)
    }
}

/// Fills `values` with N(0, std) on all processors: a net of the paper's size takes sixty million draws.
fn draw(values: &mut [f32], stream: Stream, std: f32) {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let pairs = values.len().div_ceil(2).div_ceil(threads);
    thread::scope(|scope| {
        for (chunk, values) in values.chunks_mut(2 * pairs).enumerate() {
            scope.spawn(move || {
                for (pair, values) in values.chunks_mut(2).enumerate() {
                    let normal = stream.normal_pair((chunk * pairs + pair) as u32);
                    for (value, normal) in values.iter_mut().zip(normal) {
                        *value = std * normal;
                    }
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_do_not_depend_on_how_they_are_cut() {
        let stream = Stream::new(3, Purpose::Weights, 0, 1001);
        let mut values = vec![0.0; 1001];
        draw(&mut values, stream, 2.0);
        for (element, value) in values.iter().enumerate() {
            assert_eq!(*value, 2.0 * stream.normal_pair(element as u32 / 2)[element % 2]);
        }
    }
}
