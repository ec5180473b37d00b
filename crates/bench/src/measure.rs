//! A figure: its samples, and what it is held against.

use serde::Serialize;

/// What was measured, several times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// `area/case/variant`.
    pub name: String,
    /// `images/s`, `MB/s`, ...; more is better.
    pub unit: &'static str,
    /// One of each round, in their order.
    pub samples: Vec<f64>,
    /// What the hardware allows.
    pub limit: Option<Limit>,
}

/// The best that a measurement could be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// How it comes about.
    pub name: String,
    /// In the measurement's unit.
    pub value: f64,
}

impl Measurement {
    /// Samples in images a second.
    pub(crate) fn images(name: impl Into<String>, samples: Vec<f64>) -> Self {
        Self { name: name.into(), unit: "images/s", samples, limit: None }
    }

    /// Held against `times` the median of `of`: what that many threads would reach if each worked alone.
    pub(crate) fn limited_by(self, of: &Self, times: usize) -> Self {
        let factor = if times == 1 { String::new() } else { format!(" x {times}") };
        let limit = Limit { name: format!("{}{factor}", of.name), value: of.median() * times as f64 };
        Self { limit: Some(limit), ..self }
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
