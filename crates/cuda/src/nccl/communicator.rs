//! One GPU's end of the sums over ranks, on a stream of its own.

use super::library::{Handle, Nccl, SUM, Status, Type, UniqueId};
use crate::driver::{Context, Event, Stream};
use ilsvrc_diagnostics::{Error, INTERNAL, NCCL_FAILED, RANK_LOST, Result};
use std::ffi::c_int;
use std::ptr;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// How long a sum or a meeting may wait for the other ranks. Nothing but NCCL tells a slow rank from a lost one where neither MPI nor
/// torchrun's store does, and a rank that writes a checkpoint lets the others wait.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at a sum under way.
const NAP: Duration = Duration::from_micros(50);
/// Between two questions whether everyone is there.
const GLANCE: Duration = Duration::from_millis(20);

/// The end of GPU `context.ordinal`.
#[derive(Debug)]
pub(crate) struct Communicator {
    nccl: Arc<Nccl>,
    handle: Raw,
    pub(crate) context: Arc<Context>,
    pub(crate) stream: Stream,
    /// Why its sums were ended by force. Nothing comes after that, and NCCL knows the handle no more.
    aborted: OnceLock<Error>,
}

/// A handle that goes from thread to thread.
#[derive(Clone, Copy, Debug)]
struct Raw(Handle);
// SAFETY: NCCL's handles may be used by any thread, one at a time but for aborting.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

/// Values in a GPU's memory: address and number.
pub(crate) type Values = (u64, usize);

impl Communicator {
    /// Meets the other ends of `id`; returns when all are there. `expect_alive` fails where a rank is known to be lost.
    pub(super) fn join(
        nccl: &Arc<Nccl>,
        context: &Arc<Context>,
        id: UniqueId,
        (rank, size): (usize, usize),
        expect_alive: &dyn Fn() -> Result<()>,
    ) -> Result<Arc<Self>> {
        let stream = Stream::new(context)?;
        let (tell, told) = channel();
        let (library, gpu) = (nccl.clone(), context.clone());
        // NCCL waits for the others in the call. A thread that waits in vain ends with the process.
        let work = move || {
            let mut handle = Raw(ptr::null_mut());
            let joined = gpu.bind().and_then(|()| {
                // SAFETY: the GPU is the thread's own; writes the handle.
                let status =
                    unsafe { (library.functions.join)(&mut handle.0, size as c_int, id, rank as c_int) };
                library.check(
                    status,
                    &format!("bring GPU {} together with those of the other ranks", gpu.ordinal),
                )
            });
            let _ = tell.send(joined.map(|()| handle));
        };
        thread::Builder::new()
            .name("nccl".into())
            .spawn(work)
            .map_err(|error| Error::new(INTERNAL, format!("cannot start a thread: {error}")))?;
        let begin = Instant::now();
        let handle = loop {
            match told.recv_timeout(GLANCE) {
                Ok(joined) => break joined?,
                Err(RecvTimeoutError::Timeout) => expect_others(expect_alive, begin)?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(NCCL_FAILED, "NCCL panicked while ranks met"));
                }
            }
        };
        let aborted = OnceLock::new();
        Ok(Arc::new(Self { nccl: nccl.clone(), handle, context: context.clone(), stream, aborted }))
    }

    /// Queues the sum over all ranks of `share` times each of these f32 tensors, in place.
    pub(super) fn sum_scaled(&self, tensors: &[Values], share: f32) -> Result<()> {
        self.expect_whole()?;
        self.context.bind()?;
        let operation = self.nccl.scaled_sum(share, self.handle.0)?;
        // One launch for all of them.
        let sums = self
            .group(|| tensors.iter().try_for_each(|values| self.all_reduce(*values, Type::F32, operation)));
        // SAFETY: the operation was just made, and all calls that take it have returned.
        let destroyed = unsafe { (self.nccl.functions.destroy_sum)(operation, self.handle.0) };
        sums?;
        self.check(destroyed)
    }

    /// Queues the sum over all ranks, in place.
    pub(super) fn sum(&self, values: Values, kind: Type) -> Result<()> {
        self.expect_whole()?;
        self.context.bind()?;
        self.all_reduce(values, kind, SUM)
    }

    fn group(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        // SAFETY: takes nothing.
        self.check(unsafe { (self.nccl.functions.group_start)() })?;
        let done = work();
        // SAFETY: closes what was just opened.
        let ended = self.check(unsafe { (self.nccl.functions.group_end)() });
        done.and(ended)
    }

    fn all_reduce(&self, (at, elements): Values, kind: Type, operation: c_int) -> Result<()> {
        let (handle, stream) = (self.handle.0, self.stream.raw());
        // SAFETY: callers pass live memory of this GPU; what happens to it is ordered by streams and events.
        self.check(unsafe {
            (self.nccl.functions.all_reduce)(at, at, elements, kind as c_int, operation, handle, stream)
        })
    }

    fn check(&self, status: Status) -> Result<()> {
        self.nccl.check(status, "sum over the ranks")
    }

    /// Waits until `done`, an event of this stream behind sums, has happened. Where a rank is lost, the sums under way are ended.
    pub(super) fn wait(&self, done: &Event, expect_alive: &dyn Fn() -> Result<()>) -> Result<()> {
        let begin = Instant::now();
        let mut glanced = begin;
        while !done.has_happened()? {
            if glanced.elapsed() >= GLANCE {
                glanced = Instant::now();
                if let Err(error) = self.expect_no_error().and_then(|()| expect_others(expect_alive, begin)) {
                    self.abort(&error);
                    return Err(error);
                }
            }
            thread::sleep(NAP);
        }
        Ok(())
    }

    /// Fails with the first reason where sums were ended by force.
    pub(super) fn expect_whole(&self) -> Result<()> {
        self.aborted.get().cloned().map_or(Ok(()), Err)
    }

    fn expect_no_error(&self) -> Result<()> {
        self.expect_whole()?;
        let mut status = 0;
        // SAFETY: writes one integer.
        self.check(unsafe { (self.nccl.functions.async_error)(self.handle.0, &mut status) })?;
        self.check(status)
    }

    /// Ends the sums under way, so that the GPU can be waited for. The values are void after that.
    pub(super) fn abort(&self, reason: &Error) {
        if self.aborted.set(reason.clone()).is_err() {
            return;
        }
        let (abort, handle) = (self.nccl.functions.abort, self.handle);
        // It may wait for ranks that are lost. The process ends soon, with or without it.
        let _ = thread::Builder::new().name("nccl-abort".into()).spawn(move || {
            let Raw(handle) = { handle };
            // SAFETY: `aborted` lets nobody use the handle any more.
            unsafe { abort(handle) }
        });
    }
}

impl Drop for Communicator {
    fn drop(&mut self) {
        if self.aborted.get().is_none() && self.context.bind().is_ok() {
            // SAFETY: nobody uses the handle any more. A failure has nobody to be told.
            unsafe { (self.nccl.functions.destroy)(self.handle.0) };
        }
    }
}

/// Fails where the other ranks are known to be lost, or have been waited for too long.
fn expect_others(expect_alive: &dyn Fn() -> Result<()>, begin: Instant) -> Result<()> {
    expect_alive()?;
    let seconds = PATIENCE.as_secs();
    if begin.elapsed() < PATIENCE {
        return Ok(());
    }
    Err(Error::new(RANK_LOST, format!("another rank has not answered for {seconds} s"))
        .info("it is frozen, or its host or the link to it is down; the others cannot go on without it")
        .hint("mend that, then start the same command with --resume: any number of ranks goes on from the last checkpoint"))
}
