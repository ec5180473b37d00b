//! Fusion, a pass over the plan: fewer trips through memory, the same results.
//!
//! - a convolution, locally connected or dense layer takes the activation that follows it in place;
//! - LRN directly before a max pool becomes one op (and so do their gradients), so that the normalised maps, the
//!   largest buffers of the paper's net after conv1, are never stored;
//! - the gradient of a pool takes the gradient of the activation before it along.

use crate::{Activation, BufferId, Op, Plan, PoolKind, Stage};

/// Fuses all towers' ops.
pub(crate) fn run(plan: &mut Plan) {
    for tower in 0..plan.towers.len() {
        for ops in compute(&mut plan.forward, tower) {
            activations(ops);
        }
        while let Some(normalised) = fusible_norm(plan, tower) {
            for ops in compute(&mut plan.forward, tower).chain(compute(&mut plan.backward, tower)) {
                norm_pools(ops, normalised);
            }
        }
        for ops in compute(&mut plan.backward, tower) {
            activation_gradients(ops);
        }
        drop_unused(plan, tower);
    }
}

fn compute(stages: &mut [Stage], tower: usize) -> impl Iterator<Item = &mut Vec<Op>> {
    stages.iter_mut().filter_map(move |stage| match stage {
        Stage::Compute(ops) => Some(&mut ops[tower]),
        Stage::Exchange(_) => None,
    })
}

/// Gives each product the activation behind it.
fn activations(ops: &mut Vec<Op>) {
    for index in (1..ops.len()).rev() {
        let Op::Activate { activation: following, input, output: result, .. } = ops[index] else { continue };
        if let Op::Conv { output, activation, .. }
        | Op::Local { output, activation, .. }
        | Op::Dense { output, activation, .. } = &mut ops[index - 1]
            && (*output, *activation) == (input, Activation::None)
            && input == result
        {
            *activation = following;
            ops.remove(index);
        }
    }
}

/// The output of an LRN that only the max pool behind it (and that pool's gradient) reads.
fn fusible_norm(plan: &Plan, tower: usize) -> Option<BufferId> {
    let candidates = plan.forward.iter().flat_map(|stage| match stage {
        Stage::Compute(ops) => ops[tower].windows(2).collect::<Vec<_>>(),
        Stage::Exchange(_) => Vec::new(),
    });
    candidates.into_iter().find_map(|pair| match pair {
        [Op::Lrn { output, .. }, Op::Pool { kind: PoolKind::Max, input, .. }]
            if output == input && !read_elsewhere(plan, tower, *output) =>
        {
            Some(*output)
        }
        _ => None,
    })
}

/// Whether anything but one LRN, one pool and its gradient touches the buffer.
fn read_elsewhere(plan: &Plan, tower: usize, buffer: BufferId) -> bool {
    let kept = plan.towers[tower].outputs.iter().any(|output| output.buffer == buffer);
    kept || plan.forward.iter().chain(&plan.backward).any(|stage| match stage {
        Stage::Compute(ops) => ops[tower].iter().any(|op| {
            !matches!(op, Op::Lrn { .. } | Op::Pool { .. } | Op::PoolGradient { .. })
                && op.operands().iter().any(|(id, _)| *id == buffer)
        }),
        Stage::Exchange(exchange) => exchange.operands(tower).iter().any(|(id, _)| *id == buffer),
    })
}

/// Joins the two ops around the buffer `normalised`, forward or backward.
fn norm_pools(ops: &mut Vec<Op>, normalised: BufferId) {
    for index in (1..ops.len()).rev() {
        let fused = match (&ops[index - 1], &ops[index]) {
            (&Op::Lrn { norm, input, output: between, .. }, &Op::Pool { window, maps, output, .. })
                if between == normalised =>
            {
                Op::LrnPool { norm, window, maps, input, output }
            }
            (
                &Op::PoolGradient { window, maps, input: between, output_gradient, .. },
                &Op::LrnGradient { norm, input, input_gradient, .. },
            ) if between == normalised => {
                let activation = Activation::None;
                Op::LrnPoolGradient { norm, window, maps, input, output_gradient, input_gradient, activation }
            }
            _ => continue,
        };
        ops[index - 1] = fused;
        ops.remove(index);
    }
}

/// Gives each pool's gradient the activation whose output it pooled.
fn activation_gradients(ops: &mut Vec<Op>) {
    for index in (1..ops.len()).rev() {
        let Op::ActivationGradient { activation: before, output, gradient, .. } = ops[index] else {
            continue;
        };
        if let Op::PoolGradient { input, input_gradient, activation, .. }
        | Op::LrnPoolGradient { input, input_gradient, activation, .. } = &mut ops[index - 1]
            && (*input, *input_gradient, *activation) == (output, gradient, Activation::None)
        {
            *activation = before;
            ops.remove(index);
        }
    }
}

/// Removes the buffers that fusion has left without use and renumbers the rest.
fn drop_unused(plan: &mut Plan, tower: usize) {
    let plan_tower = &mut plan.towers[tower];
    let mut used = vec![false; plan_tower.buffers.len()];
    used[plan_tower.input.0] = true;
    let stages = || plan.forward.iter().chain(&plan.backward);
    for (id, _) in stages().flat_map(|stage| stage.operands(tower)) {
        used[id.0] = true;
    }
    let mut next = 0;
    let renumbered: Vec<BufferId> = used
        .iter()
        .map(|used| {
            next += usize::from(*used);
            BufferId(next.saturating_sub(1))
        })
        .collect();
    let mut keep = used.iter();
    plan_tower.buffers.retain(|_| *keep.next().expect("as many marks as buffers"));

    let outputs = plan_tower.outputs.iter_mut().map(|output| &mut output.buffer);
    let ends = [&mut plan_tower.input].into_iter().chain(plan_tower.probabilities.as_mut()).chain(outputs);
    let stages = plan.forward.iter_mut().chain(&mut plan.backward);
    for id in ends.chain(stages.flat_map(|stage| stage.operands_mut(tower).into_iter().map(|(id, _)| id))) {
        *id = renumbered[id.0];
    }
}
