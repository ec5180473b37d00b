//! Fusion, a pass over the plan: fewer trips through memory, the same results.
//!
//! - a convolution, locally connected or dense layer takes the activation that follows it in place, also a ReLU from behind a
//!   max pool: the largest of what ReLU leaves is what it leaves of the largest;
//! - LRN directly before a max pool becomes one op (and so do their gradients), so that the normalised maps, the
//!   largest buffers of the paper's net after conv1, are never stored;
//! - the gradient of a pool takes the gradient of the activation before it along.

use crate::{Activation, BufferId, Op, Plan, PoolKind, Stage, Window};

/// Fuses all towers' ops.
pub(crate) fn run(plan: &mut Plan) {
    for tower in 0..plan.towers.len() {
        while let Some(maps) = pooled_before_relu(plan, tower) {
            for ops in compute(&mut plan.forward, tower).chain(compute(&mut plan.backward, tower)) {
                relu_before_pool(ops, maps);
            }
        }
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

/// The output of a layer with weights that only a max pool (and that pool's gradient) reads, with a ReLU behind the pool.
fn pooled_before_relu(plan: &Plan, tower: usize) -> Option<BufferId> {
    neighbours(&plan.forward, tower, 3).find_map(|ops| match ops {
        [
            Op::Conv { output: maps, activation: Activation::None, .. }
            | Op::Local { output: maps, activation: Activation::None, .. },
            Op::Pool { kind: PoolKind::Max, input, output, .. },
            Op::Activate { activation: Activation::Relu, input: pooled, output: result, .. },
        ] if maps == input && [pooled, result] == [output; 2] => {
            let layers = |op: &Op| {
                matches!(op, Op::Conv { output, .. } | Op::Local { output, .. } if output == maps)
                    || matches!(op, Op::Pool { .. } | Op::PoolGradient { .. })
            };
            (!used_elsewhere(plan, tower, *maps, layers)).then_some(*maps)
        }
        _ => None,
    })
}

/// Lets ReLU come before the pool that reads `maps`, forward or backward.
fn relu_before_pool(ops: &mut [Op], maps: BufferId) {
    for index in 1..ops.len() {
        let elements = |window: &Window, maps: usize| window.input * window.input * maps;
        let (before, after) = match (&ops[index - 1], &ops[index]) {
            (
                pool @ &Op::Pool { window, maps: count, input, output, .. },
                &Op::Activate { activation, input: pooled, .. },
            ) if input == maps && pooled == output => {
                let elements = elements(&window, count);
                (Op::Activate { elements, activation, input: maps, output: maps }, pool.clone())
            }
            (
                &Op::ActivationGradient { activation, gradient, .. },
                pool @ &Op::PoolGradient {
                    window, maps: count, input, output_gradient, input_gradient, ..
                },
            ) if input == maps && gradient == output_gradient => {
                let elements = elements(&window, count);
                let gradient = input_gradient;
                (pool.clone(), Op::ActivationGradient { elements, activation, output: maps, gradient })
            }
            _ => continue,
        };
        (ops[index - 1], ops[index]) = (before, after);
    }
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
    neighbours(&plan.forward, tower, 2).find_map(|pair| match pair {
        [Op::Lrn { output, .. }, Op::Pool { kind: PoolKind::Max, input, .. }] if output == input => {
            let layers = |op: &Op| matches!(op, Op::Lrn { .. } | Op::Pool { .. } | Op::PoolGradient { .. });
            (!used_elsewhere(plan, tower, *output, layers)).then_some(*output)
        }
        _ => None,
    })
}

/// Each `count` ops of a tower that follow each other.
fn neighbours(stages: &[Stage], tower: usize, count: usize) -> impl Iterator<Item = &[Op]> {
    stages.iter().flat_map(move |stage| match stage {
        Stage::Compute(ops) => ops[tower].windows(count),
        Stage::Exchange(_) => [].windows(count),
    })
}

/// Whether anything but these ops uses the buffer.
fn used_elsewhere(plan: &Plan, tower: usize, buffer: BufferId, by: impl Fn(&Op) -> bool) -> bool {
    let kept = plan.towers[tower].outputs.iter().any(|output| output.buffer == buffer);
    kept || plan.forward.iter().chain(&plan.backward).any(|stage| match stage {
        Stage::Compute(ops) => {
            ops[tower].iter().any(|op| !by(op) && op.operands().iter().any(|(id, _)| *id == buffer))
        }
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
