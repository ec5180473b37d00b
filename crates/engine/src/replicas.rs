//! Several replicas of a net in one process, where there are more places than towers. Each is an executor among ranks that are
//! threads of this process; together they are one [`Execution`], so a session knows of one net only. They share out a batch as
//! ranks of several processes do.

use crate::devices::{self, Layout};
use crate::places::Places;
use crate::ranks::Ranks;
use crate::{Among, Options};
use ilsvrc_collective::{ThreadRank, threads};
use ilsvrc_diagnostics::{Error, INTERNAL, RANK_LOST, Result};
use ilsvrc_images::part;
use ilsvrc_network::{
    Execution, Input, Mode, NewMemory, Outcome, ParamId, Pass, Plan, Slot, Traffic, UpdateRule, View,
};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

/// A net whose replicas are all here.
struct Replicas {
    executors: Vec<Box<dyn Execution>>,
    ends: Vec<End>,
    /// Of the step that was made and has not been asked for.
    outcome: Option<Outcome>,
    /// Replicas that had a batch in the last forward pass.
    seen: usize,
}

/// One replica's end of the sums.
struct End {
    thread: Arc<ThreadRank>,
    ranks: Ranks,
    /// As `replica 1 on GPU 2 and 3`.
    name: String,
}

/// Opens a replica in each of `all`, at the same time.
///
/// # Errors
/// Those of [`devices::open_in`], with the replica that has it.
pub(crate) fn open(options: &Options, all: Vec<Places>) -> Result<(Box<dyn Execution>, Layout)> {
    let size = all.len();
    let end = |(thread, places): (Arc<ThreadRank>, &Places)| {
        let rank = ilsvrc_network::Collective::rank(&*thread);
        let name = format!("replica {rank} on {places}");
        End { ranks: Ranks::new(thread.clone(), (rank, size)), thread, name }
    };
    let ends: Vec<_> = threads(size).into_iter().zip(&all).map(end).collect();
    let opened = each(&ends, all, |end, places| devices::open_in(options, &places, &end.ranks))?;
    let (executors, layouts): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
    let replicas = Replicas { executors, ends, outcome: None, seen: 0 };
    Ok((Box::new(replicas), together(layouts)))
}

/// Where all replicas are.
fn together(layouts: Vec<Layout>) -> Layout {
    // Some pairs may reach each other's memory and others not: the slowest way is the one that steps wait for.
    let by_speed = ["none", "memory", "same device", "peer", "host"];
    let slow = |exchange: &str| by_speed.iter().position(|known| *known == exchange);
    let exchange = layouts.iter().map(|layout| layout.exchange).max_by_key(|way| slow(way)).unwrap_or("none");
    let precision = layouts.first().map_or("f32", |layout| layout.precision);
    let among: Option<Among> = layouts.first().and_then(|layout| layout.among.clone());
    let places = layouts.into_iter().enumerate().flat_map(|(replica, layout)| {
        layout.places.into_iter().map(move |place| devices::Place { replica, ..place })
    });
    Layout { places: places.collect(), exchange, precision, notice: None, among, cache: None }
}

/// What each replica makes of its item, in a thread of its own. When one fails, the others' sums end.
fn each<I: Send, T: Send>(
    ends: &[End],
    items: impl IntoIterator<Item = I>,
    work: impl Fn(&End, I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let panicked = || Err(Error::new(INTERNAL, "a replica's thread panicked"));
    let guarded = |end: &End, item| {
        // Whatever happens, the others must not wait for this one.
        let done = catch_unwind(AssertUnwindSafe(|| work(end, item))).unwrap_or_else(|_| panicked());
        if done.is_err() {
            end.thread.leave();
        }
        done
    };
    let results: Vec<Result<T>> = thread::scope(|scope| {
        let guarded = &guarded;
        let start = |(end, item)| scope.spawn(move || guarded(end, item));
        let threads: Vec<_> = ends.iter().zip(items).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked())).collect()
    });
    match told(&results, ends) {
        None => results.into_iter().collect(),
        Some(error) => {
            // One GPU that ends its sums by force would let the others wait when they part.
            ends.iter().for_each(|end| end.ranks.abort_gpus(&error));
            Err(error)
        }
    }
}

/// The first error, with the replica that has it: rather one that has a reason of its own than one that waited for another in vain.
fn told<T>(results: &[Result<T>], ends: &[End]) -> Option<Error> {
    let failed: Vec<(&Error, &End)> =
        results.iter().zip(ends).filter_map(|(result, end)| Some((result.as_ref().err()?, end))).collect();
    let own = failed.iter().find(|(error, _)| error.code != RANK_LOST);
    let (error, end) = own.or(failed.first())?;
    // What all have met is of none of them.
    let common = failed.len() == ends.len() && failed.iter().all(|(other, _)| other == error);
    let message = if common { error.message.clone() } else { format!("{}: {}", end.name, error.message) };
    Some(Error { message, ..(*error).clone() })
}

impl Execution for Replicas {
    /// That of each.
    fn plan(&self) -> &Plan {
        self.executors[0].plan()
    }

    fn replicas(&self) -> usize {
        self.executors.len()
    }

    fn initialise(&mut self, seed: u64) -> Result<()> {
        each(&self.ends, &mut self.executors, |_, executor| executor.initialise(seed)).map(drop)
    }

    fn forward_each(&mut self, batches: &[Input]) -> Result<()> {
        if batches.is_empty() || batches.len() > self.executors.len() {
            let (batches, replicas) = (batches.len(), self.executors.len());
            return Err(Error::new(INTERNAL, format!("{batches} batches for {replicas} replicas")));
        }
        self.seen = batches.len();
        let work = self.executors.iter_mut().zip(batches);
        each(&self.ends, work, |_, (executor, batch)| executor.forward_each(std::slice::from_ref(batch)))
            .map(drop)
    }

    fn append_probabilities(&self, out: &mut Vec<f32>) -> Result<()> {
        self.executors[..self.seen].iter().try_for_each(|executor| executor.append_probabilities(out))
    }

    /// Makes the step: a replica's waits for the others'.
    fn begin_step(&mut self, input: &Input, pass: &Pass, rule: &UpdateRule) -> Result<()> {
        let size = self.executors.len();
        let work = self.executors.iter_mut().enumerate();
        let outcomes = each(&self.ends, work, |_, (replica, executor)| {
            let own = part(pass.batch, (replica, size));
            let mut views = Vec::new();
            let input = part_of(input, &own, &mut views)?;
            executor.begin_step(&input, &part_of_pass(pass, &own), rule)?;
            executor.end_step()
        })?;
        self.outcome = outcomes.into_iter().reduce(|all, one| Outcome {
            // Loss and hits are of all already.
            load_seconds: all.load_seconds.max(one.load_seconds),
            train_seconds: all.train_seconds.max(one.train_seconds),
            ..all
        });
        Ok(())
    }

    fn end_step(&mut self) -> Result<Outcome> {
        self.outcome.take().ok_or_else(|| Error::new(INTERNAL, "no training step is under way"))
    }

    fn steps_ahead(&self) -> usize {
        0
    }

    /// Of the first: pinned memory is so for all GPUs.
    fn host_memory(&self) -> NewMemory {
        self.executors[0].host_memory()
    }

    fn output(&self, layer: &str) -> Result<Vec<f32>> {
        let outputs = self.executors[..self.seen].iter().map(|executor| executor.output(layer));
        Ok(outputs.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Of the first: all have the same.
    fn read_parameter(&self, tower: usize, id: ParamId, slot: Slot) -> Result<Vec<f32>> {
        self.executors[0].read_parameter(tower, id, slot)
    }

    fn write_parameter(&mut self, tower: usize, id: ParamId, slot: Slot, data: &[f32]) -> Result<()> {
        each(&self.ends, &mut self.executors, |_, executor| executor.write_parameter(tower, id, slot, data))
            .map(drop)
    }

    /// Of the first: all send as much.
    fn traffic(&self) -> Option<Traffic> {
        self.ends[0].ranks.traffic()
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        // NCCL waits in `ncclCommDestroy` until all GPUs of a host part, so they do at the same time.
        let parted = each(&self.ends, self.executors.drain(..), |end, executor| {
            drop(executor);
            end.ranks.part_gpus();
            Ok(())
        });
        // A failure has nobody to be told.
        drop(parted);
    }
}

/// The inputs `own` of a batch; `views` holds them, with the numbers of the images that are left.
fn part_of<'a>(whole: &Input<'a>, own: &Range<usize>, views: &'a mut Vec<View>) -> Result<Input<'a>> {
    let wrong = || Error::new(INTERNAL, "a batch that does not fit the images of a step");
    let (chosen, labels) = (whole.views.get(own.clone()), whole.labels.get(own.clone()));
    let (Some(chosen), Some(labels)) = (chosen, labels) else { return Err(wrong()) };
    let first = chosen.iter().map(|view| view.image).min().unwrap_or(0);
    let end = chosen.iter().map(|view| view.image + 1).max().unwrap_or(0);
    let image = whole.side * whole.side * 3;
    let pixels = whole.pixels.get(first as usize * image..end as usize * image).ok_or_else(wrong)?;
    views.extend(chosen.iter().map(|view| View { image: view.image - first, ..*view }));
    Ok(Input { pixels, views, labels, ..*whole })
}

fn part_of_pass(whole: &Pass, own: &Range<usize>) -> Pass {
    let mode = match whole.mode {
        Mode::Train { seed, step, first } => Mode::Train { seed, step, first: first + own.start },
        Mode::Test => Mode::Test,
    };
    Pass { batch: own.len(), mode }
}

#[cfg(test)]
#[path = "replicas_tests.rs"]
mod tests;
