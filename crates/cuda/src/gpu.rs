//! A GPU in use: its context and its kernels.

use crate::driver::{Context, Kernel, Module, Stream};
use crate::launch::kernels_of;
use crate::precision::Precision;
use crate::staging::Staging;
use crate::{cubins, devices};
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex};

/// One GPU, opened for one precision.
pub(crate) struct Gpu {
    pub(crate) context: Arc<Context>,
    pub(crate) precision: Precision,
    kernels: HashMap<&'static str, Kernel>,
    /// Where batches arrive; made with the first tower.
    pub(crate) staging: Mutex<Option<Staging>>,
    /// Brings batches.
    pub(crate) copy: Stream,
}

impl Gpu {
    /// Opens GPU `ordinal` and loads its kernels.
    ///
    /// # Errors
    /// `DEVICE_UNUSABLE`, `GPU_TOO_OLD`, `NO_KERNELS`.
    pub(crate) fn open(ordinal: usize, precision: Precision) -> Result<Arc<Self>> {
        let (major, minor) = devices::usable(ordinal)?;
        let context = Context::open(ordinal)?;
        let mut kernels = HashMap::new();
        for image in cubins::images(major, minor)? {
            let names = kernels_of(image.file, precision);
            if names.is_empty() {
                continue;
            }
            let module = Module::load(&context, &image.cubin, image.file)?;
            for (name, shared) in names {
                // Looked up now: a driver that loads kernels late must not do so while a step is recorded.
                kernels.insert(name, Kernel::find(&module, name, shared)?);
            }
        }
        let copy = Stream::new(&context)?;
        Ok(Arc::new(Self { context, precision, kernels, staging: Mutex::new(None), copy }))
    }

    /// Queues kernel `name`.
    pub(crate) fn launch(
        &self,
        stream: &Stream,
        name: &'static str,
        grid: [u32; 3],
        threads: u32,
        shared: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        let kernel = self
            .kernels
            .get(name)
            .ok_or_else(|| Error::new(INTERNAL, format!("there is no kernel {name}")))?;
        // A kernel starts on the thread's own GPU only, whatever the stream's is.
        self.context.bind()?;
        stream
            .launch(kernel, grid, threads, shared, arguments)
            .map_err(|error| Error { message: format!("{} ({name})", error.message), ..error })
    }
}

/// Queues a kernel with the arguments that its source declares, in order: `launch!(gpu, stream, name, grid, threads,
/// shared, a, b, c)`. Each argument must have the type of the kernel's parameter: `u64` for pointers, `i32`, `u32`, `i64`,
/// `f32` or a `repr(C)` struct.
macro_rules! launch {
    ($gpu:expr, $stream:expr, $name:expr, $grid:expr, $threads:expr, $shared:expr, $($argument:expr),+ $(,)?) => {
        $gpu.launch(
            $stream,
            $name,
            $grid,
            $threads,
            $shared,
            &mut [$((&mut { $argument } as *mut _ as *mut ::std::ffi::c_void)),+],
        )
    };
}
pub(crate) use launch;
