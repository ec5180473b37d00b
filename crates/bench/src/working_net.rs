//! A net that works: its plan, memory of all towers on one pool of threads, and a batch of noise. The time of a pass depends on
//! no pixel.

use std::time::Instant;

use ilsvrc_cpu::{CpuBackend, CpuTower};
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_network::{
    Backend, Input, Mode, Net, ParamId, Pass, Plan, Slot, Step, UpdateRule, Use, View, cross_entropy, forward,
};
use ilsvrc_random::{Purpose, Stream};

use crate::cost::{Work, flops, stages, training_step};

const SEED: u64 = 1;
const RULE: UpdateRule = UpdateRule { rate: 1e-4, momentum: 0.9, decay: 0.0005 };

/// A net with its memory.
pub struct WorkingNet {
    /// What it was made for.
    pub(crate) made_for: MadeFor,
    pub(crate) plan: Plan,
    backend: CpuBackend,
    towers: Vec<CpuTower>,
    photos: Photos,
    steps: u64,
}

/// What a net is made for.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeFor {
    /// Its description.
    pub net: Net,
    /// Images in a pass.
    pub batch: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Steps or forward passes.
    pub use_: Use,
}

impl WorkingNet {
    /// Plans it, allocates its memory and draws its first weights. Both towers take turns on one pool of all threads.
    ///
    /// # Errors
    /// `NET_INVALID` where the net or the batch is at fault; those of the backend.
    pub fn new(made_for: MadeFor) -> Result<Self> {
        let MadeFor { net, batch, threads, use_ } = &made_for;
        let plan = Plan::new(net, *batch, *use_)?;
        let backend = CpuBackend::new(&[*threads])?;
        let allocate = |tower| backend.allocate(&plan, tower, 0);
        let mut towers = (0..net.towers).map(allocate).collect::<Result<Vec<_>>>()?;
        for (number, tower) in towers.iter_mut().enumerate() {
            for (index, parameter) in plan.towers[number].parameters.iter().enumerate() {
                let values = parameter.initial(SEED, number, index);
                backend.write_parameter(tower, ParamId(index), Slot::Value, &values)?;
            }
        }
        let photos = Photos::new(net.crop, *batch, plan.classes);
        Ok(Self { made_for, plan, backend, towers, photos, steps: 0 })
    }

    /// Operations of the convolutions and dense layers of a pass, for one image: two for a multiply-add, convolutions counted as
    /// direct ones.
    pub fn flops(&self) -> usize {
        flops(stages(&self.plan.forward).chain(stages(&self.plan.backward)))
    }

    /// A training step as `train` makes it: from u8 photos in memory to the updated weights.
    ///
    /// # Errors
    /// The backend's.
    pub fn step(&mut self) -> Result<()> {
        let pass = self.next_pass();
        let places = vec![0; self.towers.len()];
        let input = self.photos.input(self.plan.net.crop);
        let (plan, towers) = (&self.plan, &mut self.towers[..]);
        let step = Step { plan, towers, places: &places, input: &input, pass: &pass, rule: &RULE };
        self.backend.begin_step(step).map(drop)
    }

    /// A pass from u8 photos in memory to probabilities, as `eval` and `predict` make it.
    ///
    /// # Errors
    /// The backend's.
    pub fn forward(&mut self) -> Result<()> {
        let pass = Pass { batch: self.plan.batch, mode: Mode::Test };
        let Self { backend, plan, towers, photos, .. } = self;
        let input = Input { labels: &[], ..photos.input(plan.net.crop) };
        forward(backend, &vec![0; towers.len()], towers, plan, &input, &pass)
    }

    /// A training step one part after the other: the seconds of each, in the order of [`training_step`].
    pub(crate) fn step_by_part(&mut self) -> Result<Vec<f64>> {
        let pass = self.next_pass();
        let Self { backend, plan, towers, photos, .. } = self;
        let input = photos.input(plan.net.crop);
        let mut rows = vec![0.0; pass.batch * plan.classes];
        let time = |work: Work| {
            let begin = Instant::now();
            match work {
                Work::Load => backend.load(towers, &plan.net, &input)?,
                Work::Op(tower, op) => backend.run(&mut towers[tower], std::slice::from_ref(op), &pass)?,
                Work::Exchange(exchange) => backend.exchange(towers, exchange, &pass)?,
                Work::Loss => {
                    let Some(probabilities) = plan.towers[0].probabilities else {
                        return Err(Error::new(INTERNAL, "tower 0 has no probabilities"));
                    };
                    backend.read_buffer(&towers[0], probabilities, &mut rows)?;
                    std::hint::black_box(cross_entropy(&rows, input.labels));
                }
                Work::Update(tower) => backend.update(&mut towers[tower], &RULE)?,
            }
            Ok(begin.elapsed().as_secs_f64())
        };
        training_step(plan).into_iter().map(time).collect()
    }

    /// Runs one op of a tower on what its buffers hold.
    pub(crate) fn run(&mut self, tower: usize, op: &ilsvrc_network::Op) -> Result<()> {
        let pass = Pass { batch: self.plan.batch, mode: Mode::Train { seed: SEED, step: 0, first: 0 } };
        self.backend.run(&mut self.towers[tower], std::slice::from_ref(op), &pass)
    }

    fn next_pass(&mut self) -> Pass {
        self.steps += 1;
        Pass { batch: self.plan.batch, mode: Mode::Train { seed: SEED, step: self.steps, first: 0 } }
    }
}

/// A batch of noise.
struct Photos {
    pixels: Vec<u8>,
    views: Vec<View>,
    mean: Vec<f32>,
    labels: Vec<u32>,
}

impl Photos {
    fn new(crop: usize, batch: usize, classes: usize) -> Self {
        let image = crop * crop * 3;
        let stream = |index| Stream::new(SEED, Purpose::Drawing, 0, index);
        let blocks = (batch * image).div_ceil(16) as u32;
        let mut pixels: Vec<u8> =
            (0..blocks).flat_map(|block| stream(0).block(block)).flat_map(u32::to_le_bytes).collect();
        pixels.truncate(batch * image);
        Self {
            pixels,
            views: (0..batch as u32).map(|image| View { image, ..View::default() }).collect(),
            mean: vec![120.0; image],
            labels: (0..batch as u32).map(|image| stream(1).below(image, classes as u32)).collect(),
        }
    }

    fn input(&self, side: usize) -> Input<'_> {
        let Self { pixels, views, mean, labels } = self;
        Input { pixels, side, views, mean, mean_side: side, labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ilsvrc_network::{Execution, Executor};

    fn made(use_: Use) -> WorkingNet {
        let crate::NamedNet { net, batch, .. } = crate::tests::tiny();
        WorkingNet::new(MadeFor { net, batch, threads: 2, use_ }).unwrap()
    }

    #[test]
    fn a_step_in_parts_is_the_step() {
        let [mut whole, mut parts] = [made(Use::Training), made(Use::Training)];
        let first = parameters(&whole);
        for _ in 0..2 {
            whole.step().unwrap();
            assert_eq!(parts.step_by_part().unwrap().len(), training_step(&parts.plan).len());
        }
        assert_eq!(parameters(&whole), parameters(&parts));
        assert_ne!(parameters(&whole), first);
    }

    #[test]
    fn a_forward_pass_gives_what_the_executor_gives() {
        let mut net = made(Use::Inference);
        net.forward().unwrap();
        let mut rows = vec![0.0; net.plan.batch * net.plan.classes];
        let probabilities = net.plan.towers[0].probabilities.unwrap();
        net.backend.read_buffer(&net.towers[0], probabilities, &mut rows).unwrap();

        let backend = CpuBackend::new(&[1]).unwrap();
        let mut executor = Executor::new(backend, net.plan.clone(), &[0, 0]).unwrap();
        executor.initialise(SEED).unwrap();
        let input = Input { labels: &[], ..net.photos.input(net.plan.net.crop) };
        executor.forward(&input, &Pass { batch: net.plan.batch, mode: Mode::Test }).unwrap();
        assert_eq!(rows, executor.probabilities().unwrap());
    }

    fn parameters(net: &WorkingNet) -> Vec<Vec<f32>> {
        let mut all = Vec::new();
        for (tower, plan) in net.towers.iter().zip(&net.plan.towers) {
            for (index, parameter) in plan.parameters.iter().enumerate() {
                let mut values = vec![0.0; parameter.len()];
                net.backend.read_parameter(tower, ParamId(index), Slot::Value, &mut values).unwrap();
                all.push(values);
            }
        }
        all
    }
}
