//! The analytic gradients against `(L(w + h) - L(w - h)) / 2h`. Parameters of early layers see the gradient of every op
//! after them, so whole nets that hold every kind of layer check each op's gradient, by its input too.

use ilsvrc_network::{
    Execution, Executor, Input, Mode, Net, ParamId, Pass, Plan, Slot, UpdateRule, Use, View, examples,
};
use ilsvrc_random::{Purpose, Stream};
use ilsvrc_reference::ReferenceBackend;

const PASS_SEED: u64 = 5;

/// A net with its batch loaded: images, mean and labels drawn from a fixed stream.
struct Probe {
    executor: Executor<ReferenceBackend>,
    net: Net,
    pass: Pass,
    pixels: Vec<u8>,
    labels: Vec<u32>,
    views: Vec<View>,
}

impl Probe {
    fn new(net: Net, plan_batch: usize, images: usize) -> Self {
        let plan = Plan::new(&net, plan_batch, Use::Training).expect("a valid net");
        let classes = plan.classes as u32;
        let places = vec![0; net.towers];
        let mut executor = Executor::new(ReferenceBackend, plan, &places).expect("places for all towers");
        executor.initialise(3).expect("weights");
        let stream = Stream::new(9, Purpose::Drawing, 0, 0);
        // Inputs of order one: a step of a weight then moves few activations over a kink, and tanh is off its flat parts.
        let pixels =
            (0..images * net.image * net.image * 3).map(|i| 124 + stream.below(i as u32, 8) as u8).collect();
        let labels = (0..images).map(|i| stream.below(i as u32, classes)).collect();
        let slack = (net.image - net.crop) as u16;
        let views = (0..images)
            .map(|i| {
                let corner = [slack, slack / 2];
                View {
                    image: i as u32,
                    crop: corner,
                    mean: corner,
                    mirror: i % 2 == 1,
                    colour: [0.5, -0.25, 1.0],
                }
            })
            .collect();
        let pass = Pass { batch: images, mode: Mode::Train { seed: PASS_SEED, step: 2, first: 0 } };
        Self { executor, net, pass, pixels, labels, views }
    }

    fn loss(&mut self) -> f64 {
        let side = self.net.image;
        let mean = vec![127.5; side * side * 3];
        let input = Input {
            pixels: &self.pixels,
            side,
            views: &self.views,
            mean: &mean,
            mean_side: side,
            labels: &self.labels,
        };
        self.executor.forward(&input, &self.pass).expect("a forward pass");
        self.executor.loss(&self.labels).expect("a loss")
    }

    /// Compares a few elements of every parameter.
    fn check(&mut self) {
        self.loss();
        self.executor.backward(&self.pass).expect("a backward pass");
        let mut compared = 0;
        for tower in 0..self.net.towers {
            for index in 0..self.executor.plan().towers[tower].parameters.len() {
                let id = ParamId(index);
                let name = self.executor.plan().towers[tower].parameters[index].name.clone();
                let gradient = self.executor.read_parameter(tower, id, Slot::Gradient).expect("a gradient");
                let values = self.executor.read_parameter(tower, id, Slot::Value).expect("values");
                let largest = gradient.iter().fold(0.0_f32, |a, g| a.max(g.abs()));
                assert!(largest > 0.0, "{name} has no gradient");
                let picks = Stream::new(4, Purpose::Drawing, 0, index as u32);
                for pick in 0..6 {
                    let i = picks.below(pick, values.len() as u32) as usize;
                    let slope = self.slope(tower, id, &values, i);
                    let error = (slope - f64::from(gradient[i])).abs();
                    // Probabilities leave the reference as f32, a relative error of 6e-8 over a step of 2e-3; the rest
                    // is for activations that cross a kink of ReLU or of a maximum within the step.
                    let allowed = 1e-2 * f64::from(largest) + 1e-4;
                    assert!(error <= allowed, "{name}[{i}]: {} by ops, {slope} by differences", gradient[i]);
                    compared += 1;
                }
            }
        }
        assert!(compared > 0);
    }

    fn slope(&mut self, tower: usize, id: ParamId, values: &[f32], i: usize) -> f64 {
        let step = 1e-3_f32;
        let mut at = |value: f32| {
            let mut moved = values.to_vec();
            moved[i] = value;
            self.executor.write_parameter(tower, id, Slot::Value, &moved).expect("a parameter");
            self.loss()
        };
        let (up, down) = (values[i] + step, values[i] - step);
        let slope = (at(up) - at(down)) / f64::from(up - down);
        at(values[i]);
        slope
    }
}

#[test]
fn a_two_tower_net_with_every_kind_of_layer() {
    Probe::new(examples::miniature(), 3, 3).check();
}

#[test]
fn a_normalisation_across_towers_and_windows_that_end_inside() {
    Probe::new(examples::miniature_across(), 3, 3).check();
}

#[test]
fn locally_connected_layers() {
    Probe::new(examples::miniature_local(), 4, 3).check();
}

#[test]
fn one_image() {
    Probe::new(examples::miniature(), 1, 1).check();
}

#[test]
fn a_batch_smaller_than_the_plan() {
    Probe::new(examples::miniature(), 5, 2).check();
}

#[test]
fn a_step_lowers_the_loss() {
    let mut probe = Probe::new(examples::miniature(), 4, 4);
    let rule = UpdateRule { rate: 0.01, momentum: 0.9, decay: 0.0 };
    let before = probe.loss();
    for _ in 0..5 {
        probe.loss();
        probe.executor.backward(&probe.pass).expect("a backward pass");
        probe.executor.update(&rule).expect("an update");
    }
    let after = probe.loss();
    assert!(after < before, "{before} -> {after}");
}

#[test]
fn fused_and_unfused_plans_agree() {
    [examples::miniature(), examples::miniature_across(), examples::miniature_local()]
        .into_iter()
        .for_each(fused_and_unfused_agree);
}

fn fused_and_unfused_agree(net: Net) {
    let mut fused = Probe::new(net.clone(), 3, 3);
    let mut plain = Probe::new(net.clone(), 3, 3);
    let plan = Plan::with_fusion(&net, 3, Use::Training, false).expect("a plan");
    plain.executor = Executor::new(ReferenceBackend, plan, &[0, 0]).expect("places");
    plain.executor.initialise(3).expect("weights");
    let (a, b) = (fused.loss(), plain.loss());
    assert!((a - b).abs() < 1e-6, "{a} fused, {b} not");
    for probe in [&mut fused, &mut plain] {
        probe.executor.backward(&probe.pass).expect("a backward pass");
    }
    for tower in 0..2 {
        for index in 0..fused.executor.plan().towers[tower].parameters.len() {
            let read = |probe: &Probe| probe.executor.read_parameter(tower, ParamId(index), Slot::Gradient);
            assert_eq!(read(&fused).expect("a gradient"), read(&plain).expect("a gradient"));
        }
    }
}
