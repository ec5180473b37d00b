//! Every op against the f64 reference, with every instruction set that this processor has, and with one and two
//! threads, whose results must be the same bits.

use ilsvrc_cpu::{CpuBackend, InstructionSet};
use ilsvrc_network::{
    Activation, Backend, Buffer, BufferId, Exchange, Input, Learning, Mode, Net, Norm, Op, ParamId,
    Parameter, Pass, Plan, PoolKind, Slot, TowerPlan, UpdateRule, View, Window,
};
use ilsvrc_random::{Purpose, Stream};
use ilsvrc_reference::ReferenceBackend;

/// Largest difference, as a part of the tensor's largest element. Products and sums of [`noise`] are exact in f32, so
/// this is for the powers, tanh, means and exponentials: a handful of roundings of 6e-8 each, and sums of a few of
/// them. How sums of arbitrary numbers round is the goldens' business.
const TOLERANCE: f32 = 5e-6;

const ACTIVATIONS: [Activation; 3] = [Activation::None, Activation::Relu, Activation::Tanh];
const PASS: Mode = Mode::Train { seed: 0x5EED_0000_0001, step: 3 };

/// The problems: (images, of at most, input side, output side, size, stride, pad, input maps, output maps).
/// Odd sides, windows that hang over the right border, steps over 1, padding larger than the window needs, one image,
/// a last partial batch, 3 input maps as in the first layer, numbers of maps on both sides of every vector length.
const CONVOLUTIONS: [[usize; 9]; 13] = [
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
const POOLS: [[usize; 6]; 7] = [
    [1, 1, 1, 1, 1, 1],
    [2, 6, 3, 3, 2, 5],
    [1, 7, 3, 3, 2, 16],
    [3, 8, 4, 2, 2, 33],
    [2, 7, 3, 2, 3, 4],
    [2, 5, 5, 3, 1, 48],
    [2, 9, 3, 4, 4, 20],
];

/// (size, k, alpha, beta)
const NORMS: [(usize, f32, f32, f32); 4] =
    [(5, 2.0, 2e-5, 0.75), (3, 1.0, 0.3, 0.75), (9, 1.5, 0.1, 0.5), (7, 1.0, 0.2, 1.25)];

const INPUT: BufferId = BufferId(0);
const OUTPUT: BufferId = BufferId(1);
const GRADIENT: BufferId = BufferId(2);
const WEIGHTS: ParamId = ParamId(0);
const BIAS: ParamId = ParamId(1);

#[test]
fn convolutions() {
    for [batch, most, input, output, size, stride, pad, in_maps, out_maps] in CONVOLUTIONS {
        let window = Window { input, output, size, stride, pad };
        let problem = Problem {
            batch,
            most,
            buffers: vec![input * input * in_maps, output * output * out_maps, input * input * in_maps],
            parameters: vec![vec![out_maps, in_maps, size, size], vec![out_maps]],
        };
        let (weights, bias) = (WEIGHTS, BIAS);
        for activation in ACTIVATIONS {
            problem.check(&Op::Conv {
                window,
                in_maps,
                out_maps,
                input: INPUT,
                weights,
                bias,
                output: OUTPUT,
                activation,
            });
        }
        problem.check(&Op::ConvInputGradient {
            window,
            in_maps,
            out_maps,
            output_gradient: OUTPUT,
            weights,
            input_gradient: GRADIENT,
        });
        problem.check(&Op::ConvWeightGradient {
            window,
            in_maps,
            out_maps,
            input: INPUT,
            output_gradient: OUTPUT,
            weights,
            bias,
        });
    }
}

#[test]
fn dense_layers() {
    for [batch, most, inputs, outputs] in DENSE {
        let problem = Problem {
            batch,
            most,
            buffers: vec![inputs, outputs, inputs],
            parameters: vec![vec![outputs, inputs], vec![outputs]],
        };
        let (weights, bias) = (WEIGHTS, BIAS);
        for activation in ACTIVATIONS {
            problem.check(&Op::Dense {
                inputs,
                outputs,
                input: INPUT,
                weights,
                bias,
                output: OUTPUT,
                activation,
            });
        }
        problem.check(&Op::DenseInputGradient {
            inputs,
            outputs,
            output_gradient: OUTPUT,
            weights,
            input_gradient: GRADIENT,
        });
        problem.check(&Op::DenseWeightGradient {
            inputs,
            outputs,
            input: INPUT,
            output_gradient: OUTPUT,
            weights,
            bias,
        });
    }
}

#[test]
fn pools_and_norms() {
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
            problem.check(&Op::Pool { kind, window, maps, input, output });
            problem.check(&Op::PoolGradient { kind, window, maps, input, output_gradient, input_gradient });
        }
        let same = Problem { batch, most: batch, buffers: vec![large; 3], parameters: vec![] };
        for (size, k, alpha, beta) in NORMS {
            let norm = Norm { size, k, alpha, beta };
            problem.check(&Op::LrnPool { norm, window, maps, input, output });
            problem.check(&Op::LrnPoolGradient {
                norm,
                window,
                maps,
                input,
                output_gradient,
                input_gradient,
            });
            let positions = side * side;
            same.check(&Op::Lrn { norm, positions, maps, input, output });
            same.check(&Op::LrnGradient { norm, positions, maps, input, output_gradient, input_gradient });
            same.check(&Op::MapNorm { norm, side, maps, input, output });
            same.check(&Op::MapNormGradient { norm, side, maps, input, output_gradient, input_gradient });
        }
    }
}

#[test]
fn elementwise_ops() {
    for (batch, elements) in [(1, 1), (3, 5), (2, 20_011), (5, 4096)] {
        let problem = Problem { batch, most: batch + 1, buffers: vec![elements; 3], parameters: vec![] };
        for activation in ACTIVATIONS {
            problem.check(&Op::Activate { elements, activation, input: INPUT, output: OUTPUT });
            problem.check(&Op::Activate { elements, activation, input: INPUT, output: INPUT });
            problem.check(&Op::ActivationGradient {
                elements,
                activation,
                output: INPUT,
                gradient: GRADIENT,
            });
        }
        for rate in [0.0, 0.5, 0.9] {
            problem.check(&Op::Dropout { elements, rate, layer: 4, buffer: INPUT });
            problem.check_in(Mode::Test, &Op::Dropout { elements, rate, layer: 4, buffer: INPUT });
            problem.check(&Op::DropoutGradient { elements, rate, layer: 9, gradient: INPUT });
        }
        let (logits, probabilities) = (INPUT, OUTPUT);
        let op = Op::Softmax { classes: elements, logits, probabilities, gradient: None };
        problem.check_in(Mode::Test, &op);
    }
}

/// Images, labels, probabilities and the gradient of the loss; then the learning rule.
#[test]
fn input_loss_and_update() {
    let (crop, classes, side, mean_side) = (5, 7, 8, 6);
    let problem = Problem {
        batch: 2,
        most: 3,
        buffers: vec![crop * crop * 3, classes, classes, classes],
        parameters: vec![vec![70_000], vec![9]],
    };
    let (logits, probabilities, gradient) = (BufferId(1), BufferId(2), Some(BufferId(3)));
    let op = Op::Softmax { classes, logits, probabilities, gradient };
    let mut plan = problem.plan();
    plan.classes = classes;
    plan.net.crop = crop;
    let pixels: Vec<u8> = (0..2 * side * side * 3).map(|i| (i * 37 % 256) as u8).collect();
    let views = [
        View { crop: [3, 1], mean: [1, 0], mirror: false, colour: [1.0, -2.5, 0.25] },
        View { crop: [0, 3], mean: [0, 1], mirror: true, colour: [0.0, 3.0, -1.0] },
    ];
    let mean = noise(1, mean_side * mean_side * 3);
    let input = Input { pixels: &pixels, side, views: &views, mean: &mean, mean_side, labels: &[6, 0] };
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
        backend.load(&mut tower, &plan.net, input).unwrap();
        let pass = Pass { batch: problem.batch, mode: PASS };
        backend.run(&mut tower, std::slice::from_ref(op), &pass).unwrap();
        for _ in 0..2 {
            backend.update(&mut tower, rule).unwrap();
        }
        problem.state(backend, &tower)
    }
    let expected = outcome(&ReferenceBackend, &problem, &plan, &op, &input, &rule);
    for (name, backend) in backends() {
        compare(&name, &expected, &outcome(&backend, &problem, &plan, &op, &input, &rule));
    }
}

/// Two towers, on one place and on two.
#[test]
fn exchanges() {
    let (positions, maps) = (4, 5);
    let small = positions * maps;
    let problem = Problem { batch: 3, most: 4, buffers: vec![small, 2 * small], parameters: vec![] };
    let mut plan = problem.plan();
    plan.towers.push(plan.towers[0].clone());
    let (own, all) = (BufferId(0), BufferId(1));
    for gathered in [[Some(all), Some(all)], [Some(all), None]] {
        let exchanges = [
            Exchange::Gather { positions, maps, own: vec![own; 2], gathered: gathered.to_vec() },
            Exchange::GatherGradient {
                positions,
                maps,
                gathered_gradient: gathered.to_vec(),
                own_gradient: vec![own; 2],
            },
        ];
        for exchange in exchanges {
            let expected = meet(&ReferenceBackend, &problem, &plan, [0, 0], &exchange);
            for places in [[0, 0], [0, 1]] {
                let backend = CpuBackend::new(&[2, 1]).unwrap();
                compare("exchange", &expected, &meet(&backend, &problem, &plan, places, &exchange));
            }
        }
    }
}

fn meet<B: Backend>(
    backend: &B,
    problem: &Problem,
    plan: &Plan,
    places: [usize; 2],
    exchange: &Exchange,
) -> Vec<Vec<f32>> {
    let mut towers: Vec<B::Tower> = (0..2).map(|t| backend.allocate(plan, t, places[t]).unwrap()).collect();
    for (t, tower) in towers.iter_mut().enumerate() {
        for (i, elements) in problem.buffers.iter().enumerate() {
            let data = noise((10 * t + i) as u32, elements * problem.most);
            backend.write_buffer(tower, BufferId(i), &data).unwrap();
        }
    }
    let pass = Pass { batch: problem.batch, mode: PASS };
    backend.exchange(&mut towers, exchange, &pass).unwrap();
    towers.iter().flat_map(|tower| problem.state(backend, tower)).collect()
}

/// Buffers and parameters of a plan of one tower.
struct Problem {
    batch: usize,
    /// Images that the plan has room for.
    most: usize,
    buffers: Vec<usize>,
    parameters: Vec<Vec<usize>>,
}

impl Problem {
    fn check(&self, op: &Op) {
        self.check_in(PASS, op);
    }

    /// Compares all buffers and parameters after `op`, so that nothing else was touched either.
    fn check_in(&self, mode: Mode, op: &Op) {
        let plan = self.plan();
        let pass = Pass { batch: self.batch, mode };
        let expected = self.outcome(&ReferenceBackend, &plan, op, &pass);
        let results: Vec<_> = backends()
            .iter()
            .map(|(name, backend)| (name.clone(), self.outcome(backend, &plan, op, &pass)))
            .collect();
        for (name, result) in &results {
            compare(&format!("{name}, {} of {} images, {op:?}", self.batch, self.most), &expected, result);
        }
        for pair in results.chunks_exact(2) {
            let bits = |r: &[Vec<f32>]| r.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert!(bits(&pair[0].1) == bits(&pair[1].1), "{} and {} differ: {op:?}", pair[0].0, pair[1].0);
        }
    }

    fn outcome<B: Backend>(&self, backend: &B, plan: &Plan, op: &Op, pass: &Pass) -> Vec<Vec<f32>> {
        let mut tower = self.tower(backend, plan);
        // Twice: nothing may be left over from the first time.
        if !matches!(op, Op::Dropout { .. } | Op::DropoutGradient { .. } | Op::ActivationGradient { .. })
            && !matches!(op, Op::Activate { input, output, .. } if input == output)
        {
            backend.run(&mut tower, std::slice::from_ref(op), pass).unwrap();
        }
        backend.run(&mut tower, std::slice::from_ref(op), pass).unwrap();
        self.state(backend, &tower)
    }

    fn tower<B: Backend>(&self, backend: &B, plan: &Plan) -> B::Tower {
        let mut tower = backend.allocate(plan, 0, 0).unwrap();
        for (i, elements) in self.buffers.iter().enumerate() {
            backend.write_buffer(&mut tower, BufferId(i), &noise(i as u32, elements * self.most)).unwrap();
        }
        for (i, shape) in self.parameters.iter().enumerate() {
            for (s, slot) in [Slot::Value, Slot::Velocity, Slot::Gradient].into_iter().enumerate() {
                let data = noise((100 + 3 * i + s) as u32, shape.iter().product());
                backend.write_parameter(&mut tower, ParamId(i), slot, &data).unwrap();
            }
        }
        tower
    }

    fn state<B: Backend>(&self, backend: &B, tower: &B::Tower) -> Vec<Vec<f32>> {
        let mut state = Vec::new();
        for (i, elements) in self.buffers.iter().enumerate() {
            let mut out = vec![0.0; elements * self.most];
            backend.read_buffer(tower, BufferId(i), &mut out).unwrap();
            state.push(out);
        }
        for (i, shape) in self.parameters.iter().enumerate() {
            for slot in [Slot::Value, Slot::Velocity, Slot::Gradient] {
                let mut out = vec![0.0; shape.iter().product()];
                backend.read_parameter(tower, ParamId(i), slot, &mut out).unwrap();
                state.push(out);
            }
        }
        state
    }

    fn plan(&self) -> Plan {
        let mut arena = 0;
        let buffers = self.buffers.iter().enumerate().map(|(i, elements)| {
            let offset = arena;
            arena += (elements * self.most).next_multiple_of(16);
            Buffer { elements: *elements, offset, name: format!("buffer {i}") }
        });
        let buffers = buffers.collect();
        let parameters = self.parameters.iter().enumerate().map(|(i, shape)| Parameter {
            name: format!("parameter {i}"),
            layer: 0,
            shape: shape.clone(),
            bias: i % 2 == 1,
            learning: Learning {
                weight_std: 0.0,
                bias: 0.0,
                weight_rate: 1.5,
                bias_rate: 2.0,
                decay: (i == 0).then_some(0.01),
            },
        });
        let tower = TowerPlan {
            buffers,
            parameters: parameters.collect(),
            arena,
            input: INPUT,
            probabilities: None,
            outputs: Vec::new(),
        };
        let net = Net { name: "ops".into(), image: 9, crop: 5, towers: 1, layers: Vec::new() };
        let (forward, backward) = (Vec::new(), Vec::new());
        Plan { net, batch: self.most, classes: 1, towers: vec![tower], forward, backward }
    }
}

/// Multiples of 1/4 in `-2..=2`: products, and sums of up to 2^18 of them, are exact, and maxima have ties.
fn noise(index: u32, length: usize) -> Vec<f32> {
    let stream = Stream::new(5, Purpose::Weights, 0, index);
    (0..length as u32).map(|i| stream.below(i, 17) as f32 / 4.0 - 2.0).collect()
}

/// Each instruction set with one thread and with two.
fn backends() -> Vec<(String, CpuBackend)> {
    let sets = InstructionSet::ALL.into_iter().filter(|set| set.available());
    sets.flat_map(|set| [1, 2].map(|threads| (set, threads)))
        .map(|(set, threads)| {
            let backend = CpuBackend::with_instruction_set(&[threads], set).unwrap();
            (format!("{} with {threads} threads", set.name()), backend)
        })
        .collect()
}

fn compare(what: &str, expected: &[Vec<f32>], result: &[Vec<f32>]) {
    for (tensor, (expected, result)) in expected.iter().zip(result).enumerate() {
        let largest = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        for (i, (e, r)) in expected.iter().zip(result).enumerate() {
            let off = (e - r).abs();
            assert!(off <= TOLERANCE * largest, "{what}: tensor {tensor}, element {i}: {r}, not {e}");
        }
    }
}
