//! Every op against the f64 reference: the problems, odd ones first, and what is run on them.

use crate::problem::{BIAS, GRADIENT, INPUT, OUTPUT, PASS, Problem, WEIGHTS, noise};
use crate::subject::{Subject, compare, same_bits};
use ilsvrc_network::{
    Activation, Backend, BufferId, Exchange, Input, Mode, Norm, Op, Pass, Plan, PoolKind, Stage, UpdateRule,
    View, Window,
};
use ilsvrc_reference::ReferenceBackend;

const ACTIVATIONS: [Activation; 3] = [Activation::None, Activation::Relu, Activation::Tanh];

/// The problems: (images, of at most, input side, output side, size, stride, pad, input maps, output maps).
/// Odd sides, windows that hang over the right border, steps over 1, padding larger than the window needs, one image,
/// a last partial batch, 3 input maps as in the first layer, numbers of maps on both sides of every vector length;
/// windows that end before the right border, so that nobody reads the last rows.
const CONVOLUTIONS: [[usize; 9]; 19] = [
    [1, 1, 1, 1, 1, 1, 0, 1, 1],
    [2, 3, 5, 5, 3, 1, 1, 3, 5],
    [3, 3, 23, 5, 11, 4, 0, 3, 48],
    [2, 2, 22, 5, 11, 4, 0, 3, 7],
    [2, 2, 7, 7, 5, 1, 2, 8, 33],
    [5, 8, 6, 6, 3, 1, 1, 17, 80],
    [1, 4, 13, 13, 3, 1, 1, 32, 16],
    [2, 2, 9, 5, 3, 2, 1, 6, 31],
    [2, 2, 10, 5, 3, 2, 0, 4, 12],
    [2, 2, 8, 4, 2, 3, 2, 5, 9],
    [3, 3, 4, 8, 3, 1, 3, 4, 4],
    [2, 2, 27, 27, 5, 1, 2, 5, 6],
    [19, 19, 3, 3, 3, 1, 1, 7, 10],
    [2, 3, 22, 5, 11, 4, 0, 3, 16],
    [2, 2, 10, 5, 3, 2, 1, 3, 8],
    [2, 2, 10, 4, 3, 2, 0, 4, 12],
    [2, 3, 12, 2, 3, 5, 0, 5, 9],
    [1, 1, 24, 5, 11, 4, 2, 3, 16],
    [2, 2, 13, 3, 4, 4, 1, 3, 8],
];

/// As [`CONVOLUTIONS`]: one image, one position, a step over 1, windows that hang over the border, that lie in the padding
/// alone, that leave positions of the input unread; maps on both sides of a vector and of a tile.
const LOCALS: [[usize; 9]; 11] = [
    [1, 1, 1, 1, 1, 1, 0, 1, 1],
    [2, 3, 3, 3, 3, 1, 1, 3, 5],
    [1, 4, 4, 4, 3, 1, 1, 8, 16],
    [3, 3, 5, 3, 3, 2, 1, 6, 31],
    [2, 2, 6, 3, 3, 2, 0, 8, 24],
    [2, 2, 4, 3, 3, 3, 2, 5, 9],
    [2, 3, 7, 2, 2, 5, 0, 16, 8],
    [19, 20, 2, 2, 3, 1, 1, 7, 10],
    [130, 140, 2, 2, 2, 1, 1, 4, 12],
    [2, 2, 2, 2, 3, 1, 1, 72, 136],
    [5, 5, 4, 1, 4, 1, 0, 40, 64],
];

/// (images, of at most, inputs, outputs)
const DENSE: [[usize; 4]; 7] = [
    [1, 1, 1, 1],
    [1, 4, 700, 130],
    [3, 3, 129, 10],
    [14, 16, 64, 33],
    [15, 15, 1100, 17],
    [33, 40, 113, 600],
    [70, 70, 30, 1000],
];

/// (images, side, output side, size, stride, maps); windows clipped at the border, with gaps between them, touching.
const POOLS: [[usize; 6]; 8] = [
    [1, 1, 1, 1, 1, 1],
    [2, 6, 3, 3, 2, 5],
    [1, 7, 3, 3, 2, 16],
    [3, 8, 4, 2, 2, 33],
    [2, 7, 3, 2, 3, 4],
    [2, 5, 5, 3, 1, 48],
    [2, 9, 3, 4, 4, 20],
    [1, 4, 2, 3, 2, 248],
];

/// (size, k, alpha, beta)
const NORMS: [(usize, f32, f32, f32); 4] =
    [(5, 2.0, 2e-5, 0.75), (3, 1.0, 0.3, 0.75), (9, 1.5, 0.1, 0.5), (7, 1.0, 0.2, 1.25)];

/// Convolutions and their gradients.
pub fn convolutions<B: Backend>(subjects: &[Subject<B>]) {
    convolutions_where(subjects, |_| true);
}

/// Those of some sizes of kernels.
pub fn convolutions_where<B: Backend>(subjects: &[Subject<B>], size_is_meant: impl Fn(usize) -> bool) {
    for [batch, most, input, output, size, stride, pad, in_maps, out_maps] in CONVOLUTIONS {
        if !size_is_meant(size) {
            continue;
        }
        let window = Window { input, output, size, stride, pad };
        let problem = Problem {
            batch,
            most,
            buffers: vec![input * input * in_maps, output * output * out_maps, input * input * in_maps],
            parameters: vec![vec![out_maps, in_maps, size, size], vec![out_maps]],
        };
        let (weights, bias) = (WEIGHTS, BIAS);
        for activation in ACTIVATIONS {
            problem.check(
                subjects,
                &Op::Conv {
                    window,
                    in_maps,
                    out_maps,
                    input: INPUT,
                    weights,
                    bias,
                    output: OUTPUT,
                    activation,
                },
            );
        }
        problem.check(
            subjects,
            &Op::ConvInputGradient {
                window,
                in_maps,
                out_maps,
                output_gradient: OUTPUT,
                weights,
                input_gradient: GRADIENT,
            },
        );
        problem.check(
            subjects,
            &Op::ConvWeightGradient {
                window,
                in_maps,
                out_maps,
                input: INPUT,
                output_gradient: OUTPUT,
                weights,
                bias,
            },
        );
    }
}

/// Locally connected layers and their gradients.
pub fn local_layers<B: Backend>(subjects: &[Subject<B>]) {
    for [batch, most, input, output, size, stride, pad, in_maps, out_maps] in LOCALS {
        let window = Window { input, output, size, stride, pad };
        let problem = Problem {
            batch,
            most,
            buffers: vec![input * input * in_maps, output * output * out_maps, input * input * in_maps],
            parameters: vec![
                vec![output, output, out_maps, in_maps, size, size],
                vec![output, output, out_maps],
            ],
        };
        let (weights, bias, activations) = (WEIGHTS, BIAS, ACTIVATIONS);
        for activation in activations {
            let (input, output) = (INPUT, OUTPUT);
            let op = Op::Local { window, in_maps, out_maps, input, weights, bias, output, activation };
            problem.check(subjects, &op);
        }
        let (output_gradient, input_gradient) = (OUTPUT, GRADIENT);
        let op =
            Op::LocalInputGradient { window, in_maps, out_maps, output_gradient, weights, input_gradient };
        problem.check(subjects, &op);
        let input = INPUT;
        let op = Op::LocalWeightGradient { window, in_maps, out_maps, input, output_gradient, weights, bias };
        problem.check(subjects, &op);
    }
}

/// Dense layers and their gradients.
pub fn dense_layers<B: Backend>(subjects: &[Subject<B>]) {
    for [batch, most, inputs, outputs] in DENSE {
        let problem = Problem {
            batch,
            most,
            buffers: vec![inputs, outputs, inputs],
            parameters: vec![vec![outputs, inputs], vec![outputs]],
        };
        let (weights, bias) = (WEIGHTS, BIAS);
        for activation in ACTIVATIONS {
            problem.check(
                subjects,
                &Op::Dense { inputs, outputs, input: INPUT, weights, bias, output: OUTPUT, activation },
            );
        }
        problem.check(
            subjects,
            &Op::DenseInputGradient {
                inputs,
                outputs,
                output_gradient: OUTPUT,
                weights,
                input_gradient: GRADIENT,
            },
        );
        problem.check(
            subjects,
            &Op::DenseWeightGradient {
                inputs,
                outputs,
                input: INPUT,
                output_gradient: OUTPUT,
                weights,
                bias,
            },
        );
    }
}

/// Pools and normalisations, alone and fused, and their gradients.
pub fn pools_and_norms<B: Backend>(subjects: &[Subject<B>]) {
    let mut activations = ACTIVATIONS.into_iter().cycle();
    for [batch, side, out, size, stride, maps] in POOLS {
        let window = Window { input: side, output: out, size, stride, pad: 0 };
        let large = side * side * maps;
        let (input, output, output_gradient, input_gradient) = (INPUT, OUTPUT, OUTPUT, GRADIENT);
        let problem = Problem {
            batch,
            most: batch + 1,
            buffers: vec![large, out * out * maps, large],
            parameters: vec![],
        };
        for kind in [PoolKind::Max, PoolKind::Avg] {
            let activation = activations.next().expect("a cycle");
            problem.check(subjects, &Op::Pool { kind, window, maps, input, output });
            problem.check(
                subjects,
                &Op::PoolGradient { kind, window, maps, input, output_gradient, input_gradient, activation },
            );
        }
        let same = Problem { batch, most: batch, buffers: vec![large; 3], parameters: vec![] };
        for (size, k, alpha, beta) in NORMS {
            let activation = activations.next().expect("a cycle");
            let norm = Norm { size, k, alpha, beta };
            problem.check(subjects, &Op::LrnPool { norm, window, maps, input, output });
            problem.check(
                subjects,
                &Op::LrnPoolGradient {
                    norm,
                    window,
                    maps,
                    input,
                    output_gradient,
                    input_gradient,
                    activation,
                },
            );
            let positions = side * side;
            same.check(subjects, &Op::Lrn { norm, positions, maps, input, output });
            same.check(
                subjects,
                &Op::LrnGradient { norm, positions, maps, input, output_gradient, input_gradient },
            );
            same.check(subjects, &Op::MapNorm { norm, side, maps, input, output });
            same.check(
                subjects,
                &Op::MapNormGradient { norm, side, maps, input, output_gradient, input_gradient },
            );
        }
    }
}

/// Activations, dropout, softmax.
pub fn elementwise_ops<B: Backend>(subjects: &[Subject<B>]) {
    for (batch, elements) in [(1, 1), (3, 5), (2, 20_011), (5, 4096)] {
        let problem = Problem { batch, most: batch + 1, buffers: vec![elements; 3], parameters: vec![] };
        for activation in ACTIVATIONS {
            problem.check(subjects, &Op::Activate { elements, activation, input: INPUT, output: OUTPUT });
            problem.check(subjects, &Op::Activate { elements, activation, input: INPUT, output: INPUT });
            problem.check(
                subjects,
                &Op::ActivationGradient { elements, activation, output: INPUT, gradient: GRADIENT },
            );
        }
        for rate in [0.0, 0.5, 0.9] {
            problem.check(subjects, &Op::Dropout { elements, rate, layer: 4, buffer: INPUT });
            problem.check_in(subjects, Mode::Test, &Op::Dropout { elements, rate, layer: 4, buffer: INPUT });
            problem.check(subjects, &Op::DropoutGradient { elements, rate, layer: 9, gradient: INPUT });
        }
        let (logits, probabilities) = (INPUT, OUTPUT);
        let op = Op::Softmax { classes: elements, logits, probabilities, gradient: None };
        problem.check_in(subjects, Mode::Test, &op);
    }
}

/// Images, one of them seen twice, labels, probabilities and the gradient of the loss; then the learning rule.
pub fn input_loss_and_update<B: Backend>(subjects: &[Subject<B>]) {
    let (crop, classes, side, mean_side) = (5, 7, 8, 6);
    let problem = Problem {
        batch: 3,
        most: 4,
        buffers: vec![crop * crop * 3, classes, classes, classes],
        parameters: vec![vec![70_000], vec![9]],
    };
    let (logits, probabilities, gradient) = (BufferId(1), BufferId(2), Some(BufferId(3)));
    let op = Op::Softmax { classes, logits, probabilities, gradient };
    let mut plan = problem.plan_of(&op);
    plan.classes = classes;
    plan.net.crop = crop;
    let pixels: Vec<u8> = (0..2 * side * side * 3).map(|i| (i * 37 % 256) as u8).collect();
    let views = [
        View { image: 1, crop: [3, 1], mean: [1, 0], mirror: false, colour: [1.0, -2.5, 0.25] },
        View { image: 0, crop: [0, 3], mean: [0, 1], mirror: true, colour: [0.0, 3.0, -1.0] },
        View { image: 1, crop: [0, 0], mean: [1, 1], mirror: true, colour: [0.5, 0.0, 0.0] },
    ];
    let mean = noise(1, mean_side * mean_side * 3);
    let input = Input { pixels: &pixels, side, views: &views, mean: &mean, mean_side, labels: &[6, 0, 3] };
    let rule = UpdateRule { rate: 0.1, momentum: 0.9, decay: 0.05 };

    fn outcome<B: Backend>(
        backend: &B,
        problem: &Problem,
        plan: &Plan,
        op: &Op,
        input: &Input,
        rule: &UpdateRule,
    ) -> Vec<Vec<f32>> {
        let mut tower = problem.tower(backend, plan);
        backend.load(std::slice::from_mut(&mut tower), &plan.net, input).unwrap();
        let pass = Pass { batch: problem.batch, mode: PASS };
        backend.run(&mut tower, std::slice::from_ref(op), &pass).unwrap();
        for _ in 0..2 {
            backend.update(&mut tower, rule).unwrap();
        }
        problem.state(backend, &tower)
    }
    let expected = outcome(&ReferenceBackend, &problem, &plan, &op, &input, &rule);
    let results: Vec<_> = subjects
        .iter()
        .map(|subject| {
            subject.begin();
            outcome(subject.backend, &problem, &plan, &op, &input, &rule)
        })
        .collect();
    for (subject, result) in subjects.iter().zip(&results) {
        compare(subject, "input, loss and update", &expected, result, problem.buffers.len());
    }
    same_bits(subjects, "input, loss and update", &results);
}

/// Two towers that meet. `places` are those that the backends have.
pub fn exchanges<B: Backend>(subjects: &[Subject<B>], places: &[[usize; 2]]) {
    for maps in [5, 16] {
        exchanges_of(subjects, places, 4, maps);
    }
}

fn exchanges_of<B: Backend>(subjects: &[Subject<B>], places: &[[usize; 2]], positions: usize, maps: usize) {
    let small = positions * maps;
    let problem = Problem { batch: 3, most: 4, buffers: vec![small, 2 * small], parameters: vec![] };
    let mut plan = problem.plan();
    plan.towers.push(plan.towers[0].clone());
    let (own, all) = (BufferId(0), BufferId(1));
    for gathered in [[Some(all), Some(all)], [Some(all), None]] {
        let gather = Exchange::Gather { positions, maps, own: vec![own; 2], gathered: gathered.to_vec() };
        let gradient = Exchange::GatherGradient {
            positions,
            maps,
            gathered_gradient: gathered.to_vec(),
            own_gradient: vec![own; 2],
        };
        // The last ones read what others wrote and write what others read.
        let in_a_row = [&gather, &gradient, &gather, &gradient].map(Exchange::clone).to_vec();
        for exchanges in [vec![gather], vec![gradient], in_a_row] {
            let mut plan = plan.clone();
            plan.forward = exchanges.iter().cloned().map(Stage::Exchange).collect();
            let expected = meet(&ReferenceBackend, &problem, &plan, [0, 0], &exchanges);
            for subject in subjects {
                for places in places {
                    subject.begin();
                    let result = meet(subject.backend, &problem, &plan, *places, &exchanges);
                    compare(subject, "exchange", &expected, &result, usize::MAX);
                }
            }
        }
    }
}

fn meet<B: Backend>(
    backend: &B,
    problem: &Problem,
    plan: &Plan,
    places: [usize; 2],
    exchanges: &[Exchange],
) -> Vec<Vec<f32>> {
    let mut towers: Vec<B::Tower> = (0..2).map(|t| backend.allocate(plan, t, places[t]).unwrap()).collect();
    for (t, tower) in towers.iter_mut().enumerate() {
        for (i, elements) in problem.buffers.iter().enumerate() {
            let data = noise((10 * t + i) as u32, elements * problem.most);
            backend.write_buffer(tower, BufferId(i), &data).unwrap();
        }
    }
    let pass = Pass { batch: problem.batch, mode: PASS };
    let own = BufferId(0);
    let elements = problem.buffers[own.0];
    let go_on = Op::Activate { elements, activation: Activation::Relu, input: own, output: own };
    for exchange in exchanges {
        backend.exchange(&mut towers, exchange, &pass).unwrap();
        // What a tower has given away it may overwrite at once.
        for tower in &mut towers {
            backend.run(tower, std::slice::from_ref(&go_on), &pass).unwrap();
        }
    }
    towers.iter().flat_map(|tower| problem.state(backend, tower)).collect()
}
