//! Memory of GPUs, and of the host for them.

use super::{Context, Explain};
use cudarc::driver::{result, sys};
use ilsvrc_diagnostics::Result;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A block of a GPU's memory.
#[derive(Debug)]
pub(crate) struct DeviceMemory {
    /// Its address on the GPU.
    pub(crate) at: u64,
    pub(crate) bytes: usize,
    context: Arc<Context>,
}

impl DeviceMemory {
    /// `bytes` zeros (at least one byte is taken). Fails with `OUT_OF_MEMORY`, saying what it was for.
    pub(crate) fn zeroed(context: &Arc<Context>, bytes: usize, what: &str) -> Result<Self> {
        context.bind()?;
        let taken = bytes.max(1);
        // SAFETY: freed in `drop`.
        let at = unsafe { result::malloc_sync(taken) }
            .on(context, &format!("get {taken} bytes of GPU memory for {what}"))?;
        context.held.fetch_add(taken, Ordering::Relaxed);
        let memory = Self { at, bytes, context: context.clone() };
        // SAFETY: the block was just allocated.
        unsafe { result::memset_d8_sync(at, 0, taken) }.on(context, "clear memory of the GPU")?;
        finish_default_stream()?;
        Ok(memory)
    }

    /// Copies from pageable memory, now.
    pub(crate) fn write(&self, offset: usize, data: &[u8]) -> Result<()> {
        assert!(offset + data.len() <= self.bytes, "{} bytes at {offset} of {}", data.len(), self.bytes);
        self.context.bind()?;
        // SAFETY: inside the block, as just asserted; callers have waited for what used it.
        unsafe { result::memcpy_htod_sync(self.at + offset as u64, data) }
            .on(&self.context, "copy to the GPU")?;
        finish_default_stream()
    }

    /// Copies to pageable memory, now.
    pub(crate) fn read(&self, offset: usize, data: &mut [u8]) -> Result<()> {
        assert!(offset + data.len() <= self.bytes, "{} bytes at {offset} of {}", data.len(), self.bytes);
        self.context.bind()?;
        // SAFETY: inside the block, as just asserted; callers have waited for what writes it.
        unsafe { result::memcpy_dtoh_sync(data, self.at + offset as u64) }
            .on(&self.context, "copy from the GPU")
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        self.context.held.fetch_sub(self.bytes.max(1), Ordering::Relaxed);
        if self.context.bind().is_ok() {
            // SAFETY: allocated in `zeroed`; the driver waits for work that uses it. A failure has nobody to be told.
            let _ = unsafe { result::free_sync(self.at) };
        }
    }
}

/// Waits for the default stream. The driver's "synchronous" clears and copies from pageable memory may return before they
/// are done, and our streams do not wait for them.
fn finish_default_stream() -> Result<()> {
    // SAFETY: the default stream always exists.
    unsafe { result::stream::synchronize(result::stream::null()) }.when("finish what the GPU was given")
}

/// Memory of the host that the GPU reads and writes by itself.
#[derive(Debug)]
pub(crate) struct PinnedMemory {
    start: *mut u8,
    bytes: usize,
    context: Arc<Context>,
}

// SAFETY: owns its block, as a Vec does.
unsafe impl Send for PinnedMemory {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for PinnedMemory {}

impl PinnedMemory {
    /// Usable by all GPUs. Its content is unspecified.
    pub(crate) fn new(context: &Arc<Context>, bytes: usize, what: &str) -> Result<Self> {
        context.bind()?;
        let portable = sys::CU_MEMHOSTALLOC_PORTABLE;
        // SAFETY: freed in `drop`.
        let start = unsafe { result::malloc_host(bytes.max(1), portable) }
            .on(context, &format!("get {bytes} bytes of pinned memory for {what}"))?
            .cast::<u8>();
        // SAFETY: just allocated; a slice needs initialised bytes.
        unsafe { start.write_bytes(0, bytes) };
        Ok(Self { start, bytes, context: context.clone() })
    }
}

impl Deref for PinnedMemory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `bytes` initialised bytes that this block owns. While the GPU writes them nobody looks.
        unsafe { std::slice::from_raw_parts(self.start, self.bytes) }
    }
}

impl DerefMut for PinnedMemory {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.bytes) }
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: allocated in `new`; the driver waits for copies that use it. A failure has nobody to be told.
            let _ = unsafe { result::free_host(self.start.cast()) };
        }
    }
}
