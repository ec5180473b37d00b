//! The work: threads in teams convert photos, a team one shard after another, and put them into the shard in their order
//! as soon as that is possible. So all threads work to the end of a small data set, and a shard is never held in memory.
//! Flushing to the disk is the business of one more thread.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};

use ilsvrc_diagnostics::{Error, INTERRUPTED, Result};

use super::convert::{Converter, Stored};
use super::lock;
use super::plan::{PrepPlan, ShardPlan};
use super::shard::ShardWriter;
use super::statistics::PixelSums;
use crate::dataset::Shard;

/// Threads that share a shard: more would wait for each other when they add to it.
const TEAM: usize = 8;
/// Images that may be ready before their turn, behind one that takes long.
const AHEAD: usize = 512;

/// What all threads share.
struct Work<'a> {
    plan: &'a PrepPlan,
    shards: &'a [ShardPlan],
    /// The shards to make.
    missing: &'a [usize],
    /// The next of `missing`.
    next: AtomicUsize,
    /// Set on the first failure, and when the caller cancels.
    stop: AtomicBool,
    cancel: &'a AtomicBool,
    failed: Mutex<Option<Error>>,
    /// Called after each image.
    seen: &'a (dyn Fn(bool) + Sync),
}

/// Makes the shards `missing`, calling `seen(kept)` after each image, and returns their records in that order.
pub(super) fn make(
    plan: &PrepPlan,
    shards: &[ShardPlan],
    missing: &[usize],
    cancel: &AtomicBool,
    seen: &(dyn Fn(bool) + Sync),
) -> Result<Vec<Shard>> {
    let work = Work {
        plan,
        shards,
        missing,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(cancel.load(Ordering::Relaxed)),
        cancel,
        failed: Mutex::new(None),
        seen,
    };
    let images: usize = missing.iter().map(|&i| shards[i].items.len()).sum();
    let workers = plan.workers.min(images);
    let teams = workers.div_ceil(TEAM);
    let (finished, commits) = sync_channel(2 * teams + 1);
    let records = std::thread::scope(|scope| {
        for number in 0..teams {
            let team = Arc::new(Team::new(finished.clone()));
            for _ in (number..workers).step_by(teams) {
                let (team, work) = (team.clone(), &work);
                scope.spawn(move || team.run(work));
            }
        }
        drop(finished);
        scope.spawn(|| commit_all(&work, commits)).join().unwrap_or_default()
    });
    if let Some(error) = lock(&work.failed).take() {
        return Err(error);
    }
    missing.iter().map(|i| records.get(i).cloned().ok_or_else(stopped)).collect()
}

fn stopped() -> Error {
    Error::new(INTERRUPTED, "prep was stopped")
        .hint("run the same command again: it goes on where it stopped")
}

impl Work<'_> {
    fn fail(&self, error: Error) {
        // Kept before the others stop, which is an error of its own.
        lock(&self.failed).get_or_insert(error);
        self.stop.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.cancel.load(Ordering::Relaxed)
    }
}

/// A shard with all its images, not yet flushed.
struct Finished {
    shard: usize,
    writer: ShardWriter,
    sums: Option<Arc<Mutex<PixelSums>>>,
}

/// Flushes shards to the disk, which takes as long as the disk does: the others go on meanwhile.
fn commit_all(work: &Work, commits: Receiver<Finished>) -> BTreeMap<usize, Shard> {
    let mut records = BTreeMap::new();
    for Finished { shard, writer, sums } in commits {
        // What is complete is kept even when another shard failed.
        let sums = sums.map(|sums| lock(&sums).clone().into_sums());
        match writer.commit(sums.as_deref()) {
            Ok(record) => drop(records.insert(shard, record)),
            Err(error) => work.fail(error),
        }
    }
    records
}

/// A shard that a team is at.
struct Open {
    shard: usize,
    writer: ShardWriter,
    sums: Option<Arc<Mutex<PixelSums>>>,
    /// Images handed out.
    given: usize,
    /// Images in the shard, or left out of it.
    written: usize,
    /// Those that are ready before their turn.
    ready: BTreeMap<usize, std::result::Result<Stored, String>>,
}

#[derive(Default)]
struct State {
    open: VecDeque<Open>,
    ready: usize,
    /// Buffers of JPEGs that are written.
    buffers: Vec<Vec<u8>>,
}

struct Team {
    state: Mutex<State>,
    changed: Condvar,
    finished: SyncSender<Finished>,
}

/// An image to convert.
struct Task {
    shard: usize,
    place: usize,
    buffer: Vec<u8>,
    sums: Option<Arc<Mutex<PixelSums>>>,
}

/// Wakes the others when its thread ends, also by a panic: they would wait for its image for ever.
struct Guard<'a> {
    team: &'a Team,
    work: &'a Work<'a>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.work.stop.store(true, Ordering::Relaxed);
        }
        // Under the lock, so that none misses it between its test and its wait.
        let _state = lock(&self.team.state);
        self.team.changed.notify_all();
    }
}

impl Team {
    fn new(finished: SyncSender<Finished>) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), finished }
    }

    /// One thread's work.
    fn run(&self, work: &Work) {
        let _guard = Guard { team: self, work };
        let mut converter = Converter::new(work.plan);
        let result = loop {
            match self.next(work) {
                Ok(Some(task)) => {
                    if let Err(error) = self.convert(work, &mut converter, task) {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = result {
            work.fail(error);
        }
    }

    /// The next image; nothing when there is none left or the work was stopped.
    fn next(&self, work: &Work) -> Result<Option<Task>> {
        let mut state = lock(&self.state);
        while state.ready >= AHEAD && !work.is_stopped() {
            state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        if work.is_stopped() {
            return Ok(None);
        }
        let is_given = |open: &Open| open.given == work.shards[open.shard].items.len();
        if state.open.back().is_none_or(is_given) {
            let Some(&shard) = work.missing.get(work.next.fetch_add(1, Ordering::Relaxed)) else {
                return Ok(None);
            };
            let (plan, at) = (work.plan, &work.shards[shard]);
            let with_sums = at.split == plan.statistics_split();
            let sums = with_sums.then(|| Arc::new(Mutex::new(PixelSums::new(plan.about.settings.size))));
            let writer = ShardWriter::create(plan, at, with_sums)?;
            state.open.push_back(Open { shard, writer, sums, given: 0, written: 0, ready: BTreeMap::new() });
        }
        let buffer = state.buffers.pop().unwrap_or_default();
        let open = state.open.back_mut().map(|open| {
            open.given += 1;
            Task { shard: open.shard, place: open.given - 1, buffer, sums: open.sums.clone() }
        });
        Ok(open)
    }

    fn convert(&self, work: &Work, converter: &mut Converter, task: Task) -> Result<()> {
        let Task { shard, place, buffer, sums } = task;
        let at = &work.shards[shard];
        let items = &work.plan.splits[at.split].items;
        let stored = converter.convert(&items[at.items[place] as usize], buffer, sums.as_deref())?;
        drop(sums);
        let kept = stored.is_ok();
        let finished = self.put(work, shard, place, stored)?;
        (work.seen)(kept);
        if let Some(finished) = finished {
            // Fails when the other end is gone, which happens after a panic there: it is reported by `make`.
            let _ = self.finished.send(finished);
        }
        Ok(())
    }

    /// Adds what has its turn now; a shard that is full.
    fn put(
        &self,
        work: &Work,
        shard: usize,
        place: usize,
        stored: std::result::Result<Stored, String>,
    ) -> Result<Option<Finished>> {
        let mut state = lock(&self.state);
        let State { open, ready, buffers, .. } = &mut *state;
        let Some(at) = open.iter().position(|open| open.shard == shard) else { return Ok(None) };
        let (plan, current) = (&work.shards[shard], &mut open[at]);
        current.ready.insert(place, stored);
        *ready += 1;
        while let Some(stored) = current.ready.remove(&current.written) {
            let item = &work.plan.splits[plan.split].items[plan.items[current.written] as usize];
            match stored {
                Ok(stored) => {
                    current.writer.add(current.written, item, &stored)?;
                    buffers.push(stored.jpeg);
                }
                Err(reason) => current.writer.reject(item, reason),
            }
            current.written += 1;
            *ready -= 1;
        }
        self.changed.notify_all();
        if current.written < plan.items.len() {
            return Ok(None);
        }
        Ok(open.remove(at).map(|Open { shard, writer, sums, .. }| Finished { shard, writer, sums }))
    }
}
