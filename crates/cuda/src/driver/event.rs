//! Points in the work of streams.

use super::{Context, Explain};
use cudarc::driver::{result, sys};
use ilsvrc_diagnostics::Result;
use std::sync::Arc;

/// A point in the work of a stream that others can wait for.
#[derive(Debug)]
pub(crate) struct Event {
    pub(super) raw: sys::CUevent,
    context: Arc<Context>,
}

// SAFETY: see `Context`.
unsafe impl Send for Event {}
// SAFETY: see `Context`.
unsafe impl Sync for Event {}

impl Event {
    /// For order only.
    pub(crate) fn new(context: &Arc<Context>) -> Result<Self> {
        Self::with_flags(context, sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)
    }

    /// Also tells when it happened.
    pub(crate) fn timed(context: &Arc<Context>) -> Result<Self> {
        Self::with_flags(context, sys::CUevent_flags::CU_EVENT_DEFAULT)
    }

    fn with_flags(context: &Arc<Context>, flags: sys::CUevent_flags) -> Result<Self> {
        context.bind()?;
        let raw = result::event::create(flags).on(context, "create an event")?;
        Ok(Self { raw, context: context.clone() })
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Blocks until it has happened.
    pub(crate) fn synchronize(&self) -> Result<()> {
        self.context.bind()?;
        // SAFETY: the event is alive.
        unsafe { result::event::synchronize(self.raw) }.on(&self.context, "finish what the GPU was given")
    }

    /// Whether it has happened; does not wait.
    pub(crate) fn has_happened(&self) -> Result<bool> {
        // SAFETY: the event is alive.
        match unsafe { result::event::query(self.raw) } {
            Ok(()) => Ok(true),
            Err(error) if error.0 == sys::CUresult::CUDA_ERROR_NOT_READY => Ok(false),
            Err(error) => Err(error).on(&self.context, "finish what the GPU was given"),
        }
    }

    /// Seconds between two timed events that have happened.
    pub(crate) fn seconds_since(&self, start: &Self) -> Result<f64> {
        // SAFETY: both are alive.
        let ms = unsafe { result::event::elapsed(start.raw, self.raw) }.on(&self.context, "time a step")?;
        Ok(f64::from(ms) / 1e3)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: not used any more. A failure has nobody to be told.
            let _ = unsafe { result::event::destroy(self.raw) };
        }
    }
}
