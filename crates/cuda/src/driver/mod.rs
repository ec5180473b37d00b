//! What we need of the CUDA driver, with owners: contexts, streams, events, memory, kernels and graphs. Nothing here
//! orders anything by itself: that is done with streams and events, by hand, in `exchange.rs`, `order.rs` and `step.rs`.
//!
//! cudarc finds the library at run time and panics where it or a symbol is missing; [`guarded`] turns that into an error.

mod code;
mod context;
mod event;
mod memory;
mod stream;

pub(crate) use code::{Graph, Kernel, Module};
pub(crate) use context::{Context, can_reach};
pub(crate) use event::Event;
pub(crate) use memory::{DeviceMemory, PinnedMemory};
pub(crate) use stream::Stream;

use crate::failure::failure;
use cudarc::driver::{DriverError, result, sys};
use ilsvrc_diagnostics::{DEVICE_UNUSABLE, DRIVER_ABSENT, DRIVER_TOO_OLD, Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The oldest driver interface that runs our machine code, as `cuDriverGetVersion` tells it: CUDA 12.0, driver 525.
pub(crate) const OLDEST_DRIVER: i32 = 12_000;

/// Runs `work`, in which cudarc may panic where the driver lacks a function.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Error::new(DRIVER_TOO_OLD, "the GPU driver lacks a function that we need")
            .info(text)
            .hint("install an NVIDIA driver of version 525 or newer, or use `--devices cpu`"))
    })
}

/// Adds what was tried to a failure of the driver.
pub(crate) trait Explain<T> {
    /// `what` completes the sentence "cannot …".
    fn when(self, what: &str) -> Result<T>;
    /// The same, on a GPU that was opened.
    fn on(self, context: &Context, what: &str) -> Result<T>;
}

impl<T> Explain<T> for std::result::Result<T, DriverError> {
    fn when(self, what: &str) -> Result<T> {
        self.map_err(|error| failure(error, "the GPU", what))
    }

    fn on(self, context: &Context, what: &str) -> Result<T> {
        self.map_err(|error| failure(error, &format!("GPU {}", context.ordinal), what))
    }
}

/// Loads the driver; its version, as 12040 for CUDA 12.4.
///
/// # Errors
/// `DRIVER_ABSENT`, `DRIVER_TOO_OLD`.
pub(crate) fn load() -> Result<i32> {
    // SAFETY: only tries to open the library.
    if !unsafe { sys::is_culib_present() } {
        return Err(Error::new(DRIVER_ABSENT, "there is no NVIDIA driver on this machine")
            .info("libcuda.so.1 was not found")
            .hint("install NVIDIA's driver, version 525 or newer (no CUDA toolkit is needed), or use `--devices cpu`"));
    }
    guarded(|| {
        let version = driver_version()?;
        if version >= OLDEST_DRIVER {
            return Ok(version);
        }
        let text = version_text(version);
        Err(Error::new(DRIVER_TOO_OLD, format!("the GPU driver is too old: it supports CUDA {text}"))
            .info("CUDA 12.0 (driver 525) is the oldest that can run our kernels")
            .hint("update NVIDIA's driver, or use `--devices cpu`"))
    })
}

/// Loads and initialises the driver.
///
/// # Errors
/// As [`load`]; `DEVICE_UNUSABLE` where the driver sees no GPU; whatever else keeps it from starting.
pub(crate) fn start() -> Result<()> {
    load()?;
    guarded(|| match result::init() {
        Err(error) if error.0 == sys::CUresult::CUDA_ERROR_NO_DEVICE => {
            Err(Error::new(DEVICE_UNUSABLE, "the GPU driver sees no GPU")
                .info("there is none, or CUDA_VISIBLE_DEVICES hides it")
                .hint("`nvidia-smi` lists what the driver sees; without a GPU use `--devices cpu`"))
        }
        initialised => initialised.when("start the GPU driver"),
    })
}

fn driver_version() -> Result<i32> {
    let mut version = 0;
    // SAFETY: writes one integer.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().when("ask the driver for its version")?;
    Ok(version)
}

/// `12.4` for 12040.
pub(crate) fn version_text(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}
