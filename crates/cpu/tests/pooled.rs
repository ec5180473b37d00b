//! A convolution of photos that is computed with the max pool behind it: the loss and the gradients of whole nets against f64,
//! with every kind of vectors, and the same bits with any number of threads.

use ilsvrc_cpu::{CpuBackend, InstructionSet};
use ilsvrc_network::examples::{conv, dense, lrn};
use ilsvrc_network::{
    Backend, Execution, Executor, Input, Layer, Mode, Net, ParamId, Pass, Plan, Slot, Use, View,
};
use ilsvrc_random::{Purpose, Stream};
use ilsvrc_reference::ReferenceBackend;

/// Images that there is room for, and those of a pass.
const BATCHES: [usize; 2] = [6, 5];

const CLASSES: usize = 4;

/// Net, side of the photos, the first convolution's maps, step and border, side and step of the pool. Maps that are not whole
/// vectors, windows that hang over the border, windows that do not overlap, a step of the convolution.
fn nets() -> Vec<Net> {
    let shapes = [[12, 16, 1, 2, 3, 2], [13, 20, 1, 0, 2, 2], [19, 7, 2, 1, 3, 1], [11, 33, 1, 2, 4, 3]];
    let behind: [fn() -> Vec<Layer>; 4] = [
        || vec![],
        || vec![Layer::Relu],
        || vec![Layer::Relu, conv("conv2", 5, 3, 1, 1, 0.1), Layer::Relu],
        || vec![lrn(), Layer::Tanh],
    ];
    let mut nets = Vec::new();
    for [crop, maps, stride, pad, size, step] in shapes {
        for behind in behind {
            for relu_before in [false, true] {
                let mut layers = vec![conv("conv1", maps, 5, stride, pad, 0.3)];
                layers.extend(relu_before.then_some(Layer::Relu));
                layers.push(Layer::MaxPool { size, stride: step });
                layers.extend(behind());
                layers.push(dense("fc", CLASSES, 0.0));
                nets.push(Net { name: "pooled".into(), image: crop, crop, towers: 1, layers });
            }
        }
    }
    nets
}

/// The loss and the gradients of a step.
fn step<B: Backend>(backend: B, net: &Net) -> (f64, Vec<Vec<f32>>) {
    let [room, batch] = BATCHES;
    let plan = Plan::new(net, room, Use::Training).unwrap();
    let lengths: Vec<usize> = plan.towers[0].parameters.iter().map(|p| p.shape.iter().product()).collect();
    let mut executor = Executor::new(backend, plan, &[0]).unwrap();
    for (id, length) in lengths.iter().enumerate() {
        let stream = Stream::new(3, Purpose::Weights, 0, id as u32);
        // The first layer's inputs are pixels.
        let deviation = if id == 0 { 0.002 } else { 0.05 };
        let values: Vec<f32> = (0..*length as u32).map(|i| deviation * stream.normal_pair(i)[0]).collect();
        executor.write_parameter(0, ParamId(id), Slot::Value, &values).unwrap();
    }
    let stream = Stream::new(3, Purpose::Order, 0, 0);
    let elements = (batch * net.crop * net.crop * 3) as u32;
    let pixels: Vec<u8> = (0..elements).map(|i| stream.block(i)[0] as u8).collect();
    let views: Vec<View> = (0..batch as u32).map(|image| View { image, ..View::default() }).collect();
    let labels: Vec<u32> = (0..batch as u32).map(|i| i % CLASSES as u32).collect();
    let mean = vec![127.5; net.crop * net.crop * 3];
    let input = Input {
        pixels: &pixels,
        side: net.crop,
        views: &views,
        mean: &mean,
        mean_side: net.crop,
        labels: &labels,
    };
    let pass = Pass { batch, mode: Mode::Train { seed: 1, step: 0, first: 0 } };
    executor.forward(&input, &pass).unwrap();
    let loss = executor.loss(&labels).unwrap();
    executor.backward(&pass).unwrap();
    let gradient = |id| executor.read_parameter(0, ParamId(id), Slot::Gradient).unwrap();
    (loss, (0..lengths.len()).map(gradient).collect())
}

#[test]
fn gradients_are_those_of_f64() {
    for net in nets() {
        let (loss, gradients) = step(ReferenceBackend, &net);
        for set in InstructionSet::ALL.into_iter().filter(|set| set.available()) {
            let ours = step(CpuBackend::with_instruction_set(&[2], set).unwrap(), &net);
            assert!(
                (ours.0 - loss).abs() <= 1e-5 * loss,
                "{:?}, {}: {} is not {loss}",
                net.layers,
                set.name(),
                ours.0
            );
            for (id, (ours, expected)) in ours.1.iter().zip(&gradients).enumerate() {
                let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
                let size = norm(&mut expected.iter().copied());
                let error = norm(&mut ours.iter().zip(expected).map(|(a, b)| a - b)) / size;
                assert!(size > 0.0 && error <= 1e-5, "{:?}, {}: {error} of {id}", net.layers, set.name());
            }
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for net in nets().iter().step_by(3) {
        let bits = |threads| {
            let (loss, gradients) = step(CpuBackend::new(&[threads]).unwrap(), net);
            let gradients = gradients.into_iter().flatten().map(f32::to_bits);
            (loss.to_bits(), gradients.collect::<Vec<_>>())
        };
        let one = bits(1);
        assert!([2, 3, 7].into_iter().all(|threads| bits(threads) == one), "{:?}", net.layers);
    }
}
