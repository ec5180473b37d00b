//! Places, towers and their memory.

use crate::arena::{Block, Scratch, views};
use crate::conv::{Convolution, Pooled};
use crate::gemm::Kernel;
use crate::isa::InstructionSet;
use crate::kept::Kept;
use crate::{exchange, execute, input, update};
use ilsvrc_diagnostics::{DEVICE_UNUSABLE, Error, INTERNAL, Result};
use ilsvrc_network::{
    Backend, Buffer, BufferId, Exchange, Input, Learning, Net, Op, ParamId, Pass, Plan, Slot, UpdateRule,
};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::ops::Range;

/// Executes plans on the CPU. Each place is a thread pool.
pub struct CpuBackend {
    pub(crate) places: Vec<ThreadPool>,
    pub(crate) set: InstructionSet,
    pub(crate) convolution: Convolution,
}

/// What the arithmetic of an op runs on.
pub(crate) struct Machine<'a> {
    pub(crate) pool: &'a ThreadPool,
    pub(crate) kernel: Kernel,
    pub(crate) set: InstructionSet,
    pub(crate) convolution: Convolution,
    pub(crate) scratch: &'a mut Scratch,
}

/// The tensors of a parameter.
pub(crate) struct Tensors {
    pub(crate) value: Block,
    pub(crate) kept: Kept,
    velocity: Block,
    pub(crate) gradient: Block,
    learning: Learning,
    bias: bool,
}

/// Where buffers lie in the arena.
pub(crate) struct Layout {
    buffers: Vec<Buffer>,
    batch: usize,
}

impl Layout {
    /// The first `images` images of a buffer that must have `elements` an image.
    pub(crate) fn range(&self, id: BufferId, elements: usize, images: usize) -> Result<Range<usize>> {
        let buffer = self.buffer(id)?;
        if buffer.elements != elements || images > self.batch {
            return Err(Error::new(
                INTERNAL,
                format!(
                    "an op takes {images} x {elements} elements of buffer '{}', which has {} x {}",
                    buffer.name, self.batch, buffer.elements
                ),
            ));
        }
        Ok(buffer.offset..buffer.offset + elements * images)
    }

    /// The first `length` elements of a buffer.
    fn first(&self, id: BufferId, length: usize) -> Result<Range<usize>> {
        let buffer = self.buffer(id)?;
        if length > buffer.elements * self.batch {
            return Err(Error::new(INTERNAL, format!("buffer '{}' has no {length} elements", buffer.name)));
        }
        Ok(buffer.offset..buffer.offset + length)
    }

    fn buffer(&self, id: BufferId) -> Result<&Buffer> {
        self.buffers.get(id.0).ok_or_else(|| Error::new(INTERNAL, format!("no buffer {}", id.0)))
    }
}

/// A tower's memory: the arena of its buffers, its parameters and the ops' working memory.
pub struct CpuTower {
    /// Its number; keeps the dropout masks of towers apart.
    pub(crate) number: u32,
    pub(crate) place: usize,
    pub(crate) arena: Block,
    pub(crate) layout: Layout,
    pub(crate) parameters: Vec<Tensors>,
    pub(crate) labels: Vec<u32>,
    pub(crate) scratch: Scratch,
    /// The convolution that is computed with its pool, if one is.
    pub(crate) pooled: Option<Pooled>,
    input: BufferId,
}

impl CpuTower {
    fn parameter(&self, id: ParamId) -> Result<&Tensors> {
        self.parameters.get(id.0).ok_or_else(|| Error::new(INTERNAL, format!("no parameter {}", id.0)))
    }

    /// A tensor, when it has `length` elements.
    fn tensor(&self, id: ParamId, slot: Slot, length: usize) -> Result<&Block> {
        let tensors = self.parameter(id)?;
        let block = match slot {
            Slot::Value => &tensors.value,
            Slot::Velocity => &tensors.velocity,
            Slot::Gradient => &tensors.gradient,
        };
        if block.len() == length {
            return Ok(block);
        }
        Err(Error::new(INTERNAL, format!("parameter {} has {} elements, not {length}", id.0, block.len())))
    }
}

impl CpuBackend {
    /// A place for each element of `places`: the number of its threads. Uses the fastest instructions there are.
    ///
    /// # Errors
    /// `DEVICE_UNUSABLE` when the system refuses to start threads.
    pub fn new(places: &[usize]) -> Result<Self> {
        Self::with_instruction_set(places, InstructionSet::best())
    }

    /// As [`CpuBackend::new`], with instructions that the caller chooses (tests run all of them).
    ///
    /// # Errors
    /// `DEVICE_UNUSABLE` also when this processor does not have them.
    pub fn with_instruction_set(places: &[usize], set: InstructionSet) -> Result<Self> {
        if !set.available() {
            return Err(Error::new(DEVICE_UNUSABLE, format!("this processor has no {}", set.name())));
        }
        let pool = |(place, threads): (usize, &usize)| {
            ThreadPoolBuilder::new()
                .num_threads((*threads).max(1))
                .thread_name(move |i| format!("cpu{place}-{i}"))
                .build()
                .map_err(|e| {
                    Error::new(DEVICE_UNUSABLE, format!("cannot start {threads} threads")).info(e.to_string())
                })
        };
        let places = places.iter().enumerate().map(pool).collect::<Result<_>>()?;
        Ok(Self { places, set, convolution: Convolution::Automatic })
    }

    /// The same, with convolutions computed in a way that the caller chooses (tests and comparisons do).
    #[must_use]
    pub fn convolving(self, convolution: Convolution) -> Self {
        Self { convolution, ..self }
    }
}

impl Backend for CpuBackend {
    type Tower = CpuTower;

    fn allocate(&self, plan: &Plan, tower: usize, place: usize) -> Result<CpuTower> {
        let (Some(plan_tower), Some(pool)) = (plan.towers.get(tower), self.places.get(place)) else {
            return Err(Error::new(INTERNAL, format!("tower {tower} on place {place} does not exist")));
        };
        let parameter = |p: &ilsvrc_network::Parameter| -> Result<Tensors> {
            let length = p.shape.iter().product();
            let block = || Block::zeroed(length, &p.name);
            Ok(Tensors {
                value: block()?,
                kept: Kept::default(),
                velocity: block()?,
                gradient: block()?,
                learning: p.learning,
                bias: p.bias,
            })
        };
        Ok(CpuTower {
            number: tower as u32,
            place,
            arena: Block::zeroed(plan_tower.arena, "the activations of a tower")?,
            layout: Layout { buffers: plan_tower.buffers.clone(), batch: plan.batch },
            parameters: plan_tower.parameters.iter().map(parameter).collect::<Result<_>>()?,
            labels: Vec::with_capacity(plan.batch),
            scratch: Scratch::new(pool.current_num_threads())?,
            pooled: Pooled::of(plan, tower, self.convolution)?,
            input: plan_tower.input,
        })
    }

    fn load(&self, towers: &mut [CpuTower], net: &Net, input: &Input) -> Result<()> {
        towers.iter_mut().try_for_each(|tower| {
            let range = tower.layout.range(tower.input, net.crop * net.crop * 3, input.views.len())?;
            let ([], [out]) = views(&mut tower.arena, [], [range])?;
            input::load(&self.places[tower.place], self.set, input, net.crop, out);
            tower.labels.clear();
            tower.labels.extend_from_slice(input.labels);
            Ok(())
        })
    }

    fn within<R: Send>(&self, place: usize, work: impl FnOnce() -> R + Send) -> R {
        self.places[place].install(work)
    }

    fn run(&self, tower: &mut CpuTower, ops: &[Op], pass: &Pass) -> Result<()> {
        if pass.batch == 0 {
            return Ok(());
        }
        // The calling thread would have to be woken after each op.
        self.places[tower.place]
            .install(|| ops.iter().try_for_each(|op| execute::execute(self, tower, op, pass)))
    }

    fn exchange(&self, towers: &mut [CpuTower], exchange: &Exchange, pass: &Pass) -> Result<()> {
        exchange::exchange(self, towers, exchange, pass.batch)
    }

    fn update(&self, tower: &mut CpuTower, rule: &UpdateRule) -> Result<()> {
        for p in &mut tower.parameters {
            let (rate, decay) = if p.bias {
                (p.learning.bias_rate, 0.0)
            } else {
                (p.learning.weight_rate, p.learning.decay.unwrap_or(rule.decay))
            };
            let step = update::Step { rate: rule.rate * rate, momentum: rule.momentum, decay };
            p.kept.forget();
            let pool = &self.places[tower.place];
            update::update(pool, self.set, step, &mut p.value, &mut p.velocity, &p.gradient);
        }
        Ok(())
    }

    fn read_buffer(&self, tower: &CpuTower, buffer: BufferId, out: &mut [f32]) -> Result<()> {
        out.copy_from_slice(&tower.arena[tower.layout.first(buffer, out.len())?]);
        Ok(())
    }

    fn write_buffer(&self, tower: &mut CpuTower, buffer: BufferId, data: &[f32]) -> Result<()> {
        let range = tower.layout.first(buffer, data.len())?;
        tower.arena[range].copy_from_slice(data);
        Ok(())
    }

    fn read_parameter(&self, tower: &CpuTower, id: ParamId, slot: Slot, out: &mut [f32]) -> Result<()> {
        out.copy_from_slice(tower.tensor(id, slot, out.len())?);
        Ok(())
    }

    fn write_parameter(&self, tower: &mut CpuTower, id: ParamId, slot: Slot, data: &[f32]) -> Result<()> {
        tower.tensor(id, slot, data.len())?;
        let tensors = &mut tower.parameters[id.0];
        match slot {
            Slot::Value => {
                tensors.kept.forget();
                &mut tensors.value
            }
            Slot::Velocity => &mut tensors.velocity,
            Slot::Gradient => &mut tensors.gradient,
        }
        .copy_from_slice(data);
        Ok(())
    }
}
