//! What the tests share: the driver built with the tests' kernels, and a GPU with streams and kernels.

use cudarc::driver::{DriverError, result, sys};
use ilsvrc_cuda_mock::{Mock, building, load_from};
use std::ffi::{CString, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub(crate) type Ptr = sys::CUdeviceptr;
pub(crate) type Stream = sys::CUstream;

/// Where the tests build.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

pub(crate) fn options(output: &str) -> building::Options {
    let kernels = building::crate_folder().join("tests/kernels");
    building::Options { kernels, output: folder(output), sanitizers: false }
}

pub(crate) fn mock() -> Mock {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    load_from(BUILT.get_or_init(|| building::build(&options("plain"))).as_ref().expect("the driver compiles"))
}

/// A PTX text that names the kernels: all that the driver reads of a module.
pub(crate) fn ptx(target: &str) -> CString {
    let mut text = format!(".version 8.0\n.target {target}\n.address_size 64\n");
    for name in [
        "fill",
        "add",
        "row_sums",
        "move_one",
        "write_const",
        "undeclared",
        "number_blocks",
        "missing_barrier",
    ] {
        text += &format!(".visible .entry {name}()\n");
    }
    CString::new(text).unwrap()
}

/// The code of an error, 0 for none.
pub(crate) fn code<T>(result: Result<T, DriverError>) -> u32 {
    result.err().map_or(0, |e| e.0 as u32)
}

/// One argument of a launch, by address.
pub(crate) fn arg<T>(value: &T) -> *mut c_void {
    std::ptr::from_ref(value).cast_mut().cast()
}

pub(crate) struct Gpu {
    pub(crate) context: sys::CUcontext,
    pub(crate) streams: Vec<Stream>,
    module: sys::CUmodule,
}

impl Gpu {
    /// The device with `streams` streams, current in this thread.
    pub(crate) fn open(device: i32, streams: usize) -> Result<Gpu, DriverError> {
        result::init()?;
        let device = result::device::get(device)?;
        // SAFETY: the device exists.
        let context = unsafe { result::primary_ctx::retain(device) }?;
        // SAFETY: the context was just retained.
        unsafe { result::ctx::set_current(context) }?;
        let create = || result::stream::create(result::stream::StreamKind::NonBlocking);
        let streams = (0..streams).map(|_| create()).collect::<Result<_, _>>()?;
        // SAFETY: the image ends with zero.
        let module = unsafe { result::module::load_data(ptx("sm_80").as_ptr().cast()) }?;
        Ok(Gpu { context, streams, module })
    }

    pub(crate) fn enter(&self) {
        // SAFETY: the context lives until the driver is reset.
        unsafe { result::ctx::set_current(self.context) }.unwrap();
    }

    pub(crate) fn enable(&self, peer: &Gpu) -> Result<(), DriverError> {
        self.enter();
        // SAFETY: both contexts live.
        unsafe { sys::cuCtxEnablePeerAccess(peer.context, 0) }.result()
    }

    pub(crate) fn allocate(&self, floats: usize) -> Ptr {
        self.try_allocate(4 * floats).unwrap()
    }

    pub(crate) fn try_allocate(&self, bytes: usize) -> Result<Ptr, DriverError> {
        self.enter();
        // SAFETY: a context is current.
        unsafe { result::malloc_sync(bytes) }
    }

    pub(crate) fn free(&self, p: Ptr) -> Result<(), DriverError> {
        self.enter();
        // SAFETY: a wrong pointer is what some tests hand over; the driver checks it.
        unsafe { result::free_sync(p) }
    }

    pub(crate) fn function(&self, name: &str) -> Result<sys::CUfunction, DriverError> {
        // SAFETY: the module is loaded.
        unsafe { result::module::get_function(self.module, CString::new(name).unwrap()) }
    }

    /// Launches blocks of `threads` in stream `stream` of this GPU.
    pub(crate) fn launch(
        &self,
        stream: usize,
        name: &str,
        (blocks, threads): (u32, u32),
        arguments: &mut [*mut c_void],
    ) -> Result<(), DriverError> {
        self.enter();
        let function = self.function(name)?;
        let stream = self.streams[stream];
        // SAFETY: the arguments are those of the kernel; addresses may be wrong on purpose, the driver checks them.
        unsafe { result::launch_kernel(function, (blocks, 1, 1), (threads, 1, 1), 0, stream, arguments) }
    }

    pub(crate) fn fill(&self, stream: usize, y: Ptr, count: i32, v: f32) -> Result<(), DriverError> {
        self.launch(stream, "fill", (1, 64), &mut [arg(&y), arg(&count), arg(&v)])
    }

    pub(crate) fn add(&self, stream: usize, x: Ptr, y: Ptr, count: i32) -> Result<(), DriverError> {
        self.launch(stream, "add", (1, 64), &mut [arg(&x), arg(&y), arg(&count)])
    }

    pub(crate) fn move_one(&self, x: Ptr, y: Ptr, count: i32, at: i64, to: i64) -> Result<(), DriverError> {
        self.launch(0, "move_one", (1, 1), &mut [arg(&x), arg(&y), arg(&count), arg(&at), arg(&to)])
    }

    pub(crate) fn event(&self) -> sys::CUevent {
        self.enter();
        result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING).unwrap()
    }

    /// Stream `waits` goes on only after what is in `stream` now.
    pub(crate) fn order(&self, stream: usize, waits: (&Gpu, usize)) {
        let event = self.event();
        // SAFETY: event and streams live; the event belongs to this context.
        unsafe { result::event::record(event, self.streams[stream]) }.unwrap();
        waits.0.enter();
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: as above.
        unsafe { result::stream::wait_event(waits.0.streams[waits.1], event, flags) }.unwrap();
    }

    pub(crate) fn copy_from(
        &self,
        stream: usize,
        to: Ptr,
        peer: &Gpu,
        from: Ptr,
        bytes: usize,
    ) -> Result<(), DriverError> {
        self.enter();
        // SAFETY: wrong addresses are the driver's to refuse.
        unsafe { sys::cuMemcpyPeerAsync(to, self.context, from, peer.context, bytes, self.streams[stream]) }
            .result()
    }

    pub(crate) fn wait(&self, stream: usize) -> Result<(), DriverError> {
        self.enter();
        // SAFETY: the stream lives.
        unsafe { result::stream::synchronize(self.streams[stream]) }
    }

    /// What lies at `p`, after all work of `stream`.
    pub(crate) fn read(&self, stream: usize, p: Ptr, floats: usize) -> Vec<f32> {
        self.wait(stream).unwrap();
        let mut out = vec![0.0; floats];
        // SAFETY: the driver writes as many bytes as the slice has.
        unsafe { result::memcpy_dtoh_sync(&mut out, p) }.unwrap();
        out
    }

    pub(crate) fn write(&self, p: Ptr, values: &[f32]) {
        self.enter();
        // SAFETY: the driver reads the slice before it returns.
        unsafe { result::memcpy_htod_sync(p, values) }.unwrap();
    }
}
