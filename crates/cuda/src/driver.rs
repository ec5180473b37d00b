//! What we need of the CUDA driver, with owners: contexts, streams, events, memory, kernels and graphs. Nothing here
//! orders anything by itself: that is done with streams and events, by hand, in `tower.rs`, `exchange.rs` and `step.rs`.
//!
//! cudarc finds the library at run time and panics where it or a symbol is missing; [`guarded`] turns that into an error.

use crate::failure::failure;
use cudarc::driver::{DriverError, result, sys};
use ilsvrc_diagnostics::{DEVICE_UNUSABLE, DRIVER_ABSENT, DRIVER_TOO_OLD, Error, Result};
use std::ffi::{CString, c_void};
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
}

impl<T> Explain<T> for std::result::Result<T, DriverError> {
    fn when(self, what: &str) -> Result<T> {
        self.map_err(|error| failure(error, what))
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

/// The primary context of a GPU.
#[derive(Debug)]
pub(crate) struct Context {
    raw: sys::CUcontext,
    device: sys::CUdevice,
    /// The GPU's number.
    pub(crate) ordinal: usize,
    /// Bytes of its memory that [`DeviceMemory`] holds.
    held: AtomicUsize,
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
        unsafe { result::ctx::set_current(self.raw) }.when("use the GPU")
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
            Err(error) => Err(failure(error, "allow the GPUs to reach each other's memory")),
        }
    }

    /// Bytes that are free or held through this context.
    pub(crate) fn available(&self) -> Result<usize> {
        Ok(self.memory()?.0 + self.held.load(Ordering::Relaxed))
    }

    /// Free and whole memory in bytes.
    pub(crate) fn memory(&self) -> Result<(usize, usize)> {
        self.bind()?;
        result::mem_get_info().when("ask for the free memory")
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

/// A queue of work on a GPU.
#[derive(Debug)]
pub(crate) struct Stream {
    raw: sys::CUstream,
    context: Arc<Context>,
}

// SAFETY: see `Context`.
unsafe impl Send for Stream {}
// SAFETY: see `Context`.
unsafe impl Sync for Stream {}

impl Stream {
    pub(crate) fn new(context: &Arc<Context>) -> Result<Self> {
        context.bind()?;
        let raw = result::stream::create(result::stream::StreamKind::NonBlocking).when("create a stream")?;
        Ok(Self { raw, context: context.clone() })
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// The event happens when all that was queued so far is done.
    pub(crate) fn record(&self, event: &Event) -> Result<()> {
        // SAFETY: both are alive.
        unsafe { result::event::record(event.raw, self.raw) }.when("record an event")
    }

    /// What is queued from now on waits for the event's last record.
    pub(crate) fn wait(&self, event: &Event) -> Result<()> {
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: both are alive.
        unsafe { result::stream::wait_event(self.raw, event.raw, flags) }.when("wait for an event")
    }

    /// Blocks until all that was queued is done.
    pub(crate) fn synchronize(&self) -> Result<()> {
        self.context.bind()?;
        // SAFETY: the stream is alive.
        unsafe { result::stream::synchronize(self.raw) }.when("finish what the GPU was given")
    }

    /// Copies within a GPU.
    pub(crate) fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<()> {
        // SAFETY: callers pass ranges of live device memory; what happens to it is ordered by streams and events.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.raw) }.when("copy on the GPU")
    }

    /// Copies from the memory of another GPU, which this one can reach.
    pub(crate) fn copy_from_peer(&self, to: u64, peer: &Context, from: u64, bytes: usize) -> Result<()> {
        // SAFETY: as for `copy`.
        unsafe { result::memcpy_peer_async(self.context.raw, to, peer.raw, from, bytes, self.raw) }
            .when("copy between GPUs")
    }

    /// Copies from the host to the GPU. Pinned memory must stay as it is until the copy is done; from other memory the
    /// driver takes a copy of its own first.
    pub(crate) fn upload(&self, to: u64, from: &[u8]) -> Result<()> {
        // SAFETY: as for `copy`; the host's side is a live slice that callers keep unchanged.
        unsafe { result::memcpy_htod_async(to, from, self.raw) }.when("copy to the GPU")
    }

    /// Copies to pinned memory, which must not be looked at before the copy is done.
    pub(crate) fn download(&self, to: &mut [u8], from: u64) -> Result<()> {
        // SAFETY: as for `upload`.
        unsafe { result::memcpy_dtoh_async(to, from, self.raw) }.when("copy from the GPU")
    }

    /// Queues a kernel. `arguments` point to values of exactly the kernel's parameter types.
    pub(crate) fn launch(
        &self,
        kernel: &Kernel,
        grid: [u32; 3],
        threads: u32,
        shared: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        let [x, y, z] = grid;
        // SAFETY: the launch tables pass the parameters that the kernel's source declares.
        unsafe { result::launch_kernel(kernel.raw, (x, y, z), (threads, 1, 1), shared, self.raw, arguments) }
            .when("start a kernel")
    }

    /// From now on work is not done but recorded, here and in streams that wait for this one's events.
    pub(crate) fn begin_capture(&self) -> Result<()> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is alive.
        unsafe { result::stream::begin_capture(self.raw, mode) }.when("record a step")
    }

    /// What was recorded, ready to be launched.
    pub(crate) fn end_capture(&self) -> Result<Graph> {
        // SAFETY: the stream is capturing; the graph is destroyed here, its executable form in `drop`.
        unsafe {
            let graph = result::stream::end_capture(self.raw).when("record a step")?;
            let mut raw = MaybeUninit::uninit();
            let made = sys::cuGraphInstantiateWithFlags(raw.as_mut_ptr(), graph, 0).result();
            let destroyed = result::graph::destroy(graph);
            made.and(destroyed).when("prepare a step")?;
            Ok(Graph { raw: raw.assume_init(), context: self.context.clone() })
        }
    }

    /// Queues a whole graph.
    pub(crate) fn launch_graph(&self, graph: &Graph) -> Result<()> {
        // SAFETY: both are alive.
        unsafe { result::graph::launch(graph.raw, self.raw) }.when("start a step")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: not used any more; work under way goes on. A failure has nobody to be told.
            let _ = unsafe { result::stream::destroy(self.raw) };
        }
    }
}

/// A point in the work of a stream that others can wait for.
#[derive(Debug)]
pub(crate) struct Event {
    raw: sys::CUevent,
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
        let raw = result::event::create(flags).when("create an event")?;
        Ok(Self { raw, context: context.clone() })
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Blocks until it has happened.
    pub(crate) fn synchronize(&self) -> Result<()> {
        self.context.bind()?;
        // SAFETY: the event is alive.
        unsafe { result::event::synchronize(self.raw) }.when("finish what the GPU was given")
    }

    /// Seconds between two timed events that have happened.
    pub(crate) fn seconds_since(&self, start: &Self) -> Result<f64> {
        // SAFETY: both are alive.
        let ms = unsafe { result::event::elapsed(start.raw, self.raw) }.when("time a step")?;
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
            .when(&format!("get {taken} bytes of GPU memory for {what}"))?;
        context.held.fetch_add(taken, Ordering::Relaxed);
        let memory = Self { at, bytes, context: context.clone() };
        // SAFETY: the block was just allocated.
        unsafe { result::memset_d8_sync(at, 0, taken) }.when("clear memory of the GPU")?;
        finish_default_stream()?;
        Ok(memory)
    }

    /// Copies from pageable memory, now.
    pub(crate) fn write(&self, offset: usize, data: &[u8]) -> Result<()> {
        assert!(offset + data.len() <= self.bytes, "{} bytes at {offset} of {}", data.len(), self.bytes);
        self.context.bind()?;
        // SAFETY: inside the block, as just asserted; callers have waited for what used it.
        unsafe { result::memcpy_htod_sync(self.at + offset as u64, data) }.when("copy to the GPU")?;
        finish_default_stream()
    }

    /// Copies to pageable memory, now.
    pub(crate) fn read(&self, offset: usize, data: &mut [u8]) -> Result<()> {
        assert!(offset + data.len() <= self.bytes, "{} bytes at {offset} of {}", data.len(), self.bytes);
        self.context.bind()?;
        // SAFETY: inside the block, as just asserted; callers have waited for what writes it.
        unsafe { result::memcpy_dtoh_sync(data, self.at + offset as u64) }.when("copy from the GPU")
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
            .when(&format!("get {bytes} bytes of pinned memory for {what}"))?
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
            .when(&format!("load the kernels of {name}"))?;
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
    raw: sys::CUfunction,
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
    raw: sys::CUgraphExec,
    context: Arc<Context>,
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
