//! From an op to the function that computes it: finds its operands and checks their sizes.

use crate::arena::views;
use crate::backend::{CpuBackend, CpuTower, Machine, Tensors};
use crate::conv::Pooled;
use crate::gemm::Kernel;
use crate::{conv, dense, dropout, elementwise, local, norm, pool};
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_network::{BufferId, Mode, Op, ParamId, Pass, Window};
use ilsvrc_random::{Purpose, Stream};
use std::ops::Range;

/// Elements of the maps that a window reads.
fn read(window: &Window, maps: usize) -> usize {
    window.input * window.input * maps
}

/// Elements of the maps that it writes.
fn written(window: &Window, maps: usize) -> usize {
    window.output * window.output * maps
}

/// Refuses parameters that do not have the op's sizes.
fn sized(parameters: &[Tensors], weights: ParamId, rows: usize, bias: ParamId, outputs: usize) -> Result<()> {
    let length = |id: ParamId| parameters.get(id.0).map(|p| p.value.len());
    if length(weights) == Some(rows * outputs) && length(bias) == Some(outputs) {
        return Ok(());
    }
    Err(Error::new(
        INTERNAL,
        format!("an op takes parameters {} and {} with {rows} x {outputs} weights", weights.0, bias.0),
    ))
}

/// A layer's two parameters.
fn pair(parameters: &mut [Tensors], weights: ParamId, bias: ParamId) -> Result<[&mut Tensors; 2]> {
    let same = |_| Error::new(INTERNAL, format!("parameters {} and {} are the same", weights.0, bias.0));
    parameters.get_disjoint_mut([weights.0, bias.0]).map_err(same)
}

/// Their gradients.
fn gradients(parameters: &mut [Tensors], weights: ParamId, bias: ParamId) -> Result<[&mut [f32]; 2]> {
    Ok(pair(parameters, weights, bias)?.map(|tensors| &mut tensors.gradient[..]))
}

/// Runs one op.
pub(crate) fn execute(backend: &CpuBackend, tower: &mut CpuTower, op: &Op, pass: &Pass) -> Result<()> {
    let batch = pass.batch;
    let (layout, arena, parameters) = (&tower.layout, &mut tower.arena[..], &mut tower.parameters[..]);
    let at = |id, elements| layout.range(id, elements, batch);
    let machine = &mut Machine {
        pool: &backend.places[tower.place],
        kernel: Kernel::of(backend.set),
        set: backend.set,
        convolution: backend.convolution,
        scratch: &mut tower.scratch,
    };
    if let Some(pooled) = tower.pooled.as_mut().filter(|pooled| pooled.takes(op)) {
        return execute_pooled(machine, pooled, arena, &at, parameters, op, pass);
    }
    match *op {
        Op::Conv { window, in_maps, out_maps, input, weights, bias, output, activation } => {
            sized(parameters, weights, window.size * window.size * in_maps, bias, out_maps)?;
            let ([x], [y]) = views(
                arena,
                [at(input, read(&window, in_maps))?],
                [at(output, written(&window, out_maps))?],
            )?;
            let shape = conv::Shape { window, in_maps, out_maps };
            let [Tensors { value, kept, .. }, bias] = pair(parameters, weights, bias)?;
            // While a net learns its weights are others in every pass.
            let kept = (pass.mode == Mode::Test).then_some(kept);
            conv::forward(machine, &shape, batch, x, (value, kept), &bias.value, activation, y)
        }
        Op::ConvInputGradient { window, in_maps, out_maps, output_gradient, weights, input_gradient } => {
            let ([dy], [dx]) = views(
                arena,
                [at(output_gradient, written(&window, out_maps))?],
                [at(input_gradient, read(&window, in_maps))?],
            )?;
            let shape = conv::Shape { window, in_maps, out_maps };
            conv::input_gradient(machine, &shape, batch, dy, &parameters[weights.0].value, dx)
        }
        Op::ConvWeightGradient { window, in_maps, out_maps, input, output_gradient, weights, bias } => {
            sized(parameters, weights, window.size * window.size * in_maps, bias, out_maps)?;
            let reads =
                [at(input, read(&window, in_maps))?, at(output_gradient, written(&window, out_maps))?];
            let ([x, dy], []) = views(arena, reads, [])?;
            let shape = conv::Shape { window, in_maps, out_maps };
            let [dw, db] = gradients(parameters, weights, bias)?;
            conv::weight_gradient(machine, &shape, batch, x, dy, dw, db)
        }
        Op::Local { window, in_maps, out_maps, input, weights, bias, output, activation } => {
            let outputs = written(&window, out_maps);
            sized(parameters, weights, window.size * window.size * in_maps, bias, outputs)?;
            let ([x], [y]) = views(arena, [at(input, read(&window, in_maps))?], [at(output, outputs)?])?;
            let shape = conv::Shape { window, in_maps, out_maps };
            let (weights, bias) = (&parameters[weights.0].value, &parameters[bias.0].value);
            local::forward(machine, &shape, batch, x, weights, bias, activation, y)
        }
        Op::LocalInputGradient { window, in_maps, out_maps, output_gradient, weights, input_gradient } => {
            let ([dy], [dx]) = views(
                arena,
                [at(output_gradient, written(&window, out_maps))?],
                [at(input_gradient, read(&window, in_maps))?],
            )?;
            let shape = conv::Shape { window, in_maps, out_maps };
            local::input_gradient(machine, &shape, batch, dy, &parameters[weights.0].value, dx)
        }
        Op::LocalWeightGradient { window, in_maps, out_maps, input, output_gradient, weights, bias } => {
            let outputs = written(&window, out_maps);
            sized(parameters, weights, window.size * window.size * in_maps, bias, outputs)?;
            let reads = [at(input, read(&window, in_maps))?, at(output_gradient, outputs)?];
            let ([x, dy], []) = views(arena, reads, [])?;
            let shape = conv::Shape { window, in_maps, out_maps };
            let [dw, db] = gradients(parameters, weights, bias)?;
            local::weight_gradient(machine, &shape, batch, x, dy, dw, db)
        }
        Op::Dense { inputs, outputs, input, weights, bias, output, activation } => {
            sized(parameters, weights, inputs, bias, outputs)?;
            let ([x], [y]) = views(arena, [at(input, inputs)?], [at(output, outputs)?])?;
            let (weights, bias) = (&parameters[weights.0].value, &parameters[bias.0].value);
            dense::forward(machine, dense::Shape { inputs, outputs }, batch, x, weights, bias, activation, y)
        }
        Op::DenseInputGradient { inputs, outputs, output_gradient, weights, input_gradient } => {
            let ([dy], [dx]) = views(arena, [at(output_gradient, outputs)?], [at(input_gradient, inputs)?])?;
            let shape = dense::Shape { inputs, outputs };
            dense::input_gradient(machine, shape, batch, dy, &parameters[weights.0].value, dx)
        }
        Op::DenseWeightGradient { inputs, outputs, input, output_gradient, weights, bias } => {
            sized(parameters, weights, inputs, bias, outputs)?;
            let ([x, dy], []) = views(arena, [at(input, inputs)?, at(output_gradient, outputs)?], [])?;
            let [dw, db] = gradients(parameters, weights, bias)?;
            dense::weight_gradient(machine, dense::Shape { inputs, outputs }, batch, x, dy, dw, db)
        }
        Op::Activate { elements, activation, input, output } => {
            if input != output {
                let ([x], [y]) = views(arena, [at(input, elements)?], [at(output, elements)?])?;
                y.copy_from_slice(x);
            }
            elementwise::activate(machine, activation, &mut arena[at(output, elements)?]);
            Ok(())
        }
        Op::ActivationGradient { elements, activation, output, gradient } => {
            let ([y], [g]) = views(arena, [at(output, elements)?], [at(gradient, elements)?])?;
            elementwise::activation_gradient(machine, activation, y, g);
            Ok(())
        }
        Op::Lrn { norm, positions, maps, input, output } => {
            let n = positions * maps;
            let ([x], [y]) = views(arena, [at(input, n)?], [at(output, n)?])?;
            norm::forward(machine, &norm, maps, x, y)
        }
        Op::LrnGradient { norm, positions, maps, input, output_gradient, input_gradient } => {
            let n = positions * maps;
            let ([x, dy], [dx]) =
                views(arena, [at(input, n)?, at(output_gradient, n)?], [at(input_gradient, n)?])?;
            norm::backward(machine, &norm, maps, x, dy, dx)
        }
        Op::MapNorm { norm, side, maps, input, output } => {
            let n = side * side * maps;
            let ([x], [y]) = views(arena, [at(input, n)?], [at(output, n)?])?;
            norm::map_forward(machine, &norm, side, maps, x, y)
        }
        Op::MapNormGradient { norm, side, maps, input, output_gradient, input_gradient } => {
            let n = side * side * maps;
            let ([x, dy], [dx]) =
                views(arena, [at(input, n)?, at(output_gradient, n)?], [at(input_gradient, n)?])?;
            norm::map_backward(machine, &norm, side, maps, x, dy, dx)
        }
        Op::Pool { kind, window, maps, input, output } => {
            let ([x], [y]) =
                views(arena, [at(input, read(&window, maps))?], [at(output, written(&window, maps))?])?;
            pool::forward(machine, kind, &window, maps, x, y)
        }
        Op::PoolGradient { kind, window, maps, input, output_gradient, input_gradient, activation } => {
            let (large, small) = (read(&window, maps), written(&window, maps));
            let ([x, dy], [dx]) =
                views(arena, [at(input, large)?, at(output_gradient, small)?], [at(input_gradient, large)?])?;
            pool::backward(machine, kind, &window, maps, x, dy, dx)?;
            elementwise::activation_gradient(machine, activation, x, dx);
            Ok(())
        }
        Op::LrnPool { norm, window, maps, input, output } => {
            let ([x], [y]) =
                views(arena, [at(input, read(&window, maps))?], [at(output, written(&window, maps))?])?;
            pool::norm_forward(machine, &norm, &window, maps, x, y)
        }
        Op::LrnPoolGradient { norm, window, maps, input, output_gradient, input_gradient, activation } => {
            let (large, small) = (read(&window, maps), written(&window, maps));
            let ([x, dy], [dx]) =
                views(arena, [at(input, large)?, at(output_gradient, small)?], [at(input_gradient, large)?])?;
            pool::norm_backward(machine, &norm, &window, maps, x, dy, dx)?;
            elementwise::activation_gradient(machine, activation, x, dx);
            Ok(())
        }
        Op::Dropout { elements, rate, layer, buffer } => {
            let values = &mut arena[at(buffer, elements)?];
            match pass.mode {
                Mode::Train { seed, step, first } => {
                    let stream = stream(seed, step, layer, tower.number);
                    dropout::mask(machine, &stream, first * elements, rate, values);
                }
                Mode::Test => dropout::scale(machine, 1.0 - rate, values),
            }
            Ok(())
        }
        Op::DropoutGradient { elements, rate, layer, gradient } => {
            let Mode::Train { seed, step, first } = pass.mode else {
                return Err(Error::new(INTERNAL, "a backward pass of dropout in test mode"));
            };
            let values = &mut arena[at(gradient, elements)?];
            let stream = stream(seed, step, layer, tower.number);
            dropout::mask(machine, &stream, first * elements, rate, values);
            Ok(())
        }
        Op::Softmax { classes, logits, probabilities, gradient } => {
            let ([x], [p]) = views(arena, [at(logits, classes)?], [at(probabilities, classes)?])?;
            elementwise::softmax(machine, classes, x, p);
            let labels = &tower.labels;
            if let Some(gradient) = gradient
                && labels.len() == batch
            {
                let ([p], [g]) = views(arena, [at(probabilities, classes)?], [at(gradient, classes)?])?;
                elementwise::softmax_gradient(classes, labels, p, g);
            }
            Ok(())
        }
    }
}

/// Runs an op that `pooled` takes.
fn execute_pooled(
    machine: &mut Machine,
    pooled: &mut Pooled,
    arena: &mut [f32],
    at: &impl Fn(BufferId, usize) -> Result<Range<usize>>,
    parameters: &mut [Tensors],
    op: &Op,
    pass: &Pass,
) -> Result<()> {
    match *op {
        Op::Conv { window, in_maps, out_maps, input, weights, bias, .. } => {
            sized(parameters, weights, window.size * window.size * in_maps, bias, out_maps)?;
            let photos = at(input, read(&window, in_maps))?;
            let ([x], [y]) = views(arena, [photos], [at(pooled.output, pooled.elements())?])?;
            let [Tensors { value, kept, .. }, bias] = pair(parameters, weights, bias)?;
            let kept = (pass.mode == Mode::Test).then_some(kept);
            pooled.forward(machine, pass.batch, x, (value, kept), &bias.value, y)
        }
        Op::ConvWeightGradient { window, in_maps, out_maps, input, weights, bias, .. } => {
            sized(parameters, weights, window.size * window.size * in_maps, bias, out_maps)?;
            let photos = at(input, read(&window, in_maps))?;
            let ([x, dy], []) = views(arena, [photos, at(pooled.output_gradient, pooled.elements())?], [])?;
            let [dw, db] = gradients(parameters, weights, bias)?;
            pooled.weight_gradient(machine, pass.batch, x, dy, dw, db)
        }
        _ => Ok(()),
    }
}

/// The masks of a dropout layer of a tower.
fn stream(seed: u64, step: u64, layer: u32, tower: u32) -> Stream {
    Stream::new(seed, Purpose::Dropout, step, layer * 2 + tower)
}
