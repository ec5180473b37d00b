//! What a backend offers: it owns the memory of towers and executes their ops.

use crate::{BufferId, Exchange, Net, Op, ParamId, Plan, executor};
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use std::ops::DerefMut;
use std::sync::Arc;

/// How a pass runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout draws its masks from (seed, step).
    Train {
        /// The run's seed.
        seed: u64,
        /// Steps since the start of training.
        step: u64,
        /// Where this batch begins in that of the step: 0, but for what replicas after the first one do.
        first: usize,
    },
    /// Deterministic outputs, dropout scaled.
    Test,
}

/// One forward, or forward and backward, over a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Images in this batch, at most the plan's.
    pub batch: usize,
    /// Training or test.
    pub mode: Mode,
}

/// Which tensor of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The weights.
    Value,
    /// The momentum buffer `v`.
    Velocity,
    /// The gradient of the last backward pass.
    Gradient,
}

/// Images as the loader delivers them, and how the net sees them: crop, mirror, minus the mean, plus colour noise.
/// Element (y, x, c) of input `n` of the net is
/// `pixels[i][cy + y][cx + (mirror ? crop-1-x : x)][c] - mean[my + y][mx + (mirror ? crop-1-x : x)][c] + colour[c]`,
/// where `i` is the image of view `n` and the mean belongs to the unmirrored photo.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// `images x side x side x 3`, u8 RGB: whole images or crops, each once; at most as many as there are views.
    pub pixels: &'a [u8],
    /// Side of the images in `pixels`.
    pub side: usize,
    /// One for each input of the net: `batch`.
    pub views: &'a [View],
    /// `mean_side x mean_side x 3`.
    pub mean: &'a [f32],
    /// Side of the mean image.
    pub mean_side: usize,
    /// True classes; empty at test. One for each view.
    pub labels: &'a [u32],
}

/// One input of the net: which image of a batch, and how it is seen. All offsets are (row, column).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct View {
    /// Number of the image in `pixels`.
    pub image: u32,
    /// Corner of the crop in the image of `pixels`.
    pub crop: [u16; 2],
    /// Corner of the crop in the mean image (differs from `crop` when `pixels` holds crops already).
    pub mean: [u16; 2],
    /// Columns are read from right to left.
    pub mirror: bool,
    /// Added to the channels.
    pub colour: [f32; 3],
}

/// `v <- momentum v - decay rate w - rate g` ; `w <- w + v`, with the layer's own multipliers and decay.
#[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize)]
pub struct UpdateRule {
    /// Learning rate.
    pub rate: f32,
    /// Momentum.
    pub momentum: f32,
    /// Weight decay where the layer names none; biases never decay.
    pub decay: f32,
}

/// A training step: forward, backward and update with one batch.
pub struct Step<'a, T> {
    /// The plan in execution.
    pub plan: &'a Plan,
    /// The memory of all towers.
    pub towers: &'a mut [T],
    /// The place of each tower.
    pub places: &'a [usize],
    /// The batch, checked, with labels.
    pub input: &'a Input<'a>,
    /// How it runs.
    pub pass: &'a Pass,
    /// How the weights learn from it.
    pub rule: &'a UpdateRule,
}

/// What came of a training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Mean cross-entropy of the batch before the update, in nats. When it is NaN or infinite the weights have not been
    /// changed.
    pub loss: f64,
    /// Images whose label was the most likely class; see [`crate::top1_hits`].
    pub hits: f64,
    /// Seconds that bringing the batch to the towers took.
    pub load_seconds: f64,
    /// Seconds of forward, backward and update.
    pub train_seconds: f64,
}

/// Makes a block of at least so many bytes.
pub type NewMemory =
    Arc<dyn Fn(usize) -> Result<Box<dyn DerefMut<Target = [u8]> + Send + Sync>> + Send + Sync>;

/// Executes plans. One `Tower` holds a tower's arena, parameters, velocities and gradients, wherever they live.
pub trait Backend: Send + Sync {
    /// A tower's memory.
    type Tower: Send;

    /// True where ops are only put into a queue of their place: then one thread serves all places.
    const QUEUES: bool = false;

    /// Memory of the host from which batches are brought fastest.
    fn host_memory(&self) -> NewMemory {
        Arc::new(|bytes| Ok(Box::new(vec![0; bytes])))
    }
    /// Memory for tower `tower` of the plan in place `place` (a thread pool, a GPU). Parameters start at zero.
    fn allocate(&self, plan: &Plan, tower: usize, place: usize) -> Result<Self::Tower>;
    /// Fills the input buffer of all towers (and their labels).
    fn load(&self, towers: &mut [Self::Tower], net: &Net, input: &Input) -> Result<()>;
    /// Does work that calls the backend many times for towers in this place. A place with threads of its own may do it on one of
    /// them, so that none has to be woken for each call.
    fn within<R: Send>(&self, _place: usize, work: impl FnOnce() -> R + Send) -> R {
        work()
    }
    /// Runs ops in order.
    fn run(&self, tower: &mut Self::Tower, ops: &[Op], pass: &Pass) -> Result<()>;
    /// Moves data between all towers; called when each has finished what came before.
    fn exchange(&self, towers: &mut [Self::Tower], exchange: &Exchange, pass: &Pass) -> Result<()>;
    /// Whether [`Backend::begin_sum`] sums gradients over ranks where they lie; otherwise they go through the host. Only where
    /// [`Backend::QUEUES`]: so all ranks begin their sums in one order.
    fn sums_gradients(&self) -> bool {
        false
    }
    /// Begins to replace these gradients of a tower by the sum, over all ranks, of `share` times each rank's. What is run on the tower
    /// from now on sees the sums. With a share of 0 this rank adds nothing, whatever its gradients are.
    fn begin_sum(&self, _tower: &mut Self::Tower, _parameters: &[ParamId], _share: f32) -> Result<()> {
        Err(Error::new(INTERNAL, "this backend sums nothing over ranks"))
    }
    /// Waits until all sums that have begun are there. Fails with `RANK_LOST` where one of the ranks is.
    fn end_sums(&self) -> Result<()> {
        Ok(())
    }
    /// Applies the learning rule to all parameters of the tower.
    fn update(&self, tower: &mut Self::Tower, rule: &UpdateRule) -> Result<()>;
    /// Makes a training step, or begins it: then `None`, and [`Backend::end_step`] tells what came of it. The input is no
    /// longer needed when this returns. When the loss is not finite the weights stay as they are.
    fn begin_step(&self, step: Step<Self::Tower>) -> Result<Option<Outcome>>
    where
        Self: Sized,
    {
        executor::step(self, step).map(Some)
    }
    /// Waits for the oldest step that has begun and not ended. A queueing backend lets a second one begin before.
    fn end_step(&self, _towers: &mut [Self::Tower]) -> Result<Outcome> {
        Err(Error::new(INTERNAL, "no training step is under way"))
    }
    /// The first `out.len()` elements of a buffer.
    fn read_buffer(&self, tower: &Self::Tower, buffer: BufferId, out: &mut [f32]) -> Result<()>;
    /// Overwrites the first elements of a buffer.
    fn write_buffer(&self, tower: &mut Self::Tower, buffer: BufferId, data: &[f32]) -> Result<()>;
    /// A parameter's tensor, in memory order (HWIO).
    fn read_parameter(&self, tower: &Self::Tower, id: ParamId, slot: Slot, out: &mut [f32]) -> Result<()>;
    /// Overwrites a parameter's tensor, in memory order (HWIO).
    fn write_parameter(&self, tower: &mut Self::Tower, id: ParamId, slot: Slot, data: &[f32]) -> Result<()>;
}
