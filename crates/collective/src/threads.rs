//! Replicas in threads of one process.

use ilsvrc_diagnostics::{Error, RANK_LOST, Result};
use ilsvrc_network::{Collective, Traffic};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// One rank's end.
struct Thread {
    rank: usize,
    meeting: Arc<Meeting>,
    traffic: Mutex<Traffic>,
}

/// Where the ranks meet: every one leaves its values, the last one adds them up, every one takes the sums.
struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    given: Vec<Option<Values>>,
    /// The sums, and how many ranks have yet to take them.
    sums: Option<(Values, usize)>,
    /// A rank is gone: nothing will be summed any more.
    broken: bool,
}

#[derive(Clone)]
enum Values {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

/// The ends of `size` ranks, each for a thread of its own. When one is dropped, the others' sums fail.
pub fn threads(size: usize) -> Vec<Arc<dyn Collective>> {
    let state = State { given: vec![None; size], sums: None, broken: false };
    let meeting = Arc::new(Meeting { state: Mutex::new(state), changed: Condvar::new() });
    let end = |rank| -> Arc<dyn Collective> {
        Arc::new(Thread { rank, meeting: meeting.clone(), traffic: Mutex::default() })
    };
    (0..size).map(end).collect()
}

impl Thread {
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
            if state.broken {
                return Err(Error::new(RANK_LOST, "another replica of this process has stopped"));
            }
            state = self.meeting.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn meet(&self, values: Values, bytes: usize) -> Result<Values> {
        let begin = Instant::now();
        let size = self.size();
        let mut values = Some(values);
        // Those who have not yet taken the last sums come first.
        self.wait(|state| {
            if state.sums.is_some() || state.given[self.rank].is_some() {
                return None;
            }
            state.given[self.rank] = values.take();
            if state.given.iter().all(Option::is_some) {
                let all = state.given.iter_mut().filter_map(Option::take).collect();
                state.sums = Some((add_up(all), size));
            }
            Some(())
        })?;
        let sums = self.wait(|state| {
            let (sums, left) = state.sums.as_mut()?;
            *left -= 1;
            let last = *left == 0;
            if last { state.sums.take().map(|(sums, _)| sums) } else { Some(sums.clone()) }
        })?;
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        traffic.calls += 1;
        traffic.bytes += bytes as u64;
        traffic.seconds += begin.elapsed().as_secs_f64();
        Ok(sums)
    }
}

/// In the order of ranks.
fn add_up(all: Vec<Values>) -> Values {
    let mut all = all.into_iter();
    let first = all.next().unwrap_or(Values::Single(Vec::new()));
    all.fold(first, |sums, values| match (sums, values) {
        (Values::Single(sums), Values::Single(values)) => {
            Values::Single(sums.iter().zip(values).map(|(sum, value)| sum + value).collect())
        }
        (Values::Double(sums), Values::Double(values)) => {
            Values::Double(sums.iter().zip(values).map(|(sum, value)| sum + value).collect())
        }
        (sums, _) => sums,
    })
}

impl Collective for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.state().given.len()
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

    fn traffic(&self) -> Traffic {
        *self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn out_of_step() -> Error {
    Error::new(ilsvrc_diagnostics::INTERNAL, "replicas sum different things")
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.state().broken = true;
        self.meeting.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn all_get_the_sum_again_and_again() {
        let ends = threads(3);
        let work = |end: Arc<dyn Collective>| {
            (0..50u16)
                .map(|round| {
                    let own = f32::from(round) * 10.0 + end.rank() as f32;
                    let sums = end.sum(vec![own, 1.0]).unwrap();
                    assert_eq!(end.sum_exact(vec![0.5]).unwrap(), [1.5]);
                    sums
                })
                .collect::<Vec<_>>()
        };
        let sums: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = ends.into_iter().map(|end| scope.spawn(move || work(end))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for rank in sums {
            for (round, sum) in (0..50u16).zip(rank) {
                assert_eq!(sum, [f32::from(round) * 30.0 + 3.0, 3.0]);
            }
        }
    }

    #[test]
    fn a_rank_that_goes_breaks_the_others_sums() {
        let mut ends = threads(2);
        let (gone, left) = (ends.remove(0), ends.remove(0));
        let waiting = thread::spawn(move || left.sum(vec![1.0]).unwrap_err().code);
        drop(gone);
        assert_eq!(waiting.join().unwrap(), RANK_LOST);
    }
}
