//! Drives a backend through a plan.

use crate::replica::Replica;
use crate::{
    Backend, BufferId, Collective, Input, Mode, NewMemory, Op, Outcome, ParamId, Pass, Plan, Slot, Stage,
    Step, Traffic, UpdateRule, cross_entropy, top1_hits,
};
use ilsvrc_diagnostics::{Error, INTERNAL, NET_INVALID, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// A plan in execution: a backend with the towers' memory. Towers in different places work at the same time between
/// exchanges; towers in one place one after the other.
pub struct Executor<B: Backend> {
    backend: B,
    plan: Plan,
    towers: Vec<B::Tower>,
    /// The place of each tower.
    places: Vec<usize>,
    /// Images of the last forward pass.
    images: usize,
    /// Of the steps that were made at once and have not been asked for.
    outcomes: VecDeque<Outcome>,
    /// Where this is one of several that train the same net.
    replica: Option<Replica>,
}

impl<B: Backend> Executor<B> {
    /// Allocates the towers, tower `t` in `places[t]`. All parameters and velocities are zero.
    ///
    /// # Errors
    /// Those of the backend; `NET_INVALID` where the number of places is not that of towers.
    pub fn new(backend: B, plan: Plan, places: &[usize]) -> Result<Self> {
        if places.len() != plan.towers.len() {
            return Err(Error::new(
                NET_INVALID,
                format!("{} places for a net of {} towers", places.len(), plan.towers.len()),
            ));
        }
        let towers = places
            .iter()
            .enumerate()
            .map(|(tower, place)| backend.allocate(&plan, tower, *place))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            backend,
            plan,
            towers,
            places: places.to_vec(),
            images: 0,
            outcomes: VecDeque::new(),
            replica: None,
        })
    }

    /// The same as one of several replicas: a step's batch is this one's part of it, which may be empty, and its outcome
    /// that of all.
    ///
    /// # Errors
    /// `INTERNAL` where an op of the plan learns without saying so.
    pub fn among(self, collective: Arc<dyn Collective>) -> Result<Self> {
        let replica = Replica::new(collective, &self.plan)?;
        Ok(Self { replica: Some(replica), ..self })
    }

    /// The memory of tower `tower`.
    pub fn tower(&self, tower: usize) -> &B::Tower {
        &self.towers[tower]
    }

    /// Brings a batch to the towers.
    ///
    /// # Errors
    /// `IMAGE_SIZE` where crops do not fit the images, `INTERNAL` where lengths contradict each other; the backend's.
    pub fn load(&mut self, input: &Input, pass: &Pass) -> Result<()> {
        input.check(&self.plan, pass)?;
        self.images = pass.batch;
        self.backend.load(&mut self.towers, &self.plan.net, input)
    }

    /// Loads a batch and runs it to the probabilities (with labels also to their gradient).
    ///
    /// # Errors
    /// Those of [`Executor::load`]; the backend's.
    pub fn forward(&mut self, input: &Input, pass: &Pass) -> Result<()> {
        input.check(&self.plan, pass)?;
        self.images = pass.batch;
        let Self { backend, places, towers, plan, .. } = self;
        forward(backend, places, towers, plan, input, pass)
    }

    /// Runs the batch that was loaded to the probabilities.
    ///
    /// # Errors
    /// The backend's.
    pub fn forward_loaded(&mut self, pass: &Pass) -> Result<()> {
        let Self { backend, places, towers, plan, .. } = self;
        compute(backend, places, towers, &plan.forward, pass)
    }

    /// From the last forward pass, which had labels, to the gradients of all parameters.
    ///
    /// # Errors
    /// `INTERNAL` for a plan without a backward pass; the backend's.
    pub fn backward(&mut self, pass: &Pass) -> Result<()> {
        backward(&self.backend, &self.places, &mut self.towers, &self.plan, pass)
    }

    /// Applies the learning rule to all parameters.
    ///
    /// # Errors
    /// The backend's.
    pub fn update(&mut self, rule: &UpdateRule) -> Result<()> {
        update(&self.backend, &self.places, &mut self.towers, rule)
    }

    /// Mean cross-entropy of the last forward pass, in nats; NaN where a probability is.
    ///
    /// # Errors
    /// `INTERNAL` where there is not one label for each image; the backend's.
    pub fn loss(&self, labels: &[u32]) -> Result<f64> {
        if labels.len() != self.images || labels.iter().any(|label| *label as usize >= self.plan.classes) {
            return Err(Error::new(INTERNAL, format!("{} labels do not fit the batch", labels.len())));
        }
        Ok(cross_entropy(&self.probabilities()?, labels))
    }

    fn read(&self, tower: usize, buffer: BufferId, elements: usize) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.images * elements];
        self.backend.read_buffer(&self.towers[tower], buffer, &mut out)?;
        Ok(out)
    }
}

/// A net at work: what an [`Executor`] does, whatever its backend.
pub trait Execution: Send {
    /// The plan in execution.
    fn plan(&self) -> &Plan;

    /// Gives all parameters their first values (see [`crate::Parameter::initial`]) and, where the plan trains, all
    /// velocities zero.
    ///
    /// # Errors
    /// Those of the backend.
    fn initialise(&mut self, seed: u64) -> Result<()>;

    /// How many replicas of the net there are.
    fn replicas(&self) -> usize {
        1
    }

    /// Runs batches as at test to the probabilities, each on a replica of its own; what is read after that is of all of them, in
    /// order.
    ///
    /// # Errors
    /// Those of [`Executor::load`]; `INTERNAL` where there are no batches, or more than replicas; the backend's.
    fn forward_each(&mut self, batches: &[Input]) -> Result<()>;

    /// Appends the probabilities of the last forward pass, `images x classes`, to `out`.
    ///
    /// # Errors
    /// The backend's.
    fn append_probabilities(&self, out: &mut Vec<f32>) -> Result<()>;

    /// Probabilities of the last forward pass, `images x classes`.
    ///
    /// # Errors
    /// The backend's.
    fn probabilities(&self) -> Result<Vec<f32>> {
        let mut rows = Vec::new();
        self.append_probabilities(&mut rows)?;
        Ok(rows)
    }

    /// Begins a training step; the input is no longer needed when this returns. Each is followed by an
    /// [`Execution::end_step`], but [`Execution::steps_ahead`] more may begin before it.
    ///
    /// # Errors
    /// `INTERNAL` for a plan without a backward pass or a batch without labels; those of [`Executor::load`]; the backend's.
    fn begin_step(&mut self, input: &Input, pass: &Pass, rule: &UpdateRule) -> Result<()>;

    /// What came of the oldest step that has begun and not ended.
    ///
    /// # Errors
    /// `INTERNAL` where none is under way; the backend's.
    fn end_step(&mut self) -> Result<Outcome>;

    /// How many steps may begin before the oldest one has ended: 0 where a step is made when it begins.
    fn steps_ahead(&self) -> usize;

    /// Memory of the host from which batches are brought fastest.
    fn host_memory(&self) -> NewMemory;

    /// A kept output (see [`crate::TowerPlan::outputs`]) of the last forward pass, `images x positions x maps`: at each position
    /// the maps of tower 0, then those of tower 1. Valid until the next backward or forward pass.
    ///
    /// # Errors
    /// `INTERNAL` where the plan keeps no output of that layer; the backend's.
    fn output(&self, layer: &str) -> Result<Vec<f32>>;

    /// A parameter's tensor in file order.
    ///
    /// # Errors
    /// The backend's.
    fn read_parameter(&self, tower: usize, id: ParamId, slot: Slot) -> Result<Vec<f32>>;

    /// Overwrites a parameter's tensor with `data` in file order.
    ///
    /// # Errors
    /// `INTERNAL` where `data` has another size; the backend's.
    fn write_parameter(&mut self, tower: usize, id: ParamId, slot: Slot, data: &[f32]) -> Result<()>;

    /// What its replicas have summed among each other; nothing where there is one.
    fn traffic(&self) -> Option<Traffic> {
        None
    }
}

impl<B: Backend> Execution for Executor<B> {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn initialise(&mut self, seed: u64) -> Result<()> {
        for (tower, memory) in self.towers.iter_mut().enumerate() {
            for (index, parameter) in self.plan.towers[tower].parameters.iter().enumerate() {
                let values = parameter.initial(seed, tower, index);
                self.backend.write_parameter(memory, ParamId(index), Slot::Value, &values)?;
                if self.plan.backward.is_empty() {
                    continue;
                }
                self.backend.write_parameter(
                    memory,
                    ParamId(index),
                    Slot::Velocity,
                    &vec![0.0; values.len()],
                )?;
            }
        }
        Ok(())
    }

    fn forward_each(&mut self, batches: &[Input]) -> Result<()> {
        let [only] = batches else {
            return Err(Error::new(INTERNAL, format!("{} batches for one replica", batches.len())));
        };
        self.forward(only, &Pass { batch: only.views.len(), mode: Mode::Test })
    }

    fn append_probabilities(&self, out: &mut Vec<f32>) -> Result<()> {
        let begin = out.len();
        out.resize(begin + self.images * self.plan.classes, 0.0);
        self.backend.read_buffer(&self.towers[0], probabilities(&self.plan)?, &mut out[begin..])
    }

    fn begin_step(&mut self, input: &Input, pass: &Pass, rule: &UpdateRule) -> Result<()> {
        let empty = self.replica.is_some() && pass.batch == 0;
        if !empty {
            input.check(&self.plan, pass)?;
        }
        if (input.labels.is_empty() && !empty) || self.plan.backward.is_empty() {
            return Err(Error::new(INTERNAL, "a training step needs labels and a plan for training"));
        }
        self.images = pass.batch;
        let Self { backend, plan, towers, places, outcomes, replica, .. } = self;
        let step = Step { plan, towers, places, input, pass, rule };
        outcomes.extend(match replica {
            Some(replica) => Some(replica.step(backend, step)?),
            None => backend.begin_step(step)?,
        });
        Ok(())
    }

    fn end_step(&mut self) -> Result<Outcome> {
        self.outcomes.pop_front().map_or_else(|| self.backend.end_step(&mut self.towers), Ok)
    }

    fn host_memory(&self) -> NewMemory {
        self.backend.host_memory()
    }

    fn steps_ahead(&self) -> usize {
        // A replica's step waits for the others'.
        usize::from(B::QUEUES && self.replica.is_none())
    }

    fn output(&self, layer: &str) -> Result<Vec<f32>> {
        let mut towers = Vec::with_capacity(self.towers.len());
        for (tower, plan) in self.plan.towers.iter().enumerate() {
            let Some(output) = plan.outputs.iter().find(|output| output.layer == layer) else { continue };
            towers.push((self.read(tower, output.buffer, output.positions * output.maps)?, output.maps));
        }
        match towers.pop() {
            None => Err(Error::new(INTERNAL, format!("the plan keeps no output of {layer}"))),
            Some((only, _)) if towers.is_empty() => Ok(only),
            Some(last) => Ok(side_by_side(towers.into_iter().chain([last]).collect())),
        }
    }

    fn read_parameter(&self, tower: usize, id: ParamId, slot: Slot) -> Result<Vec<f32>> {
        let parameter = &self.plan.towers[tower].parameters[id.0];
        let mut memory = vec![0.0; parameter.len()];
        self.backend.read_parameter(&self.towers[tower], id, slot, &mut memory)?;
        Ok(parameter.to_file_order(&memory))
    }

    fn write_parameter(&mut self, tower: usize, id: ParamId, slot: Slot, data: &[f32]) -> Result<()> {
        let parameter = &self.plan.towers[tower].parameters[id.0];
        if data.len() != parameter.len() {
            return Err(Error::new(INTERNAL, format!("{} values for {}", data.len(), parameter.name)));
        }
        self.backend.write_parameter(&mut self.towers[tower], id, slot, &parameter.to_memory_order(data))
    }
}

/// Joins the maps of towers, each its values and how many maps it has, position by position.
fn side_by_side(towers: Vec<(Vec<f32>, usize)>) -> Vec<f32> {
    let mut joined = Vec::with_capacity(towers.iter().map(|(values, _)| values.len()).sum());
    let mut rows: Vec<_> = towers.iter().map(|(values, maps)| values.chunks_exact(*maps)).collect();
    while let Some(first) = rows[0].next() {
        joined.extend_from_slice(first);
        for row in rows[1..].iter_mut().filter_map(Iterator::next) {
            joined.extend_from_slice(row);
        }
    }
    joined
}

pub(crate) fn probabilities(plan: &Plan) -> Result<BufferId> {
    plan.towers[0].probabilities.ok_or_else(|| Error::new(INTERNAL, "tower 0 has no probabilities"))
}

/// Loads a batch and runs it to the probabilities, tower `t` in `places[t]`. The input must be checked (see [`Input::check`]).
///
/// # Errors
/// The backend's.
pub fn forward<B: Backend>(
    backend: &B,
    places: &[usize],
    towers: &mut [B::Tower],
    plan: &Plan,
    input: &Input,
    pass: &Pass,
) -> Result<()> {
    within(backend, places, || {
        backend.load(towers, &plan.net, input)?;
        compute(backend, places, towers, &plan.forward, pass)
    })
}

/// Does work of several stages: where all towers share a place, on the threads of that place.
fn within<B: Backend, R: Send>(backend: &B, places: &[usize], work: impl FnOnce() -> R + Send) -> R {
    if places.iter().all(|place| *place == places[0]) { backend.within(places[0], work) } else { work() }
}

/// A training step, made at once.
pub(crate) fn step<B: Backend>(backend: &B, step: Step<B::Tower>) -> Result<Outcome> {
    within(backend, step.places, || step_within(backend, step))
}

fn step_within<B: Backend>(backend: &B, step: Step<B::Tower>) -> Result<Outcome> {
    let Step { plan, towers, places, input, pass, rule } = step;
    let begin = Instant::now();
    backend.load(towers, &plan.net, input)?;
    let loaded = Instant::now();
    compute(backend, places, towers, &plan.forward, pass)?;
    let mut rows = vec![0.0; pass.batch * plan.classes];
    backend.read_buffer(&towers[0], probabilities(plan)?, &mut rows)?;
    let loss = cross_entropy(&rows, input.labels);
    if loss.is_finite() {
        backward(backend, places, towers, plan, pass)?;
        update(backend, places, towers, rule)?;
    }
    Ok(Outcome {
        loss,
        hits: top1_hits(&rows, input.labels),
        load_seconds: (loaded - begin).as_secs_f64(),
        train_seconds: loaded.elapsed().as_secs_f64(),
    })
}

fn backward<B: Backend>(
    backend: &B,
    places: &[usize],
    towers: &mut [B::Tower],
    plan: &Plan,
    pass: &Pass,
) -> Result<()> {
    if plan.backward.is_empty() {
        return Err(Error::new(INTERNAL, "a plan for inference has no backward pass"));
    }
    compute(backend, places, towers, &plan.backward, pass)
}

fn update<B: Backend>(
    backend: &B,
    places: &[usize],
    towers: &mut [B::Tower],
    rule: &UpdateRule,
) -> Result<()> {
    let work = towers.iter_mut().map(|tower| (tower, ())).collect();
    at_places::<B, _>(places, work, |tower, ()| backend.update(tower, rule))
}

/// Runs stages in order.
fn compute<B: Backend>(
    backend: &B,
    places: &[usize],
    towers: &mut [B::Tower],
    stages: &[Stage],
    pass: &Pass,
) -> Result<()> {
    run(backend, places, towers, stages, pass, &|tower, _, ops| backend.run(tower, ops, pass))
}

/// What is done with a tower and its ops of a stage; hears the numbers of stage and tower.
type Act<'a, T> = dyn Fn(&mut T, (usize, usize), &[Op]) -> Result<()> + Sync + 'a;

/// Runs stages in order, the ops of each tower by `act`.
pub(crate) fn run<B: Backend>(
    backend: &B,
    places: &[usize],
    towers: &mut [B::Tower],
    stages: &[Stage],
    pass: &Pass,
    act: &Act<B::Tower>,
) -> Result<()> {
    for (number, stage) in stages.iter().enumerate() {
        match stage {
            Stage::Compute(ops) => {
                let work = towers.iter_mut().zip(ops.iter().enumerate()).collect();
                at_places::<B, _>(places, work, |tower, (of, ops): (usize, &Vec<Op>)| {
                    act(tower, (number, of), ops)
                })?;
            }
            Stage::Exchange(exchange) => backend.exchange(towers, exchange, pass)?,
        }
    }
    Ok(())
}

/// Towers, each with what it is to do.
type Work<'a, B, W> = Vec<(&'a mut <B as Backend>::Tower, W)>;

/// Does `work[t]` of tower `t` in its place: one thread for each place, the towers of a place in order.
/// The first tower's error is the one returned.
pub(crate) fn at_places<B: Backend, W: Send>(
    places: &[usize],
    work: Work<B, W>,
    act: impl Fn(&mut B::Tower, W) -> Result<()> + Sync,
) -> Result<()> {
    if B::QUEUES || places.iter().all(|place| *place == places[0]) {
        return work.into_iter().try_for_each(|(tower, work)| act(tower, work));
    }
    let mut queues: Vec<(usize, Work<B, W>)> = Vec::new();
    for (place, item) in places.iter().zip(work) {
        match queues.iter_mut().find(|(other, _)| other == place) {
            Some((_, queue)) => queue.push(item),
            None => queues.push((*place, vec![item])),
        }
    }
    let act = &act;
    thread::scope(|scope| {
        let threads: Vec<_> = queues
            .into_iter()
            .map(|(_, queue)| {
                scope.spawn(move || queue.into_iter().try_for_each(|(tower, work)| act(tower, work)))
            })
            .collect();
        // All are joined before the first error leaves.
        let results: Vec<Result<()>> = threads
            .into_iter()
            .map(|thread| {
                thread.join().unwrap_or_else(|_| Err(Error::new(INTERNAL, "a tower's thread panicked")))
            })
            .collect();
        results.into_iter().collect()
    })
}
