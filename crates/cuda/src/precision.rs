//! What the multiplications of a net are done in.

use ilsvrc_diagnostics::{DEVICE_UNUSABLE, Error};
use std::str::FromStr;

/// Sums are always f32, and so are weights, velocities and the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Maps and factors are bfloat16 (8 bits of mantissa): the fastest, and half of the memory.
    #[default]
    Bf16,
    /// Maps are f32, factors are rounded to TensorFloat-32 (11 bits of mantissa).
    Tf32,
    /// Everything is f32, without tensor cores.
    F32,
}

impl Precision {
    /// Bytes of an element of a map.
    pub fn element_bytes(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::Tf32 | Self::F32 => 4,
        }
    }

    /// As in `--precision`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Tf32 => "tf32",
            Self::F32 => "f32",
        }
    }

    /// Elements of a 16-byte access: what rows must be multiples of for the fast kernels.
    pub(crate) fn vector(self) -> usize {
        16 / self.element_bytes()
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Bf16, Self::Tf32, Self::F32].into_iter().find(|precision| precision.name() == text).ok_or_else(
            || {
                Error::new(DEVICE_UNUSABLE, format!("no precision `{text}`"))
                    .hint("one of bf16, tf32 and f32")
            },
        )
    }
}
