//! Memory of towers: aligned blocks, zeroed by the system page by page as they are first touched.

use ilsvrc_diagnostics::{Error, INTERNAL, OUT_OF_MEMORY, Result};
use memmap2::MmapMut;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;

/// The size of a huge page. Rows of weights lie a page apart, so each would take an entry of its own in the processor's
/// tables of addresses.
const HUGE_PAGE: usize = 2 << 20;

/// A zeroed block of f32 that starts at a page, and a large one at a huge page where the system has them.
pub(crate) struct Block {
    start: NonNull<f32>,
    length: usize,
    /// Where it lies.
    _memory: Option<MmapMut>,
}

// SAFETY: a `Block` owns its memory, as a `Vec<f32>` does.
unsafe impl Send for Block {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Block {}

impl Block {
    /// `length` zeros. Fails with `OUT_OF_MEMORY` when the system has no address space left for them.
    pub(crate) fn zeroed(length: usize, what: &str) -> Result<Self> {
        if length == 0 {
            return Ok(Self { start: NonNull::dangling(), length, _memory: None });
        }
        let bytes = length.saturating_mul(size_of::<f32>());
        let slack = if bytes < HUGE_PAGE { 0 } else { HUGE_PAGE };
        let mut memory = MmapMut::map_anon(bytes.saturating_add(slack)).map_err(|e| {
            Error::new(OUT_OF_MEMORY, format!("cannot allocate {bytes} bytes for {what}"))
                .info(format!("the system refused the allocation: {e}"))
                .hint("use a smaller --batch, or a machine with more memory")
        })?;
        let mut first = 0;
        if slack > 0 {
            first = memory.as_ptr().align_offset(HUGE_PAGE);
            // A wish: where the system does not grant it, small pages do.
            #[cfg(target_os = "linux")]
            memory.advise(memmap2::Advice::HugePage).ok();
        }
        let start = NonNull::from(&mut memory[first..first + bytes]).cast();
        Ok(Self { start, length, _memory: Some(memory) })
    }
}

impl Deref for Block {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `length` initialised elements that this block owns (or none, at a dangling but aligned pointer).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `&mut self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

/// What [`views`] gives: slices to read and slices to write.
pub(crate) type Views<'a, const R: usize, const W: usize> = ([&'a [f32]; R], [&'a mut [f32]; W]);

/// Slices of one block, some to read and some to write. Safe: every range is checked against the block, and the
/// written ones against all others, so a wrong plan is an error and never aliasing.
pub(crate) fn views<const R: usize, const W: usize>(
    block: &mut [f32],
    reads: [Range<usize>; R],
    writes: [Range<usize>; W],
) -> Result<Views<'_, R, W>> {
    let length = block.len();
    let overlap = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
    let inside = |r: &Range<usize>| r.start <= r.end && r.end <= length;
    let valid = reads.iter().chain(&writes).all(inside)
        && writes.iter().enumerate().all(|(i, w)| {
            !reads.iter().any(|r| overlap(w, r)) && !writes[..i].iter().any(|other| overlap(w, other))
        });
    if !valid {
        return Err(Error::new(
            INTERNAL,
            format!(
                "the plan's buffers overlap or leave the arena of {length}: reads {reads:?}, writes {writes:?}"
            ),
        ));
    }
    let start = block.as_mut_ptr();
    // SAFETY: all ranges lie in `block`; the written ones overlap nothing else (checked above).
    Ok(unsafe {
        (
            reads.map(|r| std::slice::from_raw_parts(start.add(r.start), r.len())),
            writes.map(|w| std::slice::from_raw_parts_mut(start.add(w.start), w.len())),
        )
    })
}

/// Working memory of the ops of one tower: one shared block and one of each thread. It grows in the first pass and
/// is reused from then on. Its content never lives longer than an op.
pub(crate) struct Scratch {
    shared: Block,
    threads: Vec<Block>,
}

impl Scratch {
    /// Nothing yet, for a pool of `threads`.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        let empty = || Block::zeroed(0, "");
        Ok(Self { shared: empty()?, threads: (0..threads).map(|_| empty()).collect::<Result<_>>()? })
    }

    /// `shared` elements for all and `own` elements for each thread, of unspecified content.
    pub(crate) fn get(&mut self, shared: usize, own: usize) -> Result<(&mut [f32], PerThread<'_>)> {
        let grow = |block: &mut Block, length: usize| -> Result<()> {
            if block.len() < length {
                *block = Block::zeroed(0, "")?;
                *block = Block::zeroed(length, "working memory")?;
            }
            Ok(())
        };
        grow(&mut self.shared, shared)?;
        for block in &mut self.threads {
            grow(block, own)?;
        }
        let threads = self.threads.iter_mut().map(|block| Shared::new(&mut block[..own])).collect();
        Ok((&mut self.shared[..shared], PerThread { threads }))
    }
}

/// One block of each thread of a pool.
pub(crate) struct PerThread<'a> {
    threads: Vec<Shared<'a>>,
}

impl PerThread<'_> {
    /// The calling thread's block.
    ///
    /// # Safety
    /// Called on a thread of the pool that the scratch was made for, once in a task that starts no parallel work
    /// itself: then no other task runs on this thread while the slice lives.
    #[expect(clippy::mut_from_ref, reason = "each thread gets a slice of its own")]
    pub(crate) unsafe fn own(&self) -> &mut [f32] {
        let block = &self.threads[rayon::current_thread_index().unwrap_or(0)];
        // SAFETY: each thread has its own block, and the caller promises one user at a time.
        unsafe { block.slice(0..block.length) }
    }
}

/// A slice that several tasks write at places which do not overlap.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    start: *mut f32,
    length: usize,
    slice: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: access goes through `slice` and `at`, whose callers promise disjoint places.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    /// Shares `slice` among tasks.
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), slice: std::marker::PhantomData }
    }

    /// A part of it.
    ///
    /// # Safety
    /// No other task uses an overlapping part while this one lives.
    #[expect(clippy::mut_from_ref, reason = "callers take disjoint parts")]
    pub(crate) unsafe fn slice(&self, range: Range<usize>) -> &mut [f32] {
        assert!(range.start <= range.end && range.end <= self.length);
        // SAFETY: inside the slice, and not aliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }

    /// The address of the first of `count` parts of `length` elements, which begin `stride` apart; all are inside.
    pub(crate) fn strided(&self, first: usize, count: usize, stride: usize, length: usize) -> *mut f32 {
        assert!(count > 0 && first + (count - 1) * stride + length <= self.length);
        // SAFETY: inside the slice.
        unsafe { self.start.add(first) }
    }

    /// The address of an element, for the kernels.
    pub(crate) fn at(&self, index: usize) -> *mut f32 {
        assert!(index <= self.length);
        // SAFETY: inside the slice or one past its end.
        unsafe { self.start.add(index) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_refuse_overlap_and_overrun() {
        let mut block = Block::zeroed(64, "test").unwrap();
        let mut valid = |reads: [Range<usize>; 2], write| views(&mut block, reads, [write]).is_ok();
        assert!(valid([0..16, 8..16], 16..64));
        assert!(!valid([0..16, 0..0], 15..32));
        assert!(!valid([0..16, 0..0], 60..65));
        assert!(!valid([0..16, 40..65], 16..32));
        assert!(views::<0, 2>(&mut block, [], [0..16, 8..24]).is_err());
    }

    #[test]
    fn too_much_memory_is_an_error_that_names_the_bytes() {
        let error = Block::zeroed(usize::MAX / 4, "the arena").err().expect("cannot succeed");
        assert_eq!(error.code, OUT_OF_MEMORY);
        assert!(error.message.contains("bytes for the arena"));
    }
}
