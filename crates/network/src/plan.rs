//! From a net to what each tower does, in which order, with which memory.

use crate::{BufferId, Learning, Net, Op, ParamId, arena, backward, forward, fuse, validate};
use ilsvrc_diagnostics::Result;

/// What a plan is for: which buffers must live until the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Forward and backward.
    Training,
    /// Forward only; buffers are reused as soon as they are read.
    Inference,
}

/// A planned net.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The description it came from.
    pub net: Net,
    /// The most images a pass may have.
    pub batch: usize,
    /// Number of classes.
    pub classes: usize,
    /// Memory of each tower.
    pub towers: Vec<TowerPlan>,
    /// Image to probabilities.
    pub forward: Vec<Stage>,
    /// Probabilities to the gradients of all parameters; empty for inference.
    pub backward: Vec<Stage>,
}

/// What one tower holds.
#[derive(Clone, Debug)]
pub struct TowerPlan {
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// All parameters, weights and biases, in layer order.
    pub parameters: Vec<Parameter>,
    /// f32 elements of the arena at the plan's batch.
    pub arena: usize,
    /// The net's input, `crop x crop x 3`.
    pub input: BufferId,
    /// Probabilities, on the tower that has them (tower 0).
    pub probabilities: Option<BufferId>,
    /// What the first and the last dense layer read of this tower: the last maps and the features. Kept alive to the end of
    /// the forward pass.
    pub outputs: Vec<Output>,
}

/// An output of a tower that users ask for by name: `positions x maps` values an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The layer with parameters that made it, as `conv5` or `fc7`; activation, pooling and dropout behind it included.
    pub layer: String,
    /// Where it is.
    pub buffer: BufferId,
    /// Positions of a map; 1 behind a dense layer.
    pub positions: usize,
    /// Maps or units of this tower.
    pub maps: usize,
}

/// A buffer: `batch x elements` f32 at `offset` of the arena. Buffers with disjoint lifetimes may overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// f32 elements an image.
    pub elements: usize,
    /// First f32 element in the arena (a multiple of 16), at the plan's batch.
    pub offset: usize,
    /// For messages, as `conv1` or `conv1 gradient`.
    pub name: String,
}

/// A weight or bias tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Name in model files, as `tower0.conv1.weight`.
    pub name: String,
    /// Number of the layer in the net's list.
    pub layer: usize,
    /// Shape in files: OIHW for weights (dense layers after maps too), `[O]` for biases; of locally connected layers that
    /// for each row and column of the output, as `[rows, columns, O, I, H, W]`. Input maps are both towers' where the
    /// layer reads both.
    pub shape: Vec<usize>,
    /// True for a bias.
    pub bias: bool,
    /// Start and rates.
    pub learning: Learning,
}

/// Towers run a stage independently of each other; stages follow each other.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// For each tower its ops.
    Compute(Vec<Vec<Op>>),
    /// Towers meet.
    Exchange(Exchange),
}

/// Where towers meet. `positions` x `maps` elements an image and tower; both towers' maps are side by side
/// (tower 0's first) at each position of the gathered buffer.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the fields are the words of the formulas
pub enum Exchange {
    /// `gathered[t][p] = concat over u of own[u][p]`, for the towers `t` that have a gathered buffer.
    Gather { positions: usize, maps: usize, own: Vec<BufferId>, gathered: Vec<Option<BufferId>> },
    /// Its gradient: `own_gradient[u][p] = sum over t (ascending) of gathered_gradient[t][p][u's maps]`.
    GatherGradient {
        positions: usize,
        maps: usize,
        gathered_gradient: Vec<Option<BufferId>>,
        own_gradient: Vec<BufferId>,
    },
}

impl Plan {
    /// Plans `net` for passes of at most `batch` images, fused.
    ///
    /// # Errors
    /// `NET_INVALID` where [`Net::validate`] or the batch is at fault.
    pub fn new(net: &Net, batch: usize, use_: Use) -> Result<Self> {
        Self::with_fusion(net, batch, use_, true)
    }

    /// As [`Plan::new`]; with `fusion` false every layer of the net is an op of its own, as references want it.
    ///
    /// # Errors
    /// `NET_INVALID` where [`Net::validate`] or the batch is at fault.
    pub fn with_fusion(net: &Net, batch: usize, use_: Use, fusion: bool) -> Result<Self> {
        net.validate()?;
        validate::batch(batch)?;
        let training = use_ == Use::Training;
        let (mut plan, trace) = forward::build(net, batch, training)?;
        if training {
            backward::build(&mut plan, &trace);
        }
        if fusion {
            fuse::run(&mut plan);
        }
        arena::assign(&mut plan);
        Ok(plan)
    }

    /// The tower and the id of the parameter called `name` in model files.
    pub fn parameter(&self, name: &str) -> Option<(usize, ParamId)> {
        self.towers.iter().enumerate().find_map(|(tower, plan)| {
            plan.parameters.iter().position(|p| p.name == name).map(|index| (tower, ParamId(index)))
        })
    }
}
