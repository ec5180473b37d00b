//! Drives a backend through a plan.

use crate::{Backend, BufferId, Input, Op, ParamId, Pass, Plan, Slot, Stage, UpdateRule};
use ilsvrc_diagnostics::{Error, INTERNAL, NET_INVALID, Result};
use std::thread;

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
        Ok(Self { backend, plan, towers, places: places.to_vec(), images: 0 })
    }

    /// The plan in execution.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The memory of tower `tower`.
    pub fn tower(&self, tower: usize) -> &B::Tower {
        &self.towers[tower]
    }

    /// Gives all parameters their first values (see [`crate::Parameter::initial`]) and all velocities zero.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn initialise(&mut self, seed: u64) -> Result<()> {
        for (tower, memory) in self.towers.iter_mut().enumerate() {
            for (index, parameter) in self.plan.towers[tower].parameters.iter().enumerate() {
                let values = parameter.initial(seed, tower, index);
                self.backend.write_parameter(memory, ParamId(index), Slot::Value, &values)?;
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

    /// Loads a batch and runs it to the probabilities (with labels also to their gradient).
    ///
    /// # Errors
    /// Those of [`Executor::load`]; the backend's.
    pub fn forward(&mut self, input: &Input, pass: &Pass) -> Result<()> {
        self.load(input, pass)?;
        self.forward_loaded(pass)
    }

    /// Brings a batch to the towers.
    ///
    /// # Errors
    /// `IMAGE_SIZE` where crops do not fit the images, `INTERNAL` where lengths contradict each other; the backend's.
    pub fn load(&mut self, input: &Input, pass: &Pass) -> Result<()> {
        input.check(&self.plan, pass)?;
        self.images = pass.batch;
        let Self { backend, plan, towers, places, .. } = self;
        let work = towers.iter_mut().map(|tower| (tower, ())).collect();
        at_places(places, work, |tower, ()| backend.load(tower, &plan.net, input))
    }

    /// Runs the batch that was loaded to the probabilities.
    ///
    /// # Errors
    /// The backend's.
    pub fn forward_loaded(&mut self, pass: &Pass) -> Result<()> {
        run(&self.backend, &self.places, &mut self.towers, &self.plan.forward, pass)
    }

    /// From the last forward pass, which had labels, to the gradients of all parameters.
    ///
    /// # Errors
    /// `INTERNAL` for a plan without a backward pass; the backend's.
    pub fn backward(&mut self, pass: &Pass) -> Result<()> {
        if self.plan.backward.is_empty() {
            return Err(Error::new(INTERNAL, "a plan for inference has no backward pass"));
        }
        run(&self.backend, &self.places, &mut self.towers, &self.plan.backward, pass)
    }

    /// Applies the learning rule to all parameters.
    ///
    /// # Errors
    /// The backend's.
    pub fn update(&mut self, rule: &UpdateRule) -> Result<()> {
        let Self { backend, towers, places, .. } = self;
        let work = towers.iter_mut().map(|tower| (tower, ())).collect();
        at_places(places, work, |tower, ()| backend.update(tower, rule))
    }

    /// Probabilities of the last forward pass, `images x classes`.
    ///
    /// # Errors
    /// The backend's.
    pub fn probabilities(&self) -> Result<Vec<f32>> {
        let buffer = self.plan.towers[0]
            .probabilities
            .ok_or_else(|| Error::new(INTERNAL, "tower 0 has no probabilities"))?;
        self.read(0, buffer, self.plan.classes)
    }

    /// Mean cross-entropy of the last forward pass, in nats; NaN where a probability is.
    ///
    /// # Errors
    /// `INTERNAL` where there is not one label for each image; the backend's.
    pub fn loss(&self, labels: &[u32]) -> Result<f64> {
        let probabilities = self.probabilities()?;
        if labels.len() != self.images || labels.iter().any(|label| *label as usize >= self.plan.classes) {
            return Err(Error::new(INTERNAL, format!("{} labels do not fit the batch", labels.len())));
        }
        let loss = |(row, label): (&[f32], &u32)| {
            let probability = row[*label as usize];
            // A probability may be too small for an f32 while its logarithm is an ordinary number; NaN stays NaN.
            let floored = if probability < f32::MIN_POSITIVE { f32::MIN_POSITIVE } else { probability };
            -f64::from(floored).ln()
        };
        let sum: f64 = probabilities.chunks_exact(self.plan.classes).zip(labels).map(loss).sum();
        Ok(sum / labels.len() as f64)
    }

    /// A kept output (see [`crate::TowerPlan::outputs`]) of the last forward pass: one `images x elements` for each tower.
    /// Valid until the next backward or forward pass.
    ///
    /// # Errors
    /// `INTERNAL` where the plan keeps no output of that name; the backend's.
    pub fn output(&self, name: &str) -> Result<Vec<Vec<f32>>> {
        (0..self.towers.len())
            .map(|tower| {
                let outputs = &self.plan.towers[tower].outputs;
                let (_, buffer, elements) = outputs
                    .iter()
                    .find(|(kept, ..)| kept == name)
                    .ok_or_else(|| Error::new(INTERNAL, format!("the plan keeps no output of {name}")))?;
                self.read(tower, *buffer, *elements)
            })
            .collect()
    }

    /// A parameter's tensor in file order.
    ///
    /// # Errors
    /// The backend's.
    pub fn read_parameter(&self, tower: usize, id: ParamId, slot: Slot) -> Result<Vec<f32>> {
        let parameter = &self.plan.towers[tower].parameters[id.0];
        let mut memory = vec![0.0; parameter.len()];
        self.backend.read_parameter(&self.towers[tower], id, slot, &mut memory)?;
        Ok(parameter.to_file_order(&memory))
    }

    /// Overwrites a parameter's tensor with `data` in file order.
    ///
    /// # Errors
    /// `INTERNAL` where `data` has another size; the backend's.
    pub fn write_parameter(&mut self, tower: usize, id: ParamId, slot: Slot, data: &[f32]) -> Result<()> {
        let parameter = &self.plan.towers[tower].parameters[id.0];
        if data.len() != parameter.len() {
            return Err(Error::new(INTERNAL, format!("{} values for {}", data.len(), parameter.name)));
        }
        self.backend.write_parameter(&mut self.towers[tower], id, slot, &parameter.to_memory_order(data))
    }

    fn read(&self, tower: usize, buffer: BufferId, elements: usize) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.images * elements];
        self.backend.read_buffer(&self.towers[tower], buffer, &mut out)?;
        Ok(out)
    }
}

/// Runs stages in order.
fn run<B: Backend>(
    backend: &B,
    places: &[usize],
    towers: &mut [B::Tower],
    stages: &[Stage],
    pass: &Pass,
) -> Result<()> {
    for stage in stages {
        match stage {
            Stage::Compute(ops) => {
                let work: Vec<(&mut B::Tower, &Vec<Op>)> = towers.iter_mut().zip(ops).collect();
                at_places(places, work, |tower, ops| backend.run(tower, ops, pass))?;
            }
            Stage::Exchange(exchange) => backend.exchange(towers, exchange, pass)?,
        }
    }
    Ok(())
}

/// Does `work[t]` of tower `t` in its place: one thread for each place, the towers of a place in order.
/// The first tower's error is the one returned.
fn at_places<T: Send, W: Send>(
    places: &[usize],
    work: Vec<(&mut T, W)>,
    act: impl Fn(&mut T, W) -> Result<()> + Sync,
) -> Result<()> {
    if places.iter().all(|place| *place == places[0]) {
        return work.into_iter().try_for_each(|(tower, work)| act(tower, work));
    }
    let mut queues: Vec<(usize, Vec<(&mut T, W)>)> = Vec::new();
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
