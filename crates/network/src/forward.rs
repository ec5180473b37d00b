//! The forward pass of a plan: one op a layer and tower, an exchange before each layer that reads both towers.
//!
//! Activations and dropout work in place. That is safe for the backward pass because no gradient needs the output of
//! a convolution, dense layer, pool or norm, and an activation's gradient needs only its own output: dropout sets to
//! zero what the gradient is zero for anyway. Only a second activation must not overwrite the first one's output.

use crate::draft::{append, meet};
use crate::shapes::{LayerShape, image, shapes};
use crate::{
    Activation, BufferId, Exchange, Layer, Net, Norm, Op, Output, ParamId, Parameter, Plan, PoolKind, Reads,
    TowerPlan,
};
use ilsvrc_diagnostics::Result;

/// What the backward pass must know about the forward pass.
pub(crate) struct Trace {
    pub(crate) shapes: Vec<LayerShape>,
    /// One for each layer.
    pub(crate) steps: Vec<Step>,
    /// Gradient of the logits, on tower 0.
    pub(crate) logits_gradient: Option<BufferId>,
}

/// The buffers of one layer; `None` on a tower that does not compute it.
pub(crate) struct Step {
    /// What it reads: the gathered buffer where it reads both towers.
    pub(crate) input: Vec<Option<BufferId>>,
    pub(crate) output: Vec<Option<BufferId>>,
    /// Weights and bias.
    pub(crate) parameters: Vec<Option<(ParamId, ParamId)>>,
}

/// Plans the forward pass of a valid net, each layer an op of its own.
pub(crate) fn build(net: &Net, batch: usize, training: bool) -> Result<(Plan, Trace)> {
    let shapes = shapes(net)?;
    let mut builder = Forward::new(net, batch, training);
    let mut steps = Vec::with_capacity(shapes.len());
    for (index, shape) in shapes.iter().enumerate() {
        steps.push(builder.layer(index, shape));
    }
    let logits_gradient = builder.softmax();
    Ok((builder.plan, Trace { shapes, steps, logits_gradient }))
}

struct Forward<'a> {
    net: &'a Net,
    training: bool,
    plan: Plan,
    /// Each tower's own maps after the layers so far; `None` after a joined layer on the towers without it.
    own: Vec<Option<BufferId>>,
    /// Whether `own` holds the output of an activation, which its gradient needs.
    activated: bool,
}

impl<'a> Forward<'a> {
    fn new(net: &'a Net, batch: usize, training: bool) -> Self {
        let towers: Vec<TowerPlan> = (0..net.towers)
            .map(|_| {
                let mut tower = TowerPlan {
                    buffers: Vec::new(),
                    parameters: Vec::new(),
                    arena: 0,
                    input: BufferId(0),
                    probabilities: None,
                    outputs: Vec::new(),
                };
                tower.input = tower.add_buffer("image".into(), image(net).elements());
                tower
            })
            .collect();
        let own = towers.iter().map(|tower| Some(tower.input)).collect();
        let (forward, backward) = (Vec::new(), Vec::new());
        let plan = Plan { net: net.clone(), batch, classes: 0, towers, forward, backward };
        Self { net, training, plan, own, activated: false }
    }

    fn layer(&mut self, index: usize, shape: &LayerShape) -> Step {
        let layer = &self.net.layers[index];
        if matches!(layer, Layer::Dense { .. }) {
            self.keep_features(index, shape);
        }
        if matches!(layer, Layer::Lrn { reads: Reads::Both, .. }) {
            return self.norm_across(index, shape);
        }
        let input = if layer.reads() == Reads::Both {
            self.gather(index, shape, shape.towers)
        } else {
            self.own.clone()
        };
        let mut output = vec![None; self.net.towers];
        let mut parameters = vec![None; self.net.towers];
        for tower in 0..shape.towers {
            let Some(read) = input[tower] else { continue };
            if layer.learning().is_some() {
                parameters[tower] = Some(self.add_parameters(index, shape, tower));
            }
            let written = self.output_buffer(index, shape, tower, read);
            let op = op(index, layer, shape, read, written, parameters[tower]);
            append(&mut self.plan.forward, self.net.towers, tower, op);
            output[tower] = Some(written);
        }
        self.own.clone_from(&output);
        self.activated = match layer {
            Layer::Relu | Layer::Tanh => true,
            Layer::Dropout { .. } => self.activated,
            _ => false,
        };
        Step { input, output, parameters }
    }

    /// What the dense layer `index` reads of each tower stays until the pass ends: the maps that the dense layers
    /// start from and, for the last layer, the features. They bear the name of the layer that made them.
    fn keep_features(&mut self, index: usize, shape: &LayerShape) {
        let last = index + 1 == self.net.layers.len();
        let Some(name) = self.net.layers[..index].iter().rev().find_map(Layer::name) else { return };
        if !last && !shape.input.spatial {
            return;
        }
        for (tower, own) in self.plan.towers.iter_mut().zip(&self.own) {
            tower.outputs.extend(own.map(|buffer| Output {
                layer: name.to_string(),
                buffer,
                positions: shape.input.positions(),
                maps: shape.input.maps,
            }));
        }
    }

    /// Normalisation over both towers' maps: they meet on tower 0, and each tower is given its own back. Giving back is
    /// the same exchange as that of a gathered gradient which one tower alone has.
    fn norm_across(&mut self, index: usize, shape: &LayerShape) -> Step {
        let gathered = self.gather(index, shape, 1);
        let (positions, maps) = (shape.output.positions(), shape.output.maps);
        let label = self.net.label(index);
        let normalised =
            self.plan.towers[0].add_buffer(format!("{label} of both"), positions * shape.in_maps);
        let input = gathered[0].expect("gathered on tower 0");
        let norm = norm(&self.net.layers[index]);
        let op = Op::Lrn { norm, positions, maps: shape.in_maps, input, output: normalised };
        append(&mut self.plan.forward, self.net.towers, 0, op);
        let own_gradient: Vec<_> = self
            .plan
            .towers
            .iter_mut()
            .map(|tower| tower.add_buffer(label.clone(), shape.output.elements()))
            .collect();
        self.own = own_gradient.iter().copied().map(Some).collect();
        self.activated = false;
        let gathered_gradient =
            (0..self.net.towers).map(|tower| (tower == 0).then_some(normalised)).collect();
        meet(
            &mut self.plan.forward,
            Exchange::GatherGradient { positions, maps, gathered_gradient, own_gradient },
        );
        Step { input: gathered, output: self.own.clone(), parameters: vec![None; self.net.towers] }
    }

    /// Both towers' maps side by side, on the first `readers` towers.
    fn gather(&mut self, index: usize, shape: &LayerShape, readers: usize) -> Vec<Option<BufferId>> {
        let elements = shape.input.positions() * shape.in_maps;
        let name = format!("{} input", self.net.label(index));
        let gathered: Vec<Option<BufferId>> = self
            .plan
            .towers
            .iter_mut()
            .enumerate()
            .map(|(tower, plan)| (tower < readers).then(|| plan.add_buffer(name.clone(), elements)))
            .collect();
        let exchange = Exchange::Gather {
            positions: shape.input.positions(),
            maps: shape.input.maps,
            own: self.own.iter().flatten().copied().collect(),
            gathered: gathered.clone(),
        };
        meet(&mut self.plan.forward, exchange);
        gathered
    }

    fn add_parameters(&mut self, index: usize, shape: &LayerShape, tower: usize) -> (ParamId, ParamId) {
        let layer = &self.net.layers[index];
        let learning = *layer.learning().expect("the caller asked");
        let name = format!("tower{tower}.{}", self.net.label(index));
        let parameters = &mut self.plan.towers[tower].parameters;
        let weights = ParamId(parameters.len());
        let file_shape = shape.weights();
        let biases = shape.biases();
        parameters.push(Parameter {
            name: format!("{name}.weight"),
            layer: index,
            shape: file_shape,
            bias: false,
            learning,
        });
        parameters.push(Parameter {
            name: format!("{name}.bias"),
            layer: index,
            shape: biases,
            bias: true,
            learning,
        });
        (weights, ParamId(weights.0 + 1))
    }

    /// The buffer that a layer writes: what it reads where it works in place.
    fn output_buffer(&mut self, index: usize, shape: &LayerShape, tower: usize, read: BufferId) -> BufferId {
        let in_place = match self.net.layers[index] {
            Layer::Relu | Layer::Tanh => !(self.activated && self.training),
            Layer::Dropout { .. } => true,
            _ => false,
        };
        if in_place {
            return read;
        }
        self.plan.towers[tower].add_buffer(self.net.label(index), shape.output.elements())
    }

    /// Closes the pass; gives the gradient of the logits for a training plan.
    fn softmax(&mut self) -> Option<BufferId> {
        let logits = self.own[0].expect("the last layer is on tower 0");
        let tower = &mut self.plan.towers[0];
        let classes = tower.buffers[logits.0].elements;
        let probabilities = tower.add_buffer("probabilities".into(), classes);
        let gradient = self.training.then(|| tower.add_buffer("probabilities gradient".into(), classes));
        tower.probabilities = Some(probabilities);
        self.plan.classes = classes;
        let op = Op::Softmax { classes, logits, probabilities, gradient };
        append(&mut self.plan.forward, self.net.towers, 0, op);
        gradient
    }
}

fn op(
    index: usize,
    layer: &Layer,
    shape: &LayerShape,
    input: BufferId,
    output: BufferId,
    parameters: Option<(ParamId, ParamId)>,
) -> Op {
    let (maps, elements) = (shape.output.maps, shape.output.elements());
    let activation = Activation::None;
    let window = || shape.window.expect("layers over maps have windows");
    let weights_and_bias = || parameters.expect("layers with learning have parameters");
    match *layer {
        Layer::Conv { .. } => {
            let ((weights, bias), in_maps) = (weights_and_bias(), shape.in_maps);
            Op::Conv { window: window(), in_maps, out_maps: maps, input, weights, bias, output, activation }
        }
        Layer::Local { .. } => {
            let ((weights, bias), in_maps) = (weights_and_bias(), shape.in_maps);
            Op::Local { window: window(), in_maps, out_maps: maps, input, weights, bias, output, activation }
        }
        Layer::Dense { .. } => {
            let ((weights, bias), inputs) = (weights_and_bias(), shape.input.positions() * shape.in_maps);
            Op::Dense { inputs, outputs: maps, input, weights, bias, output, activation }
        }
        Layer::Relu => Op::Activate { elements, activation: Activation::Relu, input, output },
        Layer::Tanh => Op::Activate { elements, activation: Activation::Tanh, input, output },
        Layer::Lrn { .. } => {
            Op::Lrn { norm: norm(layer), positions: shape.output.positions(), maps, input, output }
        }
        Layer::MapNorm { .. } => {
            Op::MapNorm { norm: norm(layer), side: shape.output.side, maps, input, output }
        }
        Layer::MaxPool { .. } => Op::Pool { kind: PoolKind::Max, window: window(), maps, input, output },
        Layer::AvgPool { .. } => Op::Pool { kind: PoolKind::Avg, window: window(), maps, input, output },
        Layer::Dropout { rate } => Op::Dropout { elements, rate, layer: index as u32, buffer: output },
    }
}

/// The constants of a normalisation, `alpha` divided by the number of elements in a whole window.
pub(crate) fn norm(layer: &Layer) -> Norm {
    match *layer {
        Layer::Lrn { size, k, alpha, beta, .. } => Norm { size, k, alpha: alpha / size as f32, beta },
        Layer::MapNorm { size, k, alpha, beta } => {
            Norm { size, k, alpha: alpha / (size * size) as f32, beta }
        }
        _ => unreachable!("only normalisations have these constants"),
    }
}
