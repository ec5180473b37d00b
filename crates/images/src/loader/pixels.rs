//! The pixels of a batch, in memory of the caller's kind: a GPU reads some kinds by itself.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use ilsvrc_diagnostics::Result;

/// A block of bytes.
type Memory = Box<dyn DerefMut<Target = [u8]> + Send + Sync>;

/// Makes a block of at least so many bytes.
pub type NewMemory = Arc<dyn Fn(usize) -> Result<Memory> + Send + Sync>;

/// Bytes at the start of a block, which is kept from batch to batch.
#[derive(Default)]
pub struct Pixels {
    memory: Option<Memory>,
    length: usize,
}

impl Pixels {
    /// Makes it `length` bytes, in a block of at least `capacity`.
    pub(super) fn resize(&mut self, length: usize, capacity: usize, memory: &NewMemory) -> Result<()> {
        let capacity = capacity.max(length);
        if self.memory.as_ref().is_none_or(|memory| memory.len() < capacity) {
            self.memory = Some(memory(capacity)?);
        }
        self.length = length;
        Ok(())
    }
}

impl Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], |memory| &memory[..self.length])
    }
}

impl DerefMut for Pixels {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.memory.as_mut().map_or(&mut [], |memory| &mut memory[..self.length])
    }
}

impl Clone for Pixels {
    fn clone(&self) -> Self {
        Self { memory: Some(Box::new(self.to_vec())), length: self.length }
    }
}

impl PartialEq for Pixels {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.length)
    }
}
