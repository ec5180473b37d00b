//! Weights in the form in which a convolution multiplies them, kept from pass to pass while nothing learns: with few images,
//! making them is much of a pass.

use crate::arena::Block;
use ilsvrc_diagnostics::Result;

/// The weights of one layer, packed or transformed.
#[derive(Default)]
pub(crate) struct Kept {
    memory: Option<Block>,
    /// What the memory holds.
    form: Option<Form>,
}

/// What is multiplied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The weights, in panels.
    Packed,
    /// What Winograd's transforms make of them, in panels.
    Transformed,
}

impl Kept {
    /// Memory for the weights in a form, and whether they are there already; if not, the caller makes them.
    pub(crate) fn weights(&mut self, form: Form, length: usize) -> Result<(&mut [f32], bool)> {
        let ready = self.form.replace(form) == Some(form);
        let memory = match self.memory.take() {
            Some(memory) if memory.len() == length => memory,
            _ => Block::zeroed(length, "the weights that are multiplied")?,
        };
        Ok((self.memory.insert(memory), ready))
    }

    /// The weights are others now.
    pub(crate) fn forget(&mut self) {
        self.form = None;
    }
}
