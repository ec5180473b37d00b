//! The scalars of a step.

use ilsvrc_network::{Mode, Pass, UpdateRule};

/// `struct State` of the kernels: what changes from step to step, in device memory so that a recorded step stays valid.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub(crate) struct State {
    seed: u64,
    step: u64,
    rate: f32,
    momentum: f32,
    decay: f32,
    first: u32,
}

impl State {
    pub(crate) const BYTES: usize = size_of::<Self>();

    /// The same with the random numbers of `pass`.
    pub(crate) fn with_pass(self, pass: &Pass) -> Self {
        match pass.mode {
            Mode::Train { seed, step, first } => Self { seed, step, first: first as u32, ..self },
            Mode::Test => self,
        }
    }

    /// The same with a learning rule.
    pub(crate) fn with_rule(self, rule: &UpdateRule) -> Self {
        Self { rate: rule.rate, momentum: rule.momentum, decay: rule.decay, ..self }
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.seed.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.step.to_ne_bytes());
        for (bytes, value) in bytes[16..28].chunks_exact_mut(4).zip([self.rate, self.momentum, self.decay]) {
            bytes.copy_from_slice(&value.to_ne_bytes());
        }
        bytes[28..32].copy_from_slice(&self.first.to_ne_bytes());
        bytes
    }
}
