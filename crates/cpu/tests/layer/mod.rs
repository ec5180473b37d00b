//! A tower of one layer, and numbers for it.

use ilsvrc_network::{Buffer, BufferId, Learning, Net, ParamId, Parameter, Plan, TowerPlan};
use ilsvrc_random::{Purpose, Stream};

pub(crate) const INPUT: BufferId = BufferId(0);
pub(crate) const OUTPUT: BufferId = BufferId(1);
pub(crate) const WEIGHTS: ParamId = ParamId(0);
pub(crate) const BIAS: ParamId = ParamId(1);

/// Numbers of a normal distribution.
pub(crate) fn normal(index: u32, length: usize, deviation: f32) -> Vec<f32> {
    let stream = Stream::new(7, Purpose::Weights, 0, index);
    let mut numbers: Vec<f32> =
        (0..length.div_ceil(2) as u32).flat_map(|pair| stream.normal_pair(pair)).collect();
    numbers.truncate(length);
    numbers.iter_mut().for_each(|x| *x *= deviation);
    numbers
}

/// One tower with these buffers side by side and these parameters.
pub(crate) fn plan(batch: usize, buffers: &[usize], parameters: &[usize]) -> Plan {
    let mut arena = 0;
    let buffers = buffers.iter().map(|elements| {
        let offset = arena;
        arena += elements * batch;
        Buffer { elements: *elements, offset, name: "buffer".into() }
    });
    let buffers = buffers.collect();
    let learning = Learning { weight_std: 0.0, bias: 0.0, weight_rate: 1.0, bias_rate: 1.0, decay: None };
    let parameters = parameters.iter().enumerate().map(|(i, length)| Parameter {
        name: "parameter".into(),
        layer: 0,
        shape: vec![*length],
        bias: i == 1,
        learning,
    });
    let parameters = parameters.collect();
    let tower =
        TowerPlan { buffers, parameters, arena, input: INPUT, probabilities: None, outputs: Vec::new() };
    let net = Net { name: "layer".into(), image: 1, crop: 1, towers: 1, layers: Vec::new() };
    Plan { net, batch, classes: 1, towers: vec![tower], forward: Vec::new(), backward: Vec::new() }
}
