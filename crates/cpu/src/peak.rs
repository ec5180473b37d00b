//! The ceiling that benchmarks compare with: how many multiply-adds this machine does, right now.

use crate::gemm::Kernel;
use crate::isa::InstructionSet;
use std::time::{Duration, Instant};

/// Rounds of multiply-adds in a measurement: well under a millisecond, shorter than a time slice of a busy machine.
const ROUNDS: usize = 20_000;

/// The best GFLOP/s (a multiply-add is two) of `threads` threads that only multiply and add in registers for 50 ms.
pub fn peak_gflops(threads: usize) -> f64 {
    let rates: Vec<f64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(measure)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(0.0)).collect()
    });
    rates.iter().sum()
}

fn measure() -> f64 {
    let kernel = Kernel::of(InstructionSet::best());
    let (start, mut best) = (Instant::now(), 0.0f64);
    while start.elapsed() < Duration::from_millis(50) {
        let start = Instant::now();
        let operations = kernel.multiply_add(ROUNDS);
        best = best.max(operations as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    best
}
