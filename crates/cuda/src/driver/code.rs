//! Machine code, its kernels, and recorded work.

use super::{Context, Explain};
use cudarc::driver::{result, sys};
use ilsvrc_diagnostics::Result;
use std::ffi::CString;
use std::sync::Arc;

/// Machine code on a GPU.
#[derive(Debug)]
pub(crate) struct Module {
    raw: sys::CUmodule,
    context: Arc<Context>,
}

// SAFETY: see `Context`.
unsafe impl Send for Module {}
// SAFETY: see `Context`.
unsafe impl Sync for Module {}

impl Module {
    pub(crate) fn load(context: &Arc<Context>, cubin: &[u8], name: &str) -> Result<Arc<Self>> {
        context.bind()?;
        // SAFETY: a cubin that NVRTC made; the driver checks it.
        let raw = unsafe { result::module::load_data(cubin.as_ptr().cast()) }
            .on(context, &format!("load the kernels of {name}"))?;
        Ok(Arc::new(Self { raw, context: context.clone() }))
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: its kernels are gone. A failure has nobody to be told.
            let _ = unsafe { result::module::unload(self.raw) };
        }
    }
}

/// A kernel of a module.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(super) raw: sys::CUfunction,
    _module: Arc<Module>,
}

// SAFETY: see `Context`.
unsafe impl Send for Kernel {}
// SAFETY: see `Context`.
unsafe impl Sync for Kernel {}

impl Kernel {
    /// The kernel `name`, which may use `shared` bytes of dynamic shared memory.
    pub(crate) fn find(module: &Arc<Module>, name: &str, shared: u32) -> Result<Self> {
        module.context.bind()?;
        let symbol = CString::new(name).expect("names of kernels are identifiers");
        // SAFETY: the module is alive; the attribute is one that kernels have.
        let raw = unsafe {
            let raw =
                result::module::get_function(module.raw, symbol).when(&format!("find kernel {name}"))?;
            let limit = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            result::function::set_function_attribute(raw, limit, shared as i32)
                .when(&format!("give kernel {name} {shared} bytes of shared memory"))?;
            raw
        };
        Ok(Self { raw, _module: module.clone() })
    }
}

/// A recorded sequence of work, launched as one.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(super) raw: sys::CUgraphExec,
    pub(super) context: Arc<Context>,
}

// SAFETY: see `Context`.
unsafe impl Send for Graph {}
// SAFETY: see `Context`.
unsafe impl Sync for Graph {}

impl Drop for Graph {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: destroyed once. A failure has nobody to be told.
            let _ = unsafe { result::graph::exec_destroy(self.raw) };
        }
    }
}
