//! What the figures were measured on, and whether it was the same machine all the time.

use serde::Serialize;

/// The processor at work. Node knows its name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// Hardware threads that this process may use.
    pub threads: usize,
    /// Fused multiply-adds in registers, GFLOP/s, before and after the benchmarks: a clock that changed shows. Where all
    /// threads reach less than their number times one, they share cores.
    pub fma_peak: Vec<Peak>,
}

/// The yardstick: what no program exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Peak {
    /// Of one thread.
    pub one_thread: f64,
    /// Of all threads at once.
    pub all_threads: f64,
}

impl Machine {
    pub(crate) fn measure() -> Self {
        Self { threads: threads(), fma_peak: vec![peak()] }
    }

    pub(crate) fn and_after(mut self) -> Self {
        self.fma_peak.push(peak());
        self
    }
}

/// Threads that run at once here.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |threads| threads.get())
}

fn peak() -> Peak {
    Peak { one_thread: ilsvrc_cpu::peak_gflops(1), all_threads: ilsvrc_cpu::peak_gflops(threads()) }
}
