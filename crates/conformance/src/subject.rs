//! A backend under test, and how near its results must be.

use ilsvrc_network::Backend;

/// Largest differences, as parts of a tensor's largest element. Products and sums of the problems' numbers are exact in
/// f32, so this is for the powers, tanh, means and exponentials, a handful of roundings each, and for storing a result.
/// How sums of arbitrary numbers round is the goldens' business.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Of maps and their gradients, which may be stored in a shorter type.
    pub buffers: f32,
    /// Of parameters, velocities and gradients, which are f32 everywhere.
    pub parameters: f32,
}

/// Everything is f32.
pub const F32: Tolerance = Tolerance { buffers: 5e-6, parameters: 5e-6 };
/// Maps are bfloat16: half a unit in the last of 8 places, and once more where a result is made from a stored one.
pub const BF16: Tolerance = Tolerance { buffers: 8e-3, parameters: 5e-6 };

/// A backend in one of the ways it can work.
pub struct Subject<'a, B: Backend> {
    /// For messages.
    pub name: String,
    /// Subjects of one group must give the same bits.
    pub group: usize,
    /// The backend.
    pub backend: &'a B,
    /// How near its results must be.
    pub tolerance: Tolerance,
    /// Called before each run: to choose the order of threads, say.
    pub prepare: Box<dyn Fn() + 'a>,
}

impl<'a, B: Backend> Subject<'a, B> {
    /// A subject that needs no preparation.
    pub fn new(name: impl Into<String>, group: usize, backend: &'a B, tolerance: Tolerance) -> Self {
        Self { name: name.into(), group, backend, tolerance, prepare: Box::new(|| {}) }
    }

    pub(crate) fn begin(&self) {
        (self.prepare)();
    }
}

/// Holds all tensors of a result against the expected ones; the first `buffers` are maps, the others parameters.
pub(crate) fn compare<B: Backend>(
    subject: &Subject<B>,
    what: &str,
    expected: &[Vec<f32>],
    result: &[Vec<f32>],
    buffers: usize,
) {
    for (tensor, (expected, result)) in expected.iter().zip(result).enumerate() {
        let Tolerance { buffers: maps, parameters } = subject.tolerance;
        let tolerance = if tensor < buffers { maps } else { parameters };
        let largest = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        for (i, (e, r)) in expected.iter().zip(result).enumerate() {
            let off = (e - r).abs();
            let name = &subject.name;
            assert!(off <= tolerance * largest, "{name}, {what}: tensor {tensor}, element {i}: {r}, not {e}");
        }
    }
}

/// Subjects of one group have the same bits.
pub(crate) fn same_bits<B: Backend>(subjects: &[Subject<B>], what: &str, results: &[Vec<Vec<f32>>]) {
    let bits = |r: &[Vec<f32>]| r.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
    for (index, subject) in subjects.iter().enumerate() {
        let first = subjects.iter().position(|other| other.group == subject.group).expect("itself at least");
        assert!(
            bits(&results[first]) == bits(&results[index]),
            "{} and {} differ: {what}",
            subjects[first].name,
            subject.name
        );
    }
}
