//! What a part of a training step is, and what it costs: floating-point operations and bytes of memory.
//!
//! A multiply-add is two operations. Convolutions count as direct ones, whatever way they are computed: one that needs fewer
//! multiplications may exceed the peak. Bytes are those that have to be fetched: of operands and of results, each once, f32, since
//! a line of the cache is fetched before it is written. The way back to memory goes on beside, and is not counted; what caches
//! save or working memory adds is not known here.

use ilsvrc_network::{BufferId, Exchange, Op, ParamId, Plan, Stage};

/// Bytes of an f32.
const BYTES: usize = 4;

/// A part of a step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// `conv`, `dense`, `norm+pool`, `pool`, `update`, ...
    pub(crate) kind: &'static str,
    /// The layer it belongs to, or the one before it that has a name; empty where it belongs to none.
    pub(crate) layer: String,
    /// `forward`, `gradient`, `input-gradient`, `weight-gradient`; empty for what is neither.
    pub(crate) pass: &'static str,
    /// Operations for the whole batch.
    pub(crate) flops: usize,
    /// Bytes for the whole batch.
    pub(crate) bytes: usize,
}

/// What a step does, in order.
pub(crate) enum Work<'a> {
    /// Photos to the input of all towers.
    Load,
    /// An op of a tower.
    Op(usize, &'a Op),
    /// Towers meet.
    Exchange(&'a Exchange),
    /// The loss is read.
    Loss,
    /// A tower learns.
    Update(usize),
}

/// All of a training step.
pub(crate) fn training_step(plan: &Plan) -> Vec<Work<'_>> {
    let mut all = vec![Work::Load];
    all.extend(stages(&plan.forward));
    all.push(Work::Loss);
    all.extend(stages(&plan.backward));
    all.extend((0..plan.towers.len()).map(Work::Update));
    all
}

/// Ops and exchanges of some stages, tower by tower.
pub(crate) fn stages(stages: &[Stage]) -> impl Iterator<Item = Work<'_>> {
    stages.iter().flat_map(|stage| match stage {
        Stage::Compute(towers) => towers
            .iter()
            .enumerate()
            .flat_map(|(tower, ops)| ops.iter().map(move |op| Work::Op(tower, op)))
            .collect(),
        Stage::Exchange(exchange) => vec![Work::Exchange(exchange)],
    })
}

/// Operations of the convolutions and dense layers in `work`, for one image.
pub(crate) fn flops<'a>(work: impl IntoIterator<Item = Work<'a>>) -> usize {
    let of = |work| if let Work::Op(_, op) = work { op_flops(op) } else { 0 };
    work.into_iter().map(of).sum()
}

fn op_flops(op: &Op) -> usize {
    match *op {
        Op::Conv { window, in_maps, out_maps, .. }
        | Op::ConvInputGradient { window, in_maps, out_maps, .. }
        | Op::ConvWeightGradient { window, in_maps, out_maps, .. } => {
            2 * window.output.pow(2) * window.size.pow(2) * in_maps * out_maps
        }
        Op::Local { window, in_maps, out_maps, .. }
        | Op::LocalInputGradient { window, in_maps, out_maps, .. }
        | Op::LocalWeightGradient { window, in_maps, out_maps, .. } => {
            2 * window.output.pow(2) * window.size.pow(2) * in_maps * out_maps
        }
        Op::Dense { inputs, outputs, .. }
        | Op::DenseInputGradient { inputs, outputs, .. }
        | Op::DenseWeightGradient { inputs, outputs, .. } => 2 * inputs * outputs,
        _ => 0,
    }
}

/// What `work` is and costs.
pub(crate) fn part(plan: &Plan, work: &Work) -> Part {
    let plain = |kind, bytes| Part { kind, layer: String::new(), pass: "", flops: 0, bytes };
    let learned = |tower: usize| plan.towers[tower].parameters.iter().map(|p| p.len()).sum::<usize>();
    match *work {
        // u8 photos are read for each tower.
        Work::Load => {
            let values = plan.net.crop * plan.net.crop * 3 * plan.batch * plan.towers.len();
            plain("input", values * (BYTES + 1))
        }
        Work::Op(tower, op) => op_part(plan, tower, op),
        Work::Exchange(exchange) => {
            let operands = (0..plan.towers.len()).flat_map(|tower| {
                exchange.operands(tower).into_iter().map(move |(id, _)| fetched(plan, tower, id))
            });
            plain("exchange", operands.sum())
        }
        Work::Loss => plain("loss", plan.batch * plan.classes * BYTES),
        // Weights, velocities and gradients.
        Work::Update(tower) => plain("update", learned(tower) * 3 * BYTES),
    }
}

fn op_part(plan: &Plan, tower: usize, op: &Op) -> Part {
    let parameter = |id: ParamId| &plan.towers[tower].parameters[id.0];
    let of_weights = |kind, pass, id: ParamId| {
        let layer = plan.net.label(parameter(id).layer);
        (kind, layer, pass, parameter(id).len() * BYTES)
    };
    // Buffers are called after the layer whose values they hold: `conv1`, `conv2 max_pool`.
    let of_buffer = |kind, pass, id: BufferId| {
        let name = &plan.towers[tower].buffers[id.0].name;
        (kind, name.split(' ').next().unwrap_or_default().to_owned(), pass, 0)
    };
    let of_layer = |kind, pass, index: u32| {
        let layer = plan.net.label(index as usize);
        (kind, layer.split(' ').next().unwrap_or_default().to_owned(), pass, 0)
    };
    let (kind, layer, pass, weights) = match *op {
        Op::Conv { weights, .. } => of_weights("conv", "forward", weights),
        Op::ConvInputGradient { weights, .. } => of_weights("conv", "input-gradient", weights),
        Op::ConvWeightGradient { weights, .. } => of_weights("conv", "weight-gradient", weights),
        Op::Local { weights, .. } => of_weights("local", "forward", weights),
        Op::LocalInputGradient { weights, .. } => of_weights("local", "input-gradient", weights),
        Op::LocalWeightGradient { weights, .. } => of_weights("local", "weight-gradient", weights),
        Op::Dense { weights, .. } => of_weights("dense", "forward", weights),
        Op::DenseInputGradient { weights, .. } => of_weights("dense", "input-gradient", weights),
        Op::DenseWeightGradient { weights, .. } => of_weights("dense", "weight-gradient", weights),
        Op::Activate { output, .. } => of_buffer("activation", "forward", output),
        Op::ActivationGradient { output, .. } => of_buffer("activation", "gradient", output),
        Op::Lrn { input, .. } | Op::MapNorm { input, .. } => of_buffer("norm", "forward", input),
        Op::LrnGradient { input, .. } | Op::MapNormGradient { input, .. } => {
            of_buffer("norm", "gradient", input)
        }
        Op::Pool { input, .. } => of_buffer("pool", "forward", input),
        Op::PoolGradient { input, .. } => of_buffer("pool", "gradient", input),
        Op::LrnPool { input, .. } => of_buffer("norm+pool", "forward", input),
        Op::LrnPoolGradient { input, .. } => of_buffer("norm+pool", "gradient", input),
        Op::Dropout { layer, .. } => of_layer("dropout", "forward", layer),
        Op::DropoutGradient { layer, .. } => of_layer("dropout", "gradient", layer),
        Op::Softmax { .. } => ("softmax", String::new(), "", 0),
    };
    let operands = op.operands().into_iter().map(|(id, _)| fetched(plan, tower, id));
    let bytes = operands.sum::<usize>() + weights;
    Part { kind, layer, pass, flops: op_flops(op) * plan.batch, bytes }
}

/// Bytes of a buffer.
fn fetched(plan: &Plan, tower: usize, id: BufferId) -> usize {
    plan.towers[tower].buffers[id.0].elements * plan.batch * BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use ilsvrc_network::{Use, examples};

    #[test]
    fn the_papers_net_costs_what_its_shapes_say() {
        let plan = Plan::new(&examples::alexnet(), 1, Use::Training).unwrap();
        // Two operations for each of the 724,406,816 connections.
        assert_eq!(flops(stages(&plan.forward)), 2 * 724_406_816);
        // Both gradients of every layer, but none of the image: conv1 has 55 x 55 positions of 11 x 11 x 3 x 96.
        let first = 2 * 55 * 55 * 11 * 11 * 3 * 96;
        assert_eq!(flops(training_step(&plan)), 3 * 2 * 724_406_816 - first);
    }

    #[test]
    fn parts_are_called_after_their_layers_and_move_their_operands() {
        let batch = 2;
        let plan = Plan::new(&examples::alexnet(), batch, Use::Training).unwrap();
        let parts: Vec<Part> = training_step(&plan).iter().map(|work| part(&plan, work)).collect();
        let find = |kind, layer, pass| {
            parts
                .iter()
                .find(|part| (part.kind, part.layer.as_str(), part.pass) == (kind, layer, pass))
                .unwrap()
        };
        let (maps, pooled) = (55 * 55 * 48, 27 * 27 * 48);
        assert_eq!(find("norm+pool", "conv1", "forward").bytes, batch * (maps + pooled) * 4);
        assert_eq!(find("norm+pool", "conv1", "gradient").bytes, batch * (2 * maps + pooled) * 4);
        let weights = 9216 * 2048;
        assert_eq!(find("dense", "fc6", "forward").bytes, (batch * (9216 + 2048) + weights) * 4);
        assert_eq!(find("dense", "fc6", "forward").flops, batch * 2 * weights);
        // In place.
        assert_eq!(find("dropout", "fc6", "forward").bytes, batch * 2048 * 4);
        // Maps of both towers are read once for each and written for each.
        let exchanges = parts.iter().filter(|part| part.kind == "exchange").count();
        assert_eq!(exchanges, 8);
        let updates: usize = parts.iter().filter(|part| part.kind == "update").map(|part| part.bytes).sum();
        assert_eq!(updates, 60_965_224 * 3 * 4);
    }
}
