//! How far convolutions are from f64, computed directly and by transforms. Both ways make sums of thousands of rounded
//! products; the transforms round a few times more, before and after. docs/cpu.md states the bounds that are held here.

mod layer;

use ilsvrc_cpu::{Convolution, CpuBackend, InstructionSet};
use ilsvrc_network::{Activation, Backend, BufferId, Mode, Op, Pass, Slot, Window};
use ilsvrc_reference::ReferenceBackend;
use layer::{BIAS, INPUT, OUTPUT, WEIGHTS, normal, plan};

const GRADIENT: BufferId = BufferId(2);

/// (side, size, pad, input maps, output maps, images): the paper's second and third layers, with fewer maps where a
/// sum does not run over them, and the first of the nets for CIFAR.
const LAYERS: [[usize; 6]; 3] = [[27, 5, 2, 48, 32, 2], [13, 3, 1, 256, 32, 4], [32, 5, 2, 3, 32, 4]];

/// What is allowed of a kernel size.
struct Bounds {
    /// The most that root mean square and largest error of the transforms may be, as multiples of those of a direct
    /// convolution: output, input gradient, weight gradient. Direct weight gradients add blocks of a few hundred products,
    /// which rounds less than one long sum.
    multiples: [[f64; 2]; 3],
    /// The same as parts of the root mean square of what is right: f32 has 1.2e-7 between neighbouring numbers.
    parts: [f64; 2],
}

/// At six points.
const THREE: Bounds = Bounds { multiples: [[2.5, 4.0], [2.5, 4.0], [4.0, 6.0]], parts: [1.5e-6, 1.5e-5] };

/// At eight.
const FIVE: Bounds = Bounds { multiples: [[7.0, 8.0], [7.0, 8.0], [18.0, 32.0]], parts: [3.5e-6, 4e-5] };

/// The same of photos, where a direct convolution adds 75 products only and so rounds little.
const PHOTOS: Bounds = Bounds { multiples: [[14.0, 18.0]; 3], parts: [2e-6, 2.5e-5] };

/// What a layer computes: its output, the gradient of its input and of its weights.
fn results<B: Backend>(
    backend: &B,
    [side, size, pad, in_maps, out_maps, batch]: [usize; 6],
) -> [Vec<f32>; 3] {
    let window = Window { input: side, output: side, size, stride: 1, pad };
    let buffers = [in_maps, out_maps, in_maps].map(|maps| side * side * maps);
    let weights = size * size * in_maps * out_maps;
    let plan = plan(batch, &buffers, &[weights, out_maps]);
    let mut tower = backend.allocate(&plan, 0, 0).unwrap();

    // Maps after a ReLU, weights that keep the variance (He et al. 2015), gradients of all sizes.
    let input = normal(0, buffers[0] * batch, 1.0).into_iter().map(|x| x.max(0.0)).collect::<Vec<_>>();
    let deviation = (2.0 / (size * size * in_maps) as f32).sqrt();
    backend.write_buffer(&mut tower, INPUT, &input).unwrap();
    backend.write_parameter(&mut tower, WEIGHTS, Slot::Value, &normal(1, weights, deviation)).unwrap();
    backend.write_parameter(&mut tower, BIAS, Slot::Value, &vec![0.0; out_maps]).unwrap();

    let pass = Pass { batch, mode: Mode::Train { seed: 1, step: 0, first: 0 } };
    let run = |op: Op, tower: &mut B::Tower| backend.run(tower, &[op], &pass).unwrap();
    let (weights_id, bias, activation) = (WEIGHTS, BIAS, Activation::None);
    let mut output = vec![0.0; buffers[1] * batch];
    let mut input_gradient = vec![0.0; buffers[2] * batch];
    let mut weights_gradient = vec![0.0; weights];
    run(
        Op::Conv {
            window,
            in_maps,
            out_maps,
            input: INPUT,
            weights: weights_id,
            bias,
            output: OUTPUT,
            activation,
        },
        &mut tower,
    );
    backend.read_buffer(&tower, OUTPUT, &mut output).unwrap();
    backend.write_buffer(&mut tower, OUTPUT, &normal(2, buffers[1] * batch, 0.01)).unwrap();
    run(
        Op::ConvInputGradient {
            window,
            in_maps,
            out_maps,
            output_gradient: OUTPUT,
            weights: weights_id,
            input_gradient: GRADIENT,
        },
        &mut tower,
    );
    backend.read_buffer(&tower, GRADIENT, &mut input_gradient).unwrap();
    run(
        Op::ConvWeightGradient {
            window,
            in_maps,
            out_maps,
            input: INPUT,
            output_gradient: OUTPUT,
            weights: weights_id,
            bias,
        },
        &mut tower,
    );
    backend.read_parameter(&tower, WEIGHTS, Slot::Gradient, &mut weights_gradient).unwrap();
    [output, input_gradient, weights_gradient]
}

/// Root mean square and largest error, over the root mean square of what is right.
fn errors(result: &[f32], right: &[f32]) -> [f64; 2] {
    let rms = |values: &mut dyn Iterator<Item = f64>| {
        (values.map(|x| x * x).sum::<f64>() / right.len() as f64).sqrt()
    };
    let off = || result.iter().zip(right).map(|(r, e)| f64::from(r - e));
    let scale = rms(&mut right.iter().map(|x| f64::from(*x)));
    [rms(&mut off()) / scale, off().fold(0.0, |m, x| x.abs().max(m)) / scale]
}

#[test]
fn errors_are_a_small_multiple_of_those_of_direct_convolutions() {
    for layer in LAYERS {
        let Bounds { multiples, parts } = match layer {
            [_, 3, ..] => THREE,
            [_, 5, _, 3, ..] => PHOTOS,
            _ => FIVE,
        };
        let right = results(&ReferenceBackend, layer);
        for set in InstructionSet::ALL.into_iter().filter(|set| set.available()) {
            let with = |way| {
                let backend = CpuBackend::with_instruction_set(&[2], set).unwrap().convolving(way);
                results(&backend, layer)
            };
            let (direct, transformed) = (with(Convolution::Direct), with(Convolution::Winograd));
            assert!(direct[0] != transformed[0], "the transforms were not used");
            // Of photos nothing but the output is computed by transforms, unless these are forced.
            let count = if layer[3] == 3 { 1 } else { 3 };
            for (i, what) in ["output", "input gradient", "weight gradient"][..count].iter().enumerate() {
                let [direct, transformed] = [&direct, &transformed].map(|r| errors(&r[i], &right[i]));
                println!(
                    "{:9} {}x{} {what:15} rms {:.1e}, direct {:.1e}; largest {:.1e}, direct {:.1e}",
                    set.name(),
                    layer[1],
                    layer[1],
                    transformed[0],
                    direct[0],
                    transformed[1],
                    direct[1]
                );
                for (k, name) in ["root mean square", "largest"].into_iter().enumerate() {
                    let most = parts[k].min(multiples[i][k] * direct[k]);
                    assert!(
                        transformed[k] <= most,
                        "{layer:?}, {what}: {name} error {:.1e}, not {most:.1e}",
                        transformed[k]
                    );
                }
            }
        }
    }
}
