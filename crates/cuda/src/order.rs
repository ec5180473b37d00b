//! What a tower's compute stream must wait for: work of exchange streams on the tower's memory. A wait is put before the
//! first op that needs it and not earlier, so whatever does not depend on an exchange overlaps it.

use crate::driver::{Context, Event, Stream};
use ilsvrc_diagnostics::Result;
use std::ops::Range;
use std::sync::Arc;

/// Work under way in another stream, on a range of addresses.
#[derive(Debug)]
struct Pending {
    range: Range<u64>,
    writes: bool,
    done: Arc<Event>,
}

/// The work under way on one tower's memory, and events to be used again.
#[derive(Debug, Default)]
pub(crate) struct Order {
    pending: Vec<Pending>,
    free: Vec<Arc<Event>>,
}

impl Order {
    /// Makes `stream` wait for what conflicts with an access to `range`.
    pub(crate) fn access(&mut self, stream: &Stream, range: &Range<u64>, writes: bool) -> Result<()> {
        self.wait_for(stream, |pending| {
            (writes || pending.writes) && pending.range.start < range.end && range.start < pending.range.end
        })
    }

    /// Makes `stream` wait for everything.
    pub(crate) fn all(&mut self, stream: &Stream) -> Result<()> {
        self.wait_for(stream, |_| true)
    }

    fn wait_for(&mut self, stream: &Stream, needed: impl Fn(&Pending) -> bool) -> Result<()> {
        let (found, rest) = std::mem::take(&mut self.pending).into_iter().partition(needed);
        self.pending = rest;
        for pending in found {
            stream.wait(&pending.done)?;
            // Others may hold it for ranges of their own; and an event is recorded on its own GPU only.
            if Arc::strong_count(&pending.done) == 1 && Arc::ptr_eq(pending.done.context(), stream.context())
            {
                self.free.push(pending.done);
            }
        }
        Ok(())
    }

    /// Notes that work before `done` uses `range`.
    pub(crate) fn add(&mut self, range: Range<u64>, writes: bool, done: &Arc<Event>) {
        self.pending.push(Pending { range, writes, done: done.clone() });
    }

    /// Takes back an event of [`Order::event`] for which all waits have been queued: a later record does not touch them.
    pub(crate) fn take_back(&mut self, event: Arc<Event>) {
        self.free.push(event);
    }

    /// Forgets everything: all streams have been waited for.
    pub(crate) fn clear(&mut self) {
        self.pending.clear();
    }

    /// An event that nothing waits for.
    pub(crate) fn event(&mut self, context: &Arc<Context>) -> Result<Arc<Event>> {
        self.free.pop().map_or_else(|| Ok(Arc::new(Event::new(context)?)), Ok)
    }
}
