//! A figure: its samples, what it is held against, and how fast the hardware was meanwhile.

use ilsvrc_cpu::peak_gflops;
use serde::Serialize;
use std::rc::Rc;

use crate::memory::Memory;

/// What was measured, several times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// `area/case/variant`.
    pub name: String,
    /// `images/s`, `GFLOP/s`, `ms`, ...
    pub unit: &'static str,
    /// Which figures are good ones.
    pub better: Better,
    /// One of each round, in their order.
    pub samples: Vec<f64>,
    /// What the hardware allows.
    pub limit: Option<Limit>,
    /// By what figures of two runs are divided before they are compared.
    pub yardstick: Option<Yardstick>,
}

/// Which figures are good ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Large ones: rates.
    More,
    /// Small ones: times.
    Less,
}

/// The best that a measurement could be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// How it comes about.
    pub name: String,
    /// In the measurement's unit.
    pub value: f64,
}

/// How fast the hardware was just before and just after a case. A clock that changed meanwhile shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Yardstick {
    /// What it measures.
    pub name: String,
    /// Of `before` and `after`; more is faster.
    pub unit: &'static str,
    /// Just before.
    pub before: f64,
    /// Just after.
    pub after: f64,
}

impl Yardstick {
    /// The mean of before and after.
    pub(crate) fn mean(&self) -> f64 {
        (self.before + self.after) / 2.0
    }
}

/// The multiply-add peak around some work.
pub(crate) struct FmaBracket {
    threads: usize,
    before: f64,
}

impl FmaBracket {
    /// Measures before the work of `threads` threads.
    pub(crate) fn open(threads: usize) -> Self {
        Self { threads, before: peak_gflops(threads) }
    }

    /// Measures after it.
    pub(crate) fn close(self) -> Yardstick {
        let threads = self.threads;
        let name = format!("FMA peak of {threads} thread{}", if threads == 1 { "" } else { "s" });
        Yardstick { name, unit: "GFLOP/s", before: self.before, after: peak_gflops(threads) }
    }
}

/// The rate of reading memory around some work of all threads.
pub(crate) struct MemoryBracket {
    memory: Rc<Memory>,
    before: f64,
}

impl MemoryBracket {
    /// Reads before the work.
    pub(crate) fn open(memory: Rc<Memory>) -> Self {
        let before = memory.read_rate();
        Self { memory, before }
    }

    /// Reads after it.
    pub(crate) fn close(self) -> Yardstick {
        let after = self.memory.read_rate();
        Yardstick { name: "reading memory".into(), unit: "GB/s", before: self.before, after }
    }
}

impl Measurement {
    /// Samples of which large ones are good, without limit and yardstick.
    pub(crate) fn rate(name: impl Into<String>, unit: &'static str, samples: Vec<f64>) -> Self {
        Self { name: name.into(), unit, better: Better::More, samples, limit: None, yardstick: None }
    }

    /// Samples in images a second.
    pub(crate) fn images(name: impl Into<String>, samples: Vec<f64>) -> Self {
        Self::rate(name, "images/s", samples)
    }

    /// Samples in milliseconds.
    pub(crate) fn milliseconds(name: impl Into<String>, samples: Vec<f64>) -> Self {
        Self { better: Better::Less, ..Self::rate(name, "ms", samples) }
    }

    /// Held against `times` the median of `of`: what that many threads would reach if each worked alone.
    pub(crate) fn limited_by(self, of: &Self, times: usize) -> Self {
        let factor = if times == 1 { String::new() } else { format!(" x {times}") };
        self.with_limit(format!("{}{factor}", of.name), of.median() * times as f64)
    }

    pub(crate) fn with_limit(self, name: impl Into<String>, value: f64) -> Self {
        Self { limit: Some(Limit { name: name.into(), value }), ..self }
    }

    pub(crate) fn beside(self, yardstick: &Yardstick) -> Self {
        Self { yardstick: Some(yardstick.clone()), ..self }
    }

    /// The middle sample, or the mean of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        median(&self.samples)
    }
}

/// Not a number where there are no samples.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n => (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0,
    }
}
