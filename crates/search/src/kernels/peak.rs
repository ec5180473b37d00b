//! What no search exceeds: the kernel on data in the cache, and reading memory.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use super::{InstructionSet, Kernel};
use crate::search::QUERIES_A_PASS;

/// Seconds of a measurement of [`peak_products`].
const SECONDS: f64 = 0.2;

/// Products of bytes a second that one thread makes of a block in its cache, against a pass of queries.
pub fn peak_products() -> f64 {
    const STRIDE: usize = 4096;
    const ROWS: usize = 32;
    let kernel = Kernel::of(InstructionSet::best());
    let (rows, queries) = (vec![3; ROWS * STRIDE], vec![5; QUERIES_A_PASS * STRIDE]);
    let mut sums = vec![0; ROWS * QUERIES_A_PASS];
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed().as_secs_f64() < SECONDS {
        kernel.dots(black_box(&rows), black_box(&queries), STRIDE, &mut sums);
        black_box(&sums);
        rounds += 1;
    }
    (rounds * ROWS * QUERIES_A_PASS * STRIDE) as f64 / start.elapsed().as_secs_f64()
}

/// Bytes a second that all threads read, and do nothing else.
pub fn read_rate(bytes: &[u8]) -> f64 {
    let start = Instant::now();
    let sum: u64 = bytes
        .par_chunks(4 << 20)
        .map(|part| {
            part.as_chunks().0.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)))
        })
        .reduce(|| 0, u64::wrapping_add);
    black_box(sum);
    bytes.len() as f64 / start.elapsed().as_secs_f64()
}
