//! The ops of a plan as plain f64 loops: what the formulas say and nothing else. Slow; for tests only. Every buffer has
//! memory of its own, so a mistake of the memory planner shows as a difference from a backend that uses the arena.

mod conv;
mod dense;
mod elementwise;
mod local;
mod norm;
mod pool;
mod tower;

use ilsvrc_diagnostics::Result;
use ilsvrc_network::{
    Backend, BufferId, Exchange, Input, Net, Op, ParamId, Pass, Plan, PoolKind, Slot, UpdateRule,
};
pub use tower::ReferenceTower;

/// Executes plans in f64; values enter and leave as f32.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReferenceBackend;

impl Backend for ReferenceBackend {
    type Tower = ReferenceTower;

    fn allocate(&self, plan: &Plan, tower: usize, _place: usize) -> Result<ReferenceTower> {
        Ok(ReferenceTower::new(plan, tower))
    }

    fn load(&self, towers: &mut [ReferenceTower], net: &Net, input: &Input) -> Result<()> {
        let crop = net.crop;
        let mut seen = Vec::with_capacity(input.views.len() * crop * crop * 3);
        for view in input.views {
            for y in 0..crop {
                for x in 0..crop {
                    let x = if view.mirror { crop - 1 - x } else { x };
                    let row = view.image as usize * input.side + usize::from(view.crop[0]) + y;
                    let pixel = row * input.side + usize::from(view.crop[1]) + x;
                    let mean =
                        (usize::from(view.mean[0]) + y) * input.mean_side + usize::from(view.mean[1]) + x;
                    for channel in 0..3 {
                        seen.push(
                            f64::from(input.pixels[pixel * 3 + channel])
                                - f64::from(input.mean[mean * 3 + channel])
                                + f64::from(view.colour[channel]),
                        );
                    }
                }
            }
        }
        for tower in towers {
            tower.set(tower.input, &seen);
            tower.labels = input.labels.to_vec();
        }
        Ok(())
    }

    fn run(&self, tower: &mut ReferenceTower, ops: &[Op], pass: &Pass) -> Result<()> {
        tower.images = pass.batch;
        ops.iter().for_each(|op| run(tower, op, pass));
        Ok(())
    }

    fn exchange(&self, towers: &mut [ReferenceTower], exchange: &Exchange, pass: &Pass) -> Result<()> {
        towers.iter_mut().for_each(|tower| tower.images = pass.batch);
        match exchange {
            Exchange::Gather { positions, maps, own, gathered } => {
                for (t, gathered) in gathered.iter().enumerate() {
                    let Some(gathered) = gathered else { continue };
                    let mut values = Vec::new();
                    for position in 0..pass.batch * positions {
                        for (u, own) in own.iter().enumerate() {
                            values.extend(&towers[u].get(*own)[position * maps..][..*maps]);
                        }
                    }
                    towers[t].set(*gathered, &values);
                }
            }
            Exchange::GatherGradient { positions, maps, gathered_gradient, own_gradient } => {
                let all = maps * own_gradient.len();
                for (u, own_gradient) in own_gradient.iter().enumerate() {
                    let mut sums = vec![0.0; pass.batch * positions * maps];
                    for (t, gathered) in gathered_gradient.iter().enumerate() {
                        let Some(gathered) = gathered else { continue };
                        let gathered = towers[t].get(*gathered);
                        for (i, sum) in sums.iter_mut().enumerate() {
                            *sum += gathered[(i / maps) * all + u * maps + i % maps];
                        }
                    }
                    towers[u].set(*own_gradient, &sums);
                }
            }
        }
        Ok(())
    }

    fn update(&self, tower: &mut ReferenceTower, rule: &UpdateRule) -> Result<()> {
        for parameter in &mut tower.parameters {
            let learning = parameter.learning;
            let (rate, decay) = if parameter.bias {
                (rule.rate * learning.bias_rate, 0.0)
            } else {
                (rule.rate * learning.weight_rate, learning.decay.unwrap_or(rule.decay))
            };
            let (rate, decay, momentum) = (f64::from(rate), f64::from(decay), f64::from(rule.momentum));
            for i in 0..parameter.value.len() {
                let v = &mut parameter.velocity[i];
                *v = momentum * *v - decay * rate * parameter.value[i] - rate * parameter.gradient[i];
                parameter.value[i] += *v;
            }
        }
        Ok(())
    }

    fn read_buffer(&self, tower: &ReferenceTower, buffer: BufferId, out: &mut [f32]) -> Result<()> {
        tower::narrow(tower.whole(buffer), out);
        Ok(())
    }

    fn write_buffer(&self, tower: &mut ReferenceTower, buffer: BufferId, data: &[f32]) -> Result<()> {
        tower.set(buffer, &data.iter().copied().map(f64::from).collect::<Vec<_>>());
        Ok(())
    }

    fn read_parameter(&self, tower: &ReferenceTower, id: ParamId, slot: Slot, out: &mut [f32]) -> Result<()> {
        tower::narrow(tower.parameters[id.0].slot(slot), out);
        Ok(())
    }

    fn write_parameter(
        &self,
        tower: &mut ReferenceTower,
        id: ParamId,
        slot: Slot,
        data: &[f32],
    ) -> Result<()> {
        *tower.parameters[id.0].slot_mut(slot) = data.iter().copied().map(f64::from).collect();
        Ok(())
    }
}

/// One op over the images of the pass.
fn run(tower: &mut ReferenceTower, op: &Op, pass: &Pass) {
    let n = pass.batch;
    match *op {
        Op::Conv { window, in_maps, out_maps, input, weights, bias, output, activation } => {
            let sums = conv::forward(
                &conv::Shape { window, in_maps, out_maps },
                n,
                tower.get(input),
                tower.value(weights),
                tower.value(bias),
            );
            tower.set(output, &elementwise::activate(activation, &sums));
        }
        Op::ConvInputGradient { window, in_maps, out_maps, output_gradient, weights, input_gradient } => {
            let shape = conv::Shape { window, in_maps, out_maps };
            let gradient = conv::input_gradient(&shape, n, tower.get(output_gradient), tower.value(weights));
            tower.set(input_gradient, &gradient);
        }
        Op::ConvWeightGradient { window, in_maps, out_maps, input, output_gradient, weights, bias } => {
            let shape = conv::Shape { window, in_maps, out_maps };
            let gradients = conv::weight_gradient(&shape, n, tower.get(input), tower.get(output_gradient));
            tower.set_gradients(weights, bias, gradients);
        }
        Op::Local { window, in_maps, out_maps, input, weights, bias, output, activation } => {
            let shape = conv::Shape { window, in_maps, out_maps };
            let sums = local::forward(&shape, n, tower.get(input), tower.value(weights), tower.value(bias));
            tower.set(output, &elementwise::activate(activation, &sums));
        }
        Op::LocalInputGradient { window, in_maps, out_maps, output_gradient, weights, input_gradient } => {
            let shape = conv::Shape { window, in_maps, out_maps };
            let gradient = local::input_gradient(&shape, n, tower.get(output_gradient), tower.value(weights));
            tower.set(input_gradient, &gradient);
        }
        Op::LocalWeightGradient { window, in_maps, out_maps, input, output_gradient, weights, bias } => {
            let shape = conv::Shape { window, in_maps, out_maps };
            let gradients = local::weight_gradient(&shape, n, tower.get(input), tower.get(output_gradient));
            tower.set_gradients(weights, bias, gradients);
        }
        Op::Dense { inputs, outputs, input, weights, bias, output, activation } => {
            let sums = dense::forward(
                [n, inputs, outputs],
                tower.get(input),
                tower.value(weights),
                tower.value(bias),
            );
            tower.set(output, &elementwise::activate(activation, &sums));
        }
        Op::DenseInputGradient { inputs, outputs, output_gradient, weights, input_gradient } => {
            let gradient =
                dense::input_gradient([n, inputs, outputs], tower.get(output_gradient), tower.value(weights));
            tower.set(input_gradient, &gradient);
        }
        Op::DenseWeightGradient { inputs, outputs, input, output_gradient, weights, bias } => {
            let gradients =
                dense::weight_gradient([n, inputs, outputs], tower.get(input), tower.get(output_gradient));
            tower.set_gradients(weights, bias, gradients);
        }
        Op::Activate { activation, input, output, .. } => {
            let values = elementwise::activate(activation, tower.get(input));
            tower.set(output, &values);
        }
        Op::ActivationGradient { activation, output, gradient, .. } => {
            let values = elementwise::activation_gradient(activation, tower.get(output), tower.get(gradient));
            tower.set(gradient, &values);
        }
        Op::Lrn { norm, maps, input, output, .. } => {
            let values = norm::forward(&norm, norm::Neighbours::Maps { maps }, tower.get(input));
            tower.set(output, &values);
        }
        Op::LrnGradient { norm, maps, input, output_gradient, input_gradient, .. } => {
            let neighbours = norm::Neighbours::Maps { maps };
            let values = norm::gradient(&norm, neighbours, tower.get(input), tower.get(output_gradient));
            tower.set(input_gradient, &values);
        }
        Op::MapNorm { norm, side, maps, input, output } => {
            let values = norm::forward(&norm, norm::Neighbours::Positions { side, maps }, tower.get(input));
            tower.set(output, &values);
        }
        Op::MapNormGradient { norm, side, maps, input, output_gradient, input_gradient } => {
            let neighbours = norm::Neighbours::Positions { side, maps };
            let values = norm::gradient(&norm, neighbours, tower.get(input), tower.get(output_gradient));
            tower.set(input_gradient, &values);
        }
        Op::Pool { kind, window, maps, input, output } => {
            let values = pool::forward(kind, &window, maps, n, tower.get(input));
            tower.set(output, &values);
        }
        Op::PoolGradient { kind, window, maps, input, output_gradient, input_gradient, activation } => {
            let values = pool::gradient(kind, &window, maps, n, tower.get(input), tower.get(output_gradient));
            let values = elementwise::activation_gradient(activation, tower.get(input), &values);
            tower.set(input_gradient, &values);
        }
        Op::LrnPool { norm, window, maps, input, output } => {
            let normed = norm::forward(&norm, norm::Neighbours::Maps { maps }, tower.get(input));
            tower.set(output, &pool::forward(PoolKind::Max, &window, maps, n, &normed));
        }
        Op::LrnPoolGradient { norm, window, maps, input, output_gradient, input_gradient, activation } => {
            let neighbours = norm::Neighbours::Maps { maps };
            let normed = norm::forward(&norm, neighbours, tower.get(input));
            let inner = pool::gradient(PoolKind::Max, &window, maps, n, &normed, tower.get(output_gradient));
            let values = norm::gradient(&norm, neighbours, tower.get(input), &inner);
            let values = elementwise::activation_gradient(activation, tower.get(input), &values);
            tower.set(input_gradient, &values);
        }
        Op::Dropout { elements, rate, layer, buffer } => {
            let of = (layer, tower.number);
            let values = elementwise::dropout(rate, of, elements, pass.mode, tower.get(buffer));
            tower.set(buffer, &values);
        }
        Op::DropoutGradient { elements, rate, layer, gradient } => {
            let of = (layer, tower.number);
            let values = elementwise::dropout(rate, of, elements, pass.mode, tower.get(gradient));
            tower.set(gradient, &values);
        }
        Op::Softmax { classes, logits, probabilities, gradient } => {
            let values = elementwise::softmax(classes, tower.get(logits));
            if let Some(gradient) = gradient
                && !tower.labels.is_empty()
            {
                let slope = elementwise::cross_entropy_gradient(classes, &values, &tower.labels);
                tower.set(gradient, &slope);
            }
            tower.set(probabilities, &values);
        }
    }
}
