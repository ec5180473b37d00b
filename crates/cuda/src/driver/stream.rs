//! Queues of work.

use super::{Context, Event, Explain, Graph, Kernel};
use cudarc::driver::{result, sys};
use ilsvrc_diagnostics::Result;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::Arc;

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
        let raw =
            result::stream::create(result::stream::StreamKind::NonBlocking).on(context, "create a stream")?;
        Ok(Self { raw, context: context.clone() })
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// As other libraries take it.
    pub(crate) fn raw(&self) -> *mut c_void {
        self.raw.cast()
    }

    /// The event happens when all that was queued so far is done.
    pub(crate) fn record(&self, event: &Event) -> Result<()> {
        // SAFETY: both are alive.
        unsafe { result::event::record(event.raw, self.raw) }.on(&self.context, "record an event")
    }

    /// What is queued from now on waits for the event's last record.
    pub(crate) fn wait(&self, event: &Event) -> Result<()> {
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: both are alive.
        unsafe { result::stream::wait_event(self.raw, event.raw, flags) }
            .on(&self.context, "wait for an event")
    }

    /// Blocks until all that was queued is done.
    pub(crate) fn synchronize(&self) -> Result<()> {
        self.context.bind()?;
        // SAFETY: the stream is alive.
        unsafe { result::stream::synchronize(self.raw) }.on(&self.context, "finish what the GPU was given")
    }

    /// Copies within a GPU.
    pub(crate) fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<()> {
        // SAFETY: callers pass ranges of live device memory; what happens to it is ordered by streams and events.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.raw) }.on(&self.context, "copy on the GPU")
    }

    /// Sets bytes to zero.
    pub(crate) fn clear(&self, at: u64, bytes: usize) -> Result<()> {
        // SAFETY: as for `copy`.
        unsafe { result::memset_d8_async(at, 0, bytes, self.raw) }
            .on(&self.context, "clear memory of the GPU")
    }

    /// Copies from the memory of another GPU, which this one can reach.
    pub(crate) fn copy_from_peer(&self, to: u64, peer: &Context, from: u64, bytes: usize) -> Result<()> {
        // SAFETY: as for `copy`.
        unsafe { result::memcpy_peer_async(self.context.raw, to, peer.raw, from, bytes, self.raw) }
            .on(&self.context, "copy between GPUs")
    }

    /// Copies from the host to the GPU. Pinned memory must stay as it is until the copy is done; from other memory the
    /// driver takes a copy of its own first.
    pub(crate) fn upload(&self, to: u64, from: &[u8]) -> Result<()> {
        // SAFETY: as for `copy`; the host's side is a live slice that callers keep unchanged.
        unsafe { result::memcpy_htod_async(to, from, self.raw) }.on(&self.context, "copy to the GPU")
    }

    /// Copies to pinned memory, which must not be looked at before the copy is done.
    pub(crate) fn download(&self, to: &mut [u8], from: u64) -> Result<()> {
        // SAFETY: as for `upload`.
        unsafe { result::memcpy_dtoh_async(to, from, self.raw) }.on(&self.context, "copy from the GPU")
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
            .on(&self.context, "start a kernel")
    }

    /// From now on work is not done but recorded, here and in streams that wait for this one's events.
    pub(crate) fn begin_capture(&self) -> Result<()> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is alive.
        unsafe { result::stream::begin_capture(self.raw, mode) }.on(&self.context, "record a step")
    }

    /// What was recorded, ready to be launched.
    pub(crate) fn end_capture(&self) -> Result<Graph> {
        // SAFETY: the stream is capturing; the graph is destroyed here, its executable form in `drop`.
        unsafe {
            let graph = result::stream::end_capture(self.raw).on(&self.context, "record a step")?;
            let mut raw = MaybeUninit::uninit();
            let made = sys::cuGraphInstantiateWithFlags(raw.as_mut_ptr(), graph, 0).result();
            let destroyed = result::graph::destroy(graph);
            made.and(destroyed).on(&self.context, "prepare a step")?;
            Ok(Graph { raw: raw.assume_init(), context: self.context.clone() })
        }
    }

    /// Queues a whole graph.
    pub(crate) fn launch_graph(&self, graph: &Graph) -> Result<()> {
        // SAFETY: both are alive.
        unsafe { result::graph::launch(graph.raw, self.raw) }.on(&self.context, "start a step")
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
