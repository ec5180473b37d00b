//! A training step of one replica among several: each computes the gradients of its part of the batch; buckets of them are
//! summed over all replicas while the backward pass goes on, and all make the same update.

use crate::executor::{at_places, probabilities, run};
use crate::{Backend, Collective, Op, Outcome, ParamId, Plan, Slot, Stage, Step, cross_entropy, top1_hits};
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use std::mem::take;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// Gradients that travel together have at least so many elements (4 MB): a message costs as much as some thousands of them.
const LEAST: usize = 1 << 20;

/// What a replica sends of its gradients, and to whom.
pub(crate) struct Replica {
    collective: Arc<dyn Collective>,
    /// In the order in which all ranks sum them.
    buckets: Vec<Bucket>,
    /// The values of each, for the next step to fill.
    memory: Vec<Mutex<Vec<f32>>>,
}

/// Gradients of one tower that one stage of the backward pass leaves one after the other.
#[derive(Debug, PartialEq)]
struct Bucket {
    /// Number of the stage.
    stage: usize,
    tower: usize,
    /// Ops of the stage after which all its gradients are there.
    ops: usize,
    /// Each with its elements.
    parameters: Vec<(ParamId, usize)>,
}

/// What is done with a bucket when its gradients are there; hears its tower and number.
type Leave<'a, T> = dyn Fn(&mut T, usize, &Bucket) -> Result<()> + 'a;

/// A bucket's number and values.
type Filled = (usize, Vec<f32>);

impl Replica {
    /// # Errors
    /// `INTERNAL` where the backward pass leaves out a parameter: replicas would part without a word.
    pub(crate) fn new(collective: Arc<dyn Collective>, plan: &Plan) -> Result<Self> {
        let buckets = buckets(plan, LEAST);
        let sent: usize = buckets.iter().map(|bucket| bucket.parameters.len()).sum();
        let all: usize = plan.towers.iter().map(|tower| tower.parameters.len()).sum();
        if sent != all && !plan.backward.is_empty() {
            return Err(Error::new(INTERNAL, format!("{sent} of {all} gradients are in buckets")));
        }
        let memory = buckets.iter().map(|_| Mutex::default()).collect();
        Ok(Self { collective, buckets, memory })
    }

    /// The step. A replica whose part of the batch is empty adds nothing and learns like the others.
    pub(crate) fn step<B: Backend>(&mut self, backend: &B, step: Step<B::Tower>) -> Result<Outcome> {
        let Step { plan, towers, places, input, pass, rule } = step;
        let images = pass.batch as f64;
        let begin = Instant::now();
        let mut loaded = begin;
        let mut score = vec![0.0, 0.0, images];
        if pass.batch > 0 {
            backend.load(towers, &plan.net, input)?;
            loaded = Instant::now();
            run(backend, places, towers, &plan.forward, pass, &|tower, _, ops| {
                backend.run(tower, ops, pass)
            })?;
            let mut rows = vec![0.0; pass.batch * plan.classes];
            backend.read_buffer(&towers[0], probabilities(plan)?, &mut rows)?;
            score[0] = cross_entropy(&rows, input.labels) * images;
            score[1] = top1_hits(&rows, input.labels);
        }
        // Where one rank's loss is no number, that of all is none: they stop together.
        let all = self.collective.sum_exact(score)?;
        let (loss, hits) = (all[0] / all[2], all[1]);
        if loss.is_finite() {
            // A replica's gradients are of the mean loss of its part: they count by its share of the images.
            let share = (images / all[2]) as f32;
            if backend.sums_gradients() {
                self.learn_in_place(backend, (plan, places, pass), towers, share)?;
            } else {
                self.learn(backend, (plan, places, pass), towers, share)?;
            }
            let work = towers.iter_mut().map(|tower| (tower, ())).collect();
            at_places::<B, _>(places, work, |tower, ()| backend.update(tower, rule))?;
            backend.end_sums()?;
        }
        Ok(Outcome {
            loss,
            hits,
            load_seconds: (loaded - begin).as_secs_f64(),
            train_seconds: loaded.elapsed().as_secs_f64(),
        })
    }

    /// The backward pass, after which the gradients are those of all replicas.
    fn learn<B: Backend>(
        &self,
        backend: &B,
        (plan, places, pass): (&Plan, &[usize], &crate::Pass),
        towers: &mut [B::Tower],
        share: f32,
    ) -> Result<()> {
        let (fill, filled) = channel();
        let (give, sums) = channel();
        thread::scope(|scope| {
            let summing = scope.spawn(move || sum_in_order(&*self.collective, &filled, &give));
            let computed = if pass.batch == 0 {
                self.fill_with_zeros(&fill);
                Ok(())
            } else {
                run(backend, places, towers, &plan.backward, pass, &|tower, place, ops| {
                    self.by_bucket(backend, (tower, place), ops, pass, &|tower, number, bucket| {
                        fill_from(backend, tower, bucket, &mut self.values(number), share).map(|values| {
                            // Nobody listens any more where a sum has failed.
                            let _ = fill.send((number, values));
                        })
                    })
                })
            };
            // The other thread ends when nothing more can come, whatever happened here.
            drop(fill);
            let stored = computed.and_then(|()| {
                sums.iter().try_for_each(|(number, values)| {
                    let bucket = &self.buckets[number];
                    let mut rest = &values[..];
                    for (id, elements) in &bucket.parameters {
                        let (gradient, others) = rest.split_at(*elements);
                        backend.write_parameter(&mut towers[bucket.tower], *id, Slot::Gradient, gradient)?;
                        rest = others;
                    }
                    *self.values(number) = values;
                    Ok(())
                })
            });
            let summed =
                summing.join().unwrap_or_else(|_| Err(Error::new(INTERNAL, "the summing thread panicked")));
            stored.and(summed)
        })
    }

    /// The backward pass of a backend that sums by itself, which goes on when this returns.
    fn learn_in_place<B: Backend>(
        &self,
        backend: &B,
        (plan, places, pass): (&Plan, &[usize], &crate::Pass),
        towers: &mut [B::Tower],
        share: f32,
    ) -> Result<()> {
        if pass.batch == 0 {
            // In the order in which the other ranks' towers come to theirs.
            return self
                .buckets
                .iter()
                .try_for_each(|bucket| backend.begin_sum(&mut towers[bucket.tower], &bucket.ids(), 0.0));
        }
        run(backend, places, towers, &plan.backward, pass, &|tower, place, ops| {
            self.by_bucket(backend, (tower, place), ops, pass, &|tower, _, bucket| {
                backend.begin_sum(tower, &bucket.ids(), share)
            })
        })
    }

    /// Runs the ops of a tower in a stage; `leave` hears of each bucket as soon as its gradients are there.
    fn by_bucket<B: Backend>(
        &self,
        backend: &B,
        (tower, (stage, number)): (&mut B::Tower, (usize, usize)),
        ops: &[Op],
        pass: &crate::Pass,
        leave: &Leave<B::Tower>,
    ) -> Result<()> {
        let mut done = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            if (bucket.stage, bucket.tower) != (stage, number) {
                continue;
            }
            backend.run(tower, &ops[done..bucket.ops], pass)?;
            done = bucket.ops;
            leave(tower, index, bucket)?;
        }
        backend.run(tower, &ops[done..], pass)
    }

    fn fill_with_zeros(&self, fill: &Sender<Filled>) {
        for (index, bucket) in self.buckets.iter().enumerate() {
            let _ = fill.send((index, vec![0.0; bucket.elements()]));
        }
    }

    /// A bucket's values from the last step.
    fn values(&self, bucket: usize) -> std::sync::MutexGuard<'_, Vec<f32>> {
        self.memory[bucket].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn elements(&self) -> usize {
        self.parameters.iter().map(|(_, elements)| elements).sum()
    }

    fn ids(&self) -> Vec<ParamId> {
        self.parameters.iter().map(|(id, _)| *id).collect()
    }
}

/// A bucket's gradients, times `share`, in the memory of the last step's.
fn fill_from<B: Backend>(
    backend: &B,
    tower: &B::Tower,
    bucket: &Bucket,
    memory: &mut Vec<f32>,
    share: f32,
) -> Result<Vec<f32>> {
    let mut values = take(memory);
    values.resize(bucket.elements(), 0.0);
    let mut rest = &mut values[..];
    for (id, elements) in &bucket.parameters {
        let (gradient, others) = rest.split_at_mut(*elements);
        backend.read_parameter(tower, *id, Slot::Gradient, gradient)?;
        rest = others;
    }
    values.iter_mut().for_each(|value| *value *= share);
    Ok(values)
}

/// Sums buckets over all ranks in the order of their numbers, in whatever order towers fill them.
fn sum_in_order(collective: &dyn Collective, filled: &Receiver<Filled>, give: &Sender<Filled>) -> Result<()> {
    let mut early: Vec<Filled> = Vec::new();
    let mut next = 0;
    while let Ok(bucket) = filled.recv() {
        early.push(bucket);
        while let Some(place) = early.iter().position(|(number, _)| *number == next) {
            let (number, values) = early.swap_remove(place);
            // Nobody listens any more where this rank has failed.
            let _ = give.send((number, collective.sum(values)?));
            next += 1;
        }
    }
    Ok(())
}

/// The gradients of a plan in buckets of at least `least` elements, where a stage has so many.
fn buckets(plan: &Plan, least: usize) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    for (stage, of_towers) in plan.backward.iter().enumerate() {
        let Stage::Compute(of_towers) = of_towers else { continue };
        for (tower, ops) in of_towers.iter().enumerate() {
            let mut open = false;
            for (number, op) in ops.iter().enumerate() {
                let Some(learned) = op.learns() else { continue };
                if !open {
                    buckets.push(Bucket { stage, tower, ops: 0, parameters: Vec::new() });
                }
                // Pushed above, or by the op before.
                let Some(bucket) = buckets.last_mut() else { continue };
                let sized = |id: ParamId| (id, plan.towers[tower].parameters[id.0].len());
                bucket.parameters.extend(learned.map(sized));
                bucket.ops = number + 1;
                open = bucket.elements() < least;
            }
        }
    }
    buckets
}

#[cfg(test)]
#[path = "replica_tests.rs"]
mod tests;
