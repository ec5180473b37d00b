//! Weights that are kept in the form that is multiplied are never those of before.

mod layer;

use ilsvrc_cpu::{Convolution, CpuBackend, CpuTower};
use ilsvrc_network::{Activation, Backend, Mode, Op, Pass, Slot, UpdateRule, Window};
use layer::{BIAS, INPUT, OUTPUT, WEIGHTS, normal, plan};

/// Side, size, maps read and written, images: the paper's third layer with fewer maps; its second; and its first, which has no
/// transforms.
const LAYERS: [[usize; 5]; 3] = [[13, 3, 32, 32, 5], [27, 5, 16, 32, 2], [15, 7, 3, 16, 2]];

/// A layer on a backend.
struct Layer {
    backend: CpuBackend,
    tower: CpuTower,
    op: Op,
    outputs: usize,
}

impl Layer {
    fn new([side, size, in_maps, out_maps, batch]: [usize; 5], way: Convolution) -> Self {
        let window = Window { input: side, output: side, size, stride: 1, pad: size / 2 };
        let [inputs, outputs] = [in_maps, out_maps].map(|maps| side * side * maps);
        let weights = size * size * in_maps * out_maps;
        let plan = plan(batch, &[inputs, outputs], &[weights, out_maps]);
        let backend = CpuBackend::new(&[2]).unwrap().convolving(way);
        let mut tower = backend.allocate(&plan, 0, 0).unwrap();
        backend.write_buffer(&mut tower, INPUT, &normal(0, inputs * batch, 1.0)).unwrap();
        backend.write_parameter(&mut tower, BIAS, Slot::Value, &normal(1, out_maps, 1.0)).unwrap();
        backend.write_parameter(&mut tower, WEIGHTS, Slot::Gradient, &normal(2, weights, 0.1)).unwrap();
        let (input, output, activation) = (INPUT, OUTPUT, Activation::Relu);
        let op =
            Op::Conv { window, in_maps, out_maps, input, weights: WEIGHTS, bias: BIAS, output, activation };
        let mut layer = Self { backend, tower, op, outputs };
        layer.set_weights(3, weights);
        layer
    }

    fn set_weights(&mut self, numbers: u32, weights: usize) {
        let values = normal(numbers, weights, 0.1);
        self.backend.write_parameter(&mut self.tower, WEIGHTS, Slot::Value, &values).unwrap();
    }

    /// The bits of the output of the first images.
    fn output(&mut self, mode: Mode, batch: usize) -> Vec<u32> {
        self.backend.run(&mut self.tower, std::slice::from_ref(&self.op), &Pass { batch, mode }).unwrap();
        let mut out = vec![0.0; self.outputs * batch];
        self.backend.read_buffer(&self.tower, OUTPUT, &mut out).unwrap();
        out.into_iter().map(f32::to_bits).collect()
    }
}

#[test]
fn what_learns_or_is_written_is_multiplied() {
    let train = Mode::Train { seed: 0, step: 0, first: 0 };
    for shape @ [_, size, in_maps, out_maps, batch] in LAYERS {
        let weights = size * size * in_maps * out_maps;
        for way in [Convolution::Direct, Convolution::Winograd] {
            let mut layer = Layer::new(shape, way);
            let first = layer.output(Mode::Test, batch);
            assert_eq!(layer.output(Mode::Test, batch), first, "kept");
            assert_eq!(layer.output(train, batch), first, "not kept");
            layer.set_weights(4, weights);
            let written = layer.output(Mode::Test, batch);
            assert_ne!(written, first);
            assert_eq!(layer.output(train, batch), written);
            let rule = UpdateRule { rate: 0.1, momentum: 0.9, decay: 0.0 };
            layer.backend.update(&mut layer.tower, &rule).unwrap();
            let learned = layer.output(Mode::Test, batch);
            assert_ne!(learned, written);
            assert_eq!(layer.output(train, batch), learned);
        }
    }
}

/// Where weights are kept, the way does not depend on the batch.
#[test]
fn an_image_alone_has_the_bits_that_it_has_in_a_batch() {
    for shape @ [.., batch] in LAYERS {
        let mut layer = Layer::new(shape, Convolution::Automatic);
        let all = layer.output(Mode::Test, batch);
        for images in 1..batch {
            assert_eq!(
                layer.output(Mode::Test, images),
                all[..layer.outputs * images],
                "{shape:?}, {images}"
            );
        }
    }
}
