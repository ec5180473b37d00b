//! What a tower holds on its GPU and how many bytes of it: decided once from the plan. The same figures allocate the
//! memory and predict it.

use crate::geometry::Padding;
use crate::launch::workspace_bytes;
use crate::precision::Precision;
use ilsvrc_network::{BufferId, Exchange, Op, ParamId, Plan, Stage, TowerPlan, Window};

/// Channels of the image.
pub(crate) const CHANNELS: usize = 3;
/// Regions start at multiples of this: what the driver's own allocations do.
const ALIGNMENT: usize = 256;

/// How the elements of a buffer are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// In the precision's element type, in the arena.
    Element,
    /// f32 whatever the precision: logits and probabilities, whose digits matter.
    Exact,
    /// The net's input, its positions spread as the first layer's kernels want them.
    Image(Padding),
}

/// The place of a buffer.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) store: Store,
    /// First byte in the region of its store.
    pub(crate) offset: usize,
    /// Bytes of one image.
    pub(crate) image_bytes: usize,
    /// As the plan counts them, without padding.
    pub(crate) elements: usize,
    name: String,
}

/// A tower's memory.
#[derive(Clone, Debug)]
pub(crate) struct TowerLayout {
    pub(crate) buffers: Vec<Place>,
    /// Of the weights of each parameter.
    pub(crate) paddings: Vec<Padding>,
    /// Whether the gradient of a parameter is kept: that of a dense layer's weights goes straight into the learning rule.
    pub(crate) keeps_gradient: Vec<bool>,
    /// Where each normalised pool of the forward pass leaves its choices for the backward pass: its input, and the first
    /// byte in their region.
    choices: Vec<(BufferId, usize)>,
    pub(crate) training: bool,
    pub(crate) batch: usize,
    pub(crate) bytes: TowerBytes,
}

/// Bytes of a tower's memory on its GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TowerBytes {
    pub(crate) arena: usize,
    pub(crate) exact: usize,
    pub(crate) image: usize,
    /// Which position each normalised pool took.
    pub(crate) choices: usize,
    /// Of each of the labels, losses and hits of a batch.
    pub(crate) scores: usize,
    /// Values, velocities, gradients and working copies.
    pub(crate) parameters: usize,
    pub(crate) workspace: usize,
    /// Each way between GPUs.
    pub(crate) exchange: usize,
}

impl TowerLayout {
    pub(crate) fn new(plan: &Plan, tower: usize, precision: Precision) -> Self {
        let plan_tower = &plan.towers[tower];
        let ops: Vec<&Op> = ops(plan, tower).collect();
        let image = image_padding(plan, tower, &ops, precision);
        let exact = exact_buffers(&ops);
        let mut bytes = TowerBytes::default();
        let element = precision.element_bytes();
        let buffers = plan_tower.buffers.iter().enumerate().map(|(index, buffer)| {
            let id = BufferId(index);
            let place = |store, offset, image_bytes| Place {
                store,
                offset,
                image_bytes,
                elements: buffer.elements,
                name: buffer.name.clone(),
            };
            match image {
                Some(padding) if id == plan_tower.input => {
                    let positions = buffer.elements / CHANNELS;
                    let image_bytes = positions * padding.pitch * element;
                    bytes.image = (image_bytes * plan.batch).next_multiple_of(ALIGNMENT);
                    place(Store::Image(padding), 0, image_bytes)
                }
                _ if exact.contains(&id) => {
                    let image_bytes = buffer.elements * size_of::<f32>();
                    let offset = bytes.exact;
                    bytes.exact += (image_bytes * plan.batch).next_multiple_of(ALIGNMENT);
                    place(Store::Exact, offset, image_bytes)
                }
                _ => place(Store::Element, buffer.offset * element, buffer.elements * element),
            }
        });
        let buffers = buffers.collect();
        bytes.arena = plan_tower.arena * element;
        let training = !plan.backward.is_empty();
        let paddings = paddings(plan_tower, &ops, image);
        let keeps_gradient = keeps_gradient(plan_tower, &ops);
        bytes.scores = (plan.batch * size_of::<f32>()).next_multiple_of(ALIGNMENT);
        let choices = choices(&ops, plan.batch, &mut bytes.choices);
        let layout = Self { buffers, paddings, keeps_gradient, choices, training, batch: plan.batch, bytes };
        let parameters = (0..plan_tower.parameters.len())
            .map(|index| layout.parameter_bytes(plan_tower, ParamId(index), precision).iter().sum::<usize>())
            .sum();
        let workspace = ops
            .iter()
            .map(|op| workspace_bytes(op, plan.batch, precision, &layout))
            .max()
            .unwrap_or(0)
            .next_multiple_of(ALIGNMENT);
        let exchange = exchange_bytes(plan, element);
        Self { bytes: TowerBytes { parameters, workspace, exchange, ..layout.bytes }, ..layout }
    }

    /// Bytes of a parameter's value, velocity, gradient and working copy.
    pub(crate) fn parameter_bytes(&self, plan: &TowerPlan, id: ParamId, precision: Precision) -> [usize; 4] {
        let parameter = &plan.parameters[id.0];
        let value = parameter.len() * size_of::<f32>();
        let padded = self.padded_len(plan, id);
        let of = |needed: bool, bytes: usize| if needed { bytes } else { 0 };
        [
            value,
            of(self.training, value),
            of(self.training && self.keeps_gradient[id.0], padded * size_of::<f32>()),
            of(self.has_copy(plan, id, precision), padded * precision.element_bytes()),
        ]
    }

    /// Bytes of the gradients that are kept only where replicas sum them.
    pub(crate) fn summed_bytes(&self, plan: &TowerPlan) -> usize {
        let ids = (0..plan.parameters.len()).filter(|id| self.training && !self.keeps_gradient[*id]);
        ids.map(|id| self.padded_len(plan, ParamId(id)) * size_of::<f32>()).sum()
    }

    /// Elements of a parameter with the padding of its rows.
    pub(crate) fn padded_len(&self, plan: &TowerPlan, id: ParamId) -> usize {
        let (parameter, padding) = (&plan.parameters[id.0], &self.paddings[id.0]);
        parameter.len() / padding.rows() * padding.padded_rows()
    }

    /// Whether the products read a copy of the values: in another element type, or with other rows.
    pub(crate) fn has_copy(&self, plan: &TowerPlan, id: ParamId, precision: Precision) -> bool {
        let bias = plan.parameters[id.0].bias;
        !bias && (precision == Precision::Bf16 || !self.paddings[id.0].is_none())
    }

    /// First byte of the choices of the normalised pool that reads `input`, where they are kept.
    pub(crate) fn choice(&self, input: BufferId) -> Option<usize> {
        self.choices.iter().find(|(id, _)| *id == input).map(|(_, offset)| *offset)
    }

    pub(crate) fn place(&self, id: BufferId) -> Option<&Place> {
        self.buffers.get(id.0)
    }

    /// The padding of what a layer with parameters reads: that of the image, or none.
    pub(crate) fn padding(&self, input: BufferId, window: &Window, maps: usize) -> Padding {
        match self.buffers.get(input.0).map(|place| place.store) {
            Some(Store::Image(padding)) => padding,
            _ => Padding::none(window.size, maps),
        }
    }
}

impl Place {
    /// For messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// All ops of a tower, forward and backward.
fn ops(plan: &Plan, tower: usize) -> impl Iterator<Item = &Op> {
    plan.forward.iter().chain(&plan.backward).flat_map(move |stage| match stage {
        Stage::Compute(ops) => ops[tower].as_slice(),
        Stage::Exchange(_) => &[],
    })
}

/// The padding of the image, where only convolutions read it. The first layer alone has three input maps, too few for
/// 16-byte accesses.
fn image_padding(plan: &Plan, tower: usize, ops: &[&Op], precision: Precision) -> Option<Padding> {
    let input = plan.towers[tower].input;
    let mut padding = None;
    for op in ops.iter().filter(|op| op.operands().iter().any(|(id, _)| *id == input)) {
        let (Op::Conv { window, in_maps, input: read, .. }
        | Op::ConvWeightGradient { window, in_maps, input: read, .. }) = op
        else {
            return None;
        };
        if *read != input || *in_maps != CHANNELS {
            return None;
        }
        padding = Some(Padding::of_image(window, CHANNELS, precision.vector()));
    }
    let exchanged = plan.forward.iter().chain(&plan.backward).any(|stage| match stage {
        Stage::Exchange(exchange) => exchange.operands(tower).iter().any(|(id, _)| *id == input),
        Stage::Compute(_) => false,
    });
    padding.filter(|_| !exchanged)
}

/// Logits and probabilities.
fn exact_buffers(ops: &[&Op]) -> Vec<BufferId> {
    let of = |op: &&Op| match op {
        Op::Softmax { logits, probabilities, .. } => vec![*logits, *probabilities],
        _ => Vec::new(),
    };
    ops.iter().flat_map(of).collect()
}

/// Places for the choices of normalised pools whose gradient is in the plan; `bytes` grows by what they take.
fn choices(ops: &[&Op], batch: usize, bytes: &mut usize) -> Vec<(BufferId, usize)> {
    let mut choices = Vec::new();
    for op in ops {
        let Op::LrnPool { window, maps, input, .. } = op else { continue };
        let wanted = |op: &&&Op| matches!(op, Op::LrnPoolGradient { input: read, .. } if read == input);
        if ops.iter().any(|op| wanted(&op)) {
            choices.push((*input, *bytes));
            let elements = batch * window.output * window.output * maps;
            *bytes += (elements * size_of::<u16>()).next_multiple_of(ALIGNMENT);
        }
    }
    choices
}

/// The padding of each parameter's rows.
fn paddings(plan: &TowerPlan, ops: &[&Op], image: Option<Padding>) -> Vec<Padding> {
    let mut paddings: Vec<Padding> = plan
        .parameters
        .iter()
        .map(|parameter| {
            Padding::none(1, if parameter.bias { 1 } else { parameter.len() / parameter.outputs() })
        })
        .collect();
    for op in ops {
        if let (Op::Conv { input, weights, .. } | Op::ConvWeightGradient { input, weights, .. }, Some(image)) =
            (op, image)
            && *input == plan.input
        {
            paddings[weights.0] = image;
        }
    }
    paddings
}

fn keeps_gradient(plan: &TowerPlan, ops: &[&Op]) -> Vec<bool> {
    let mut keeps = vec![true; plan.parameters.len()];
    for op in ops {
        if let Op::DenseWeightGradient { weights, .. } = op {
            keeps[weights.0] = false;
        }
    }
    keeps
}

/// The most that one tower sends another at once.
fn exchange_bytes(plan: &Plan, element: usize) -> usize {
    let of = |stage: &Stage| match stage {
        Stage::Exchange(Exchange::Gather { positions, maps, .. })
        | Stage::Exchange(Exchange::GatherGradient { positions, maps, .. }) => positions * maps,
        Stage::Compute(_) => 0,
    };
    let most = plan.forward.iter().chain(&plan.backward).map(of).max().unwrap_or(0);
    (most * plan.batch * element).next_multiple_of(ALIGNMENT)
}
