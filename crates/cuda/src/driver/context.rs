//! GPUs in use: their primary contexts.

use super::Explain;
use crate::failure::failure;
use cudarc::driver::{result, sys};
use ilsvrc_diagnostics::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The primary context of a GPU.
#[derive(Debug)]
pub(crate) struct Context {
    pub(super) raw: sys::CUcontext,
    device: sys::CUdevice,
    /// The GPU's number.
    pub(crate) ordinal: usize,
    /// Bytes of its memory that [`DeviceMemory`] holds.
    pub(super) held: AtomicUsize,
}

// SAFETY: the driver's handles may be used from any thread.
unsafe impl Send for Context {}
// SAFETY: likewise; the driver locks for itself.
unsafe impl Sync for Context {}

impl Context {
    /// Opens GPU `ordinal`; the driver has been started.
    pub(crate) fn open(ordinal: usize) -> Result<Arc<Self>> {
        let what = format!("open GPU {ordinal}");
        let device = result::device::get(ordinal as i32).when(&what)?;
        // SAFETY: `device` is valid; released in `drop`.
        let raw = unsafe { result::primary_ctx::retain(device) }.when(&what)?;
        let context = Arc::new(Self { raw, device, ordinal, held: AtomicUsize::new(0) });
        context.bind()?;
        Ok(context)
    }

    /// Makes it the calling thread's: memory, streams and events that are created belong to it.
    pub(crate) fn bind(&self) -> Result<()> {
        // SAFETY: the context is retained for as long as `self` lives.
        unsafe { result::ctx::set_current(self.raw) }.on(self, "use it")
    }

    /// Lets kernels and copies of this GPU reach the memory of `other`; false where the hardware does not allow it.
    pub(crate) fn reach(&self, other: &Self) -> Result<bool> {
        if !can_reach(self.device, other.device)? {
            return Ok(false);
        }
        self.bind()?;
        // SAFETY: both contexts are alive.
        match unsafe { sys::cuCtxEnablePeerAccess(other.raw, 0) }.result() {
            Ok(()) => Ok(true),
            Err(error) if error.0 == sys::CUresult::CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED => Ok(true),
            Err(error)
                if matches!(
                    error.0,
                    sys::CUresult::CUDA_ERROR_PEER_ACCESS_UNSUPPORTED
                        | sys::CUresult::CUDA_ERROR_TOO_MANY_PEERS
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(failure(error, "the GPU", "allow the GPUs to reach each other's memory")),
        }
    }

    /// Bytes that are free or held through this context.
    pub(crate) fn available(&self) -> Result<usize> {
        Ok(self.memory()?.0 + self.held.load(Ordering::Relaxed))
    }

    /// Free and whole memory in bytes.
    pub(crate) fn memory(&self) -> Result<(usize, usize)> {
        self.bind()?;
        result::mem_get_info().on(self, "ask for its free memory")
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // A GPU that is lost cannot release anything: there is nobody left to tell.
        // SAFETY: retained once in `open`.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// Whether kernels on `device` can reach the memory of `other`.
pub(crate) fn can_reach(device: sys::CUdevice, other: sys::CUdevice) -> Result<bool> {
    let mut can = 0;
    // SAFETY: writes one integer.
    unsafe { sys::cuDeviceCanAccessPeer(&mut can, device, other) }.result().when("ask for peer access")?;
    Ok(can != 0)
}
