//! Replicas in threads of one process.

use ilsvrc_diagnostics::{Error, INTERNAL, RANK_LOST, Result};
use ilsvrc_network::{Collective, Traffic};
use std::num::NonZero;
use std::ops::Add;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// One thread's end of the sums.
pub struct ThreadRank {
    rank: usize,
    size: usize,
    meeting: Arc<Meeting>,
    traffic: Mutex<Traffic>,
}

/// Where the ranks meet: every one leaves its values, the last one adds them up where they are, every one takes its own back.
struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    given: Vec<Option<Values>>,
    /// How many ranks have yet to take the sums; none while values are being left.
    to_take: usize,
    /// Why nothing will be summed any more.
    broken: Option<Error>,
}

enum Values {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

/// From so many values on, a sum is shared out to threads.
const MANY: usize = 1 << 16;
/// Values of all ranks that are added at a time: they stay in a core's cache until the sums have been written over them.
const BLOCK: usize = 1 << 11;

/// The ends of `size` ranks, each for a thread of its own. When one leaves, the others' sums fail.
pub fn threads(size: usize) -> Vec<Arc<ThreadRank>> {
    let state = State { given: (0..size).map(|_| None).collect(), to_take: 0, broken: None };
    let meeting = Arc::new(Meeting { state: Mutex::new(state), changed: Condvar::new() });
    let end = |rank| ThreadRank { rank, size, meeting: meeting.clone(), traffic: Mutex::default() };
    (0..size).map(|rank| Arc::new(end(rank))).collect()
}

impl ThreadRank {
    /// Ends all sums, those that others wait in too: they fail with `RANK_LOST`. So does dropping an end.
    pub fn leave(&self) {
        let mut state = self.state();
        let gone = || Error::new(RANK_LOST, "another replica of this process has stopped");
        state.broken.get_or_insert_with(gone);
        self.meeting.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.meeting.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done` finds something.
    fn wait<T>(&self, mut done: impl FnMut(&mut State) -> Option<T>) -> Result<T> {
        let mut state = self.state();
        loop {
            if let Some(found) = done(&mut state) {
                self.meeting.changed.notify_all();
                return Ok(found);
            }
            if let Some(error) = &state.broken {
                return Err(error.clone());
            }
            state = self.meeting.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn meet(&self, values: Values, bytes: usize) -> Result<Values> {
        let begin = Instant::now();
        let mut values = Some(values);
        // Those who have not yet taken the last sums come first; and what was left before a break is of no sum to come.
        self.wait(|state| {
            if state.to_take > 0 || state.broken.is_some() {
                return None;
            }
            state.given[self.rank] = values.take();
            if state.given.iter().all(Option::is_some) {
                // All others wait for this, so they may as well wait for the lock.
                match add_up(&mut state.given) {
                    Ok(()) => state.to_take = self.size,
                    Err(error) => state.broken = Some(error),
                }
            }
            Some(())
        })?;
        let sums = self.wait(|state| {
            if state.to_take == 0 {
                return None;
            }
            let sums = state.given[self.rank].take()?;
            state.to_take -= 1;
            Some(sums)
        })?;
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        traffic.calls += 1;
        traffic.bytes += bytes as u64;
        traffic.seconds += begin.elapsed().as_secs_f64();
        Ok(sums)
    }
}

/// Writes the sums of all values over each of them.
fn add_up(given: &mut [Option<Values>]) -> Result<()> {
    let (mut single, mut double) = (Vec::new(), Vec::new());
    for values in given.iter_mut().flatten() {
        match values {
            Values::Single(values) => single.push(&mut values[..]),
            Values::Double(values) => double.push(&mut values[..]),
        }
    }
    match (single.is_empty(), double.is_empty()) {
        (false, true) => add_alike(single),
        (true, false) => add_alike(double),
        _ => Err(out_of_step()),
    }
}

fn add_alike<T: Copy + Add<Output = T> + Send>(all: Vec<&mut [T]>) -> Result<()> {
    let len = all[0].len();
    if all.iter().any(|values| values.len() != len) {
        return Err(out_of_step());
    }
    if len < MANY {
        add(all);
        return Ok(());
    }
    // The ranks wait for the sums, so there are as many cores for them.
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(all.len());
    let mut parts: Vec<Vec<&mut [T]>> = (0..threads).map(|_| Vec::new()).collect();
    for values in all {
        for (part, values) in parts.iter_mut().zip(values.chunks_mut(len.div_ceil(threads))) {
            part.push(values);
        }
    }
    thread::scope(|scope| {
        for part in parts {
            scope.spawn(|| add(part));
        }
    });
    Ok(())
}

/// In the order of ranks, whatever threads there are.
fn add<T: Copy + Add<Output = T>>(mut all: Vec<&mut [T]>) {
    let Some((first, others)) = all.split_first_mut() else { return };
    for (block, sums) in first.chunks_mut(BLOCK).enumerate() {
        let own = block * BLOCK..block * BLOCK + sums.len();
        for other in others.iter() {
            for (sum, value) in sums.iter_mut().zip(&other[own.clone()]) {
                *sum = *sum + *value;
            }
        }
        for other in others.iter_mut() {
            other[own.clone()].copy_from_slice(sums);
        }
    }
}

impl Collective for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        let bytes = size_of_val(&values[..]);
        match self.meet(Values::Single(values), bytes)? {
            Values::Single(sums) => Ok(sums),
            Values::Double(_) => Err(out_of_step()),
        }
    }

    fn sum_exact(&self, values: Vec<f64>) -> Result<Vec<f64>> {
        let bytes = size_of_val(&values[..]);
        match self.meet(Values::Double(values), bytes)? {
            Values::Double(sums) => Ok(sums),
            Values::Single(_) => Err(out_of_step()),
        }
    }

    fn expect_alive(&self) -> Result<()> {
        self.state().broken.clone().map_or(Ok(()), Err)
    }

    fn traffic(&self) -> Traffic {
        *self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn out_of_step() -> Error {
    Error::new(INTERNAL, "replicas sum different things")
}

impl Drop for ThreadRank {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each of `size` ranks makes of `work`.
    fn each<T: Send>(size: usize, work: impl Fn(&ThreadRank) -> T + Sync) -> Vec<T> {
        thread::scope(|scope| {
            let work = &work;
            let start = |end: Arc<ThreadRank>| scope.spawn(move || work(&end));
            let ranks: Vec<_> = threads(size).into_iter().map(start).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    #[test]
    fn all_get_the_sum_again_and_again() {
        let sums = each(3, |end| {
            (0..50u16)
                .map(|round| {
                    let own = f32::from(round) * 10.0 + end.rank() as f32;
                    let sums = end.sum(vec![own, 1.0]).unwrap();
                    assert_eq!(end.sum_exact(vec![0.5]).unwrap(), [1.5]);
                    assert!(end.sum(Vec::new()).unwrap().is_empty());
                    sums
                })
                .collect::<Vec<_>>()
        });
        for rank in sums {
            for (round, sum) in (0..50u16).zip(rank) {
                assert_eq!(sum, [f32::from(round) * 30.0 + 3.0, 3.0]);
            }
        }
    }

    /// Of sizes that threads and blocks do not divide, to the bits of adding one rank after the other.
    #[test]
    fn many_values_are_added_in_the_order_of_ranks() {
        let value = |rank: usize, index: usize| ((index * 7919 + rank * 104_729) % 1009) as f32 * 0.1;
        for len in [BLOCK + 1, MANY + 3] {
            let sums =
                each(3, |end| end.sum((0..len).map(|index| value(end.rank(), index)).collect()).unwrap());
            let expected: Vec<f32> =
                (0..len).map(|index| value(0, index) + value(1, index) + value(2, index)).collect();
            assert!(sums.iter().all(|sums| *sums == expected));
        }
    }

    #[test]
    fn values_stay_in_the_memory_that_brought_them() {
        each(2, |end| {
            let values = vec![1.0; MANY];
            let at = values.as_ptr();
            let sums = end.sum(values).unwrap();
            assert_eq!(sums.as_ptr(), at);
            let Traffic { calls, bytes, .. } = end.traffic();
            assert_eq!((calls, bytes), (1, 4 * MANY as u64));
        });
    }

    #[test]
    fn a_rank_that_goes_breaks_the_others_sums() {
        for leave in [|end: Arc<ThreadRank>| drop(end), |end: Arc<ThreadRank>| end.leave()] {
            let mut ends = threads(2);
            let (gone, left) = (ends.remove(0), ends.remove(0));
            assert_eq!(left.expect_alive(), Ok(()));
            let waiting = left.clone();
            let waiting = thread::spawn(move || waiting.sum(vec![1.0]).unwrap_err().code);
            leave(gone);
            assert_eq!(waiting.join().unwrap(), RANK_LOST);
            assert_eq!(left.expect_alive().unwrap_err().code, RANK_LOST);
        }
    }

    #[test]
    fn what_was_left_before_a_break_is_not_summed_after_it() {
        let ends = threads(2);
        let left = ends[0].clone();
        let waiting = thread::spawn(move || left.sum(vec![1.0]).unwrap_err().code);
        while ends[0].state().given[0].is_none() {
            thread::yield_now();
        }
        ends[1].leave();
        assert_eq!(waiting.join().unwrap(), RANK_LOST);
        assert_eq!(ends[1].sum(vec![1.0]).unwrap_err().code, RANK_LOST);
    }

    #[test]
    fn ranks_that_sum_different_things_are_told() {
        let lengths = each(2, |end| end.sum(vec![1.0; 1 + end.rank()]).unwrap_err().code);
        assert_eq!(lengths, [INTERNAL; 2]);
        let kinds = each(2, |end| match end.rank() {
            0 => end.sum(vec![1.0]).unwrap_err().code,
            _ => end.sum_exact(vec![1.0]).unwrap_err().code,
        });
        assert_eq!(kinds, [INTERNAL; 2]);
    }
}
