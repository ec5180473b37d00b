//! What passes between the threads. It moves once per batch, so one lock serves all.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ilsvrc_diagnostics::{Error, INTERNAL, Result};

use super::Batch;

/// The compressed images of a batch.
#[derive(Default)]
pub(super) struct Compressed {
    /// JPEGs, and perhaps what lies between them.
    pub(super) bytes: Vec<u8>,
    /// Where each image's JPEG is in `bytes`; empty for those in the cache.
    pub(super) spans: Vec<Range<usize>>,
}

/// A batch to be decoded.
pub(super) struct Job {
    pub(super) number: usize,
    pub(super) compressed: Compressed,
    /// To be filled.
    pub(super) batch: Batch,
}

/// What a stage has done.
#[derive(Clone, Copy, Default)]
pub(super) struct Done {
    pub(super) images: usize,
    pub(super) seconds: f64,
}

impl Done {
    fn add(&mut self, images: usize, seconds: f64) {
        self.images += images;
        self.seconds += seconds;
    }
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    done: BTreeMap<usize, Result<Batch>>,
    /// The batch that the caller takes next.
    next: usize,
    batches: Vec<Batch>,
    compressed: Vec<Compressed>,
    read_all: bool,
    failed: Option<Error>,
    read: Done,
    decoded: Done,
}

pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    stopped: AtomicBool,
    /// Batches between the reader and the caller: one in each decoder's hands, one read ahead, one ready.
    window: usize,
}

/// Tells the caller when its thread panics, who would wait for ever otherwise.
pub(super) struct Guard<'a>(&'a Queue);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().failed = Some(Error::new(INTERNAL, "a thread of the loader panicked"));
            self.0.stop();
        }
    }
}

impl Queue {
    pub(super) fn new(first: usize, threads: usize) -> Self {
        let state = State { next: first, ..State::default() };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            window: threads + 2,
        }
    }

    pub(super) fn guard(&self) -> Guard<'_> {
        Guard(self)
    }

    /// The state stays consistent through a panic: nothing that can panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether threads should end at once.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        // Under the lock, so that no thread misses it between its test and its wait.
        let _state = self.lock();
        self.stopped.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// The first batch to read.
    pub(super) fn first(&self) -> usize {
        self.lock().next
    }

    /// Reader: waits until batch `number` is wanted and returns buffers for it; nothing when stopped.
    pub(super) fn buffers(&self, number: usize) -> Option<(Compressed, Batch)> {
        let mut state = self.lock();
        while !self.is_stopped() && number >= state.next + self.window {
            state = self.wait(state);
        }
        if self.is_stopped() {
            return None;
        }
        Some((state.compressed.pop().unwrap_or_default(), state.batches.pop().unwrap_or_default()))
    }

    /// Reader: passes a batch on.
    pub(super) fn push(&self, job: Job) {
        self.lock().jobs.push_back(job);
        self.changed.notify_all();
    }

    /// Whoever reads: images came from the shards in so much time.
    pub(super) fn count_read(&self, images: usize, seconds: f64) {
        self.lock().read.add(images, seconds);
    }

    /// Reader: there will be no more.
    pub(super) fn end(&self) {
        self.lock().read_all = true;
        self.changed.notify_all();
    }

    /// Decoder: the next batch to decode; nothing when there are no more.
    pub(super) fn pop(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if self.is_stopped() {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.read_all {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// Any thread: batch `number` is ready, or failed.
    pub(super) fn finish(&self, number: usize, result: Result<Batch>) {
        self.lock().done.insert(number, result);
        self.changed.notify_all();
    }

    /// Decoder: returns what the reader filled, and counts its images as decoded in so much time.
    pub(super) fn return_compressed(&self, compressed: Compressed, seconds: f64) {
        let mut state = self.lock();
        state.decoded.add(compressed.spans.len(), seconds);
        state.compressed.push(compressed);
    }

    /// Caller: the next of `count` batches.
    pub(super) fn take(&self, count: usize) -> Result<Option<Batch>> {
        let mut state = self.lock();
        loop {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            let next = state.next;
            if next >= count {
                return Ok(None);
            }
            match state.done.remove(&next) {
                Some(Ok(batch)) => {
                    state.next += 1;
                    self.changed.notify_all();
                    return Ok(Some(batch));
                }
                Some(Err(error)) => state.failed = Some(error),
                None => state = self.wait(state),
            }
        }
    }

    pub(super) fn recycle(&self, batch: Batch) {
        let mut state = self.lock();
        if state.batches.len() < self.window {
            state.batches.push(batch);
        }
    }

    /// What was read, and what was decoded.
    pub(super) fn work_done(&self) -> (Done, Done) {
        let state = self.lock();
        (state.read, state.decoded)
    }
}
