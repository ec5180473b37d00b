//! What photos take while they are decoded, whatever their headers claim.
//!
//! A thread keeps two buffers from photo to photo while each is below a quarter of [`SMALL`]. Of photos that need more
//! than [`SMALL`], only one is decoded at a time in the whole process, and its memory is given back before the next. So
//! `n` threads take at most `n * 1.5 * SMALL + MAX_MEMORY`, besides the files themselves, which their readers bound, and
//! the resizer's table of `size x rows` pixels.

use std::sync::{Mutex, PoisonError};

use ilsvrc_diagnostics::Result;

use crate::jpeg::{MAX_MEMORY, undecodable};

/// RGB of 11 million pixels; a phone's 12 million are shrunk and need less, but for progressive files.
const SMALL: usize = 32 << 20;

static LARGE: Mutex<()> = Mutex::new(());

/// Buffers of one thread.
#[derive(Default)]
pub(super) struct Scratch {
    /// The photo in RGB.
    pub(super) photo: Vec<u8>,
    /// The samples as a file stores them, where those are not RGB.
    pub(super) samples: Vec<u8>,
}

impl Scratch {
    /// Does `work` that needs `bytes` of memory.
    pub(super) fn within<T>(&mut self, bytes: usize, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if bytes > MAX_MEMORY {
            return Err(undecodable(format!(
                "decoding it needs {} MB of memory; at most {} are given",
                bytes >> 20,
                MAX_MEMORY >> 20
            )));
        }
        // The lock guards no data that a panic could leave half done.
        let alone = (bytes > SMALL).then(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner));
        let result = work(self);
        for buffer in [&mut self.photo, &mut self.samples] {
            if buffer.capacity() > SMALL / 4 {
                *buffer = Vec::new();
            }
        }
        drop(alone);
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::jpeg::grown;

    #[test]
    fn one_large_photo_at_a_time_and_its_memory_is_given_back() {
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut scratch = Scratch::default();
                    for _ in 0..20 {
                        let work = |scratch: &mut Scratch| {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            grown(&mut scratch.photo, SMALL + 1);
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            Ok(())
                        };
                        scratch.within(SMALL + 1, work).unwrap();
                        assert_eq!(scratch.photo.capacity(), 0);
                    }
                });
            }
        });
    }

    #[test]
    fn small_buffers_are_kept_and_too_large_ones_never_made() {
        let mut scratch = Scratch::default();
        let keep = |scratch: &mut Scratch| {
            grown(&mut scratch.samples, 1000);
            Ok(())
        };
        scratch.within(1000, keep).unwrap();
        assert_eq!(scratch.samples.len(), 1000);
        assert!(scratch.within(MAX_MEMORY + 1, |_| -> Result<()> { unreachable!() }).is_err());
    }
}
