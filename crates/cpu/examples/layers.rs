//! Times the ops of each layer of a tower of the paper's network, as a share of the multiply-add peak measured just
//! before and after; arithmetic is counted as that of direct convolutions, so transforms may pass 100 %.
//! `cargo run --release -p ilsvrc-cpu --example layers [BATCH] [THREADS] [direct]`

use ilsvrc_cpu::{Convolution, CpuBackend, instruction_set, peak_gflops};
use ilsvrc_network::{
    Activation, Backend, Buffer, BufferId, Learning, Mode, Net, Norm, Op, ParamId, Parameter, Pass, Plan,
    PoolKind, Slot, TowerPlan, Window,
};
use std::time::Instant;

/// (name, input side, output side, size, stride, pad, input maps, output maps)
const CONVOLUTIONS: [(&str, [usize; 7]); 5] = [
    ("conv1", [224, 55, 11, 4, 0, 3, 48]),
    ("conv2", [27, 27, 5, 1, 2, 48, 128]),
    ("conv3", [13, 13, 3, 1, 1, 256, 192]),
    ("conv4", [13, 13, 3, 1, 1, 192, 192]),
    ("conv5", [13, 13, 3, 1, 1, 192, 128]),
];
const DENSE: [(&str, usize, usize); 3] = [("fc6", 9216, 2048), ("fc7", 4096, 2048), ("fc8", 4096, 1000)];
const NORM: Norm = Norm { size: 5, k: 2.0, alpha: 2e-5, beta: 0.75 };

fn main() {
    let (words, numbers): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|a| a == "direct");
    let convolution = if words.is_empty() { Convolution::Automatic } else { Convolution::Direct };
    let mut numbers = numbers.iter().map(|a| a.parse().expect("a number"));
    let batch = numbers.next().unwrap_or(32);
    let threads = numbers.next().unwrap_or(1);
    println!("{}, {threads} threads, batch {batch}, convolutions {convolution:?}", instruction_set());
    let backend = CpuBackend::new(&[threads]).expect("threads").convolving(convolution);
    let bench = Bench { backend, batch, threads };
    let (input, output, gradient) = (BufferId(0), BufferId(1), BufferId(2));
    let (weights, bias) = (ParamId(0), ParamId(1));
    for (name, [side, out, size, stride, pad, in_maps, out_maps]) in CONVOLUTIONS {
        let window = Window { input: side, output: out, size, stride, pad };
        let elements = [side * side * in_maps, out * out * out_maps, side * side * in_maps];
        let parameters = [vec![size, size, in_maps, out_maps], vec![out_maps]];
        let flop = 2 * out * out * size * size * in_maps * out_maps;
        let activation = Activation::Relu;
        let mut ops = vec![
            ("forward", Op::Conv { window, in_maps, out_maps, input, weights, bias, output, activation }),
            (
                "weight gradient",
                Op::ConvWeightGradient {
                    window,
                    in_maps,
                    out_maps,
                    input,
                    output_gradient: output,
                    weights,
                    bias,
                },
            ),
        ];
        if name != "conv1" {
            let op = Op::ConvInputGradient {
                window,
                in_maps,
                out_maps,
                output_gradient: output,
                weights,
                input_gradient: gradient,
            };
            ops.push(("input gradient", op));
        }
        bench.layer(name, &elements, &parameters, flop, &ops);
    }
    for (name, inputs, outputs) in DENSE {
        let ops = [
            (
                "forward",
                Op::Dense { inputs, outputs, input, weights, bias, output, activation: Activation::Relu },
            ),
            (
                "weight gradient",
                Op::DenseWeightGradient { inputs, outputs, input, output_gradient: output, weights, bias },
            ),
            (
                "input gradient",
                Op::DenseInputGradient {
                    inputs,
                    outputs,
                    output_gradient: output,
                    weights,
                    input_gradient: gradient,
                },
            ),
        ];
        let parameters = [vec![inputs, outputs], vec![outputs]];
        bench.layer(name, &[inputs, outputs, inputs], &parameters, 2 * inputs * outputs, &ops);
    }
    for (name, side, out, maps) in
        [("norm1+pool", 55, 27, 48), ("norm2+pool", 27, 13, 128), ("pool5", 13, 6, 128)]
    {
        let window = Window { input: side, output: out, size: 3, stride: 2, pad: 0 };
        let (kind, norm, activation) = (PoolKind::Max, NORM, Activation::None);
        let (output_gradient, input_gradient) = (output, gradient);
        let ops = if name == "pool5" {
            [
                ("forward", Op::Pool { kind, window, maps, input, output }),
                (
                    "gradient",
                    Op::PoolGradient {
                        kind,
                        window,
                        maps,
                        input,
                        output_gradient,
                        input_gradient,
                        activation,
                    },
                ),
            ]
        } else {
            [
                ("forward", Op::LrnPool { norm, window, maps, input, output }),
                (
                    "gradient",
                    Op::LrnPoolGradient {
                        norm,
                        window,
                        maps,
                        input,
                        output_gradient,
                        input_gradient,
                        activation,
                    },
                ),
            ]
        };
        bench.layer(name, &[side * side * maps, out * out * maps, side * side * maps], &[], 0, &ops);
    }
    let ops = [("mask", Op::Dropout { elements: 2048, rate: 0.5, layer: 0, buffer: input })];
    bench.layer("dropout6", &[2048], &[], 0, &ops);
}

struct Bench {
    backend: CpuBackend,
    batch: usize,
    threads: usize,
}

impl Bench {
    fn layer(
        &self,
        name: &str,
        buffers: &[usize],
        parameters: &[Vec<usize>],
        flop: usize,
        ops: &[(&str, Op)],
    ) {
        let plan = plan(self.batch, buffers, parameters);
        let mut tower = self.backend.allocate(&plan, 0, 0).expect("memory");
        let noise = |n: usize| (0..n).map(|i| ((i * 7919) % 1009) as f32 / 1009.0 - 0.5).collect::<Vec<_>>();
        for (i, elements) in buffers.iter().enumerate() {
            self.backend
                .write_buffer(&mut tower, BufferId(i), &noise(elements * self.batch))
                .expect("a buffer");
        }
        // Memory that nobody wrote is one page of zeros, which the first cache holds.
        for (i, shape) in parameters.iter().enumerate() {
            let values = noise(shape.iter().product());
            self.backend.write_parameter(&mut tower, ParamId(i), Slot::Value, &values).expect("a parameter");
        }
        let pass = Pass { batch: self.batch, mode: Mode::Train { seed: 1, step: 0, first: 0 } };
        for (what, op) in ops {
            let ops = std::slice::from_ref(op);
            self.backend.run(&mut tower, ops, &pass).expect("a pass");
            let before = peak_gflops(self.threads);
            let (mut times, start) = (Vec::new(), Instant::now());
            while times.len() < 3 || start.elapsed().as_secs_f64() < 0.5 {
                let start = Instant::now();
                self.backend.run(&mut tower, ops, &pass).expect("a pass");
                times.push(start.elapsed().as_secs_f64());
            }
            let peak = before.max(peak_gflops(self.threads));
            // The best: others may use the machine, and the peak is the best of its measurements too.
            let seconds = times.iter().copied().fold(f64::INFINITY, f64::min);
            let ms = seconds * 1e3 / self.batch as f64;
            if flop == 0 {
                println!("{name:10} {what:16} {ms:8.3} ms an image");
                continue;
            }
            let rate = (flop * self.batch) as f64 / seconds / 1e9;
            println!(
                "{name:10} {what:16} {ms:8.3} ms an image {rate:7.1} GFLOP/s {:5.1} % of {peak:.0}",
                100.0 * rate / peak
            );
        }
    }
}

/// One tower with these buffers side by side and these parameters.
fn plan(batch: usize, buffers: &[usize], parameters: &[Vec<usize>]) -> Plan {
    let mut arena = 0;
    let buffers = buffers
        .iter()
        .map(|elements| {
            let offset = arena;
            arena += (elements * batch).next_multiple_of(16);
            Buffer { elements: *elements, offset, name: "buffer".into() }
        })
        .collect();
    let learning = Learning { weight_std: 0.0, bias: 0.0, weight_rate: 1.0, bias_rate: 1.0, decay: None };
    let parameters = parameters
        .iter()
        .map(|shape| Parameter {
            name: "parameter".into(),
            layer: 0,
            shape: shape.clone(),
            bias: shape.len() == 1,
            learning,
        })
        .collect();
    let (input, probabilities) = (BufferId(0), None);
    let tower = TowerPlan { buffers, parameters, arena, input, probabilities, outputs: Vec::new() };
    let net = Net { name: "bench".into(), image: 1, crop: 1, towers: 1, layers: Vec::new() };
    Plan { net, batch, classes: 1, towers: vec![tower], forward: Vec::new(), backward: Vec::new() }
}
