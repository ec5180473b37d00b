//! The backward pass of a plan: the gradients of the forward ops, last to first, down to the first layer with
//! parameters, whose input needs no gradient.

use crate::draft::{append, meet};
use crate::forward::{Step, Trace, norm};
use crate::shapes::LayerShape;
use crate::{Activation, BufferId, Exchange, Layer, Op, Plan, PoolKind, Reads};

/// Adds the backward pass to a plan of all layers' own ops.
pub(crate) fn build(plan: &mut Plan, trace: &Trace) {
    let Some(first) = plan.net.layers.iter().position(|layer| layer.learning().is_some()) else { return };
    let mut gradient = vec![None; plan.towers.len()];
    gradient[0] = trace.logits_gradient;
    let layers = trace.shapes.iter().zip(&trace.steps).enumerate().skip(first).rev();
    for (index, (shape, step)) in layers {
        let mut backward = Backward { plan, index, shape, step };
        gradient = if backward.layer().learning().is_some() {
            // The input's first: what goes to the other tower travels while the weights' gradient is made.
            let read = if index > first { backward.product(&gradient) } else { Vec::new() };
            backward.weights(&gradient);
            read
        } else if backward.layer().reads() == Reads::Both {
            backward.norm_across(&gradient)
        } else {
            backward.elementwise(&gradient)
        };
    }
}

/// The gradient of one layer. `gradient` is that of its output, for each tower that computes it.
struct Backward<'a> {
    plan: &'a mut Plan,
    index: usize,
    shape: &'a LayerShape,
    step: &'a Step,
}

impl Backward<'_> {
    fn layer(&self) -> &Layer {
        &self.plan.net.layers[self.index]
    }

    fn append(&mut self, tower: usize, op: Op) {
        append(&mut self.plan.backward, self.plan.towers.len(), tower, op);
    }

    /// A buffer for the gradient of what the layer reads.
    fn add_buffer(&mut self, tower: usize, what: &str, elements: usize) -> BufferId {
        let name = format!("{}{what} gradient", self.plan.net.label(self.index));
        self.plan.towers[tower].add_buffer(name, elements)
    }

    /// Gradients of weights and biases.
    fn weights(&mut self, gradient: &[Option<BufferId>]) {
        for (tower, gradient) in gradient.iter().enumerate() {
            let (Some(output_gradient), Some(input), Some((weights, bias))) =
                (*gradient, self.step.input[tower], self.step.parameters[tower])
            else {
                continue;
            };
            let (in_maps, out_maps) = (self.shape.in_maps, self.shape.output.maps);
            let op = match self.shape.window {
                Some(window) if self.shape.unshared => Op::LocalWeightGradient {
                    window,
                    in_maps,
                    out_maps,
                    input,
                    output_gradient,
                    weights,
                    bias,
                },
                Some(window) => Op::ConvWeightGradient {
                    window,
                    in_maps,
                    out_maps,
                    input,
                    output_gradient,
                    weights,
                    bias,
                },
                None => {
                    let inputs = self.shape.input.positions() * in_maps;
                    Op::DenseWeightGradient {
                        inputs,
                        outputs: out_maps,
                        input,
                        output_gradient,
                        weights,
                        bias,
                    }
                }
            };
            self.append(tower, op);
        }
    }

    /// Gradients of what a layer with parameters reads; where it reads both towers, each gets its share back.
    fn product(&mut self, gradient: &[Option<BufferId>]) -> Vec<Option<BufferId>> {
        let (in_maps, out_maps) = (self.shape.in_maps, self.shape.output.maps);
        let inputs = self.shape.input.positions() * in_maps;
        let mut read_gradient = vec![None; gradient.len()];
        for (tower, gradient) in gradient.iter().enumerate() {
            let (Some(output_gradient), Some((weights, _))) = (*gradient, self.step.parameters[tower]) else {
                continue;
            };
            let input_gradient = self.add_buffer(tower, " input", inputs);
            let op = match self.shape.window {
                Some(window) if self.shape.unshared => Op::LocalInputGradient {
                    window,
                    in_maps,
                    out_maps,
                    output_gradient,
                    weights,
                    input_gradient,
                },
                Some(window) => Op::ConvInputGradient {
                    window,
                    in_maps,
                    out_maps,
                    output_gradient,
                    weights,
                    input_gradient,
                },
                None => Op::DenseInputGradient {
                    inputs,
                    outputs: out_maps,
                    output_gradient,
                    weights,
                    input_gradient,
                },
            };
            self.append(tower, op);
            read_gradient[tower] = Some(input_gradient);
        }
        if self.layer().reads() == Reads::Both { self.scatter(read_gradient) } else { read_gradient }
    }

    fn scatter(&mut self, gathered_gradient: Vec<Option<BufferId>>) -> Vec<Option<BufferId>> {
        let input = self.shape.input;
        let own_gradient: Vec<BufferId> = (0..gathered_gradient.len())
            .map(|tower| self.add_buffer(tower, " own input", input.elements()))
            .collect();
        let shares = own_gradient.iter().copied().map(Some).collect();
        let (positions, maps) = (input.positions(), input.maps);
        meet(
            &mut self.plan.backward,
            Exchange::GatherGradient { positions, maps, gathered_gradient, own_gradient },
        );
        shares
    }

    /// Gradient of a normalisation over both towers' maps: by way of tower 0, as they went.
    fn norm_across(&mut self, gradient: &[Option<BufferId>]) -> Vec<Option<BufferId>> {
        let Some(input) = self.step.input[0] else { return vec![None; gradient.len()] };
        let (positions, maps) = (self.shape.input.positions(), self.shape.input.maps);
        let all = self.shape.in_maps;
        let output_gradient = self.add_buffer(0, " of both", positions * all);
        let gathered = (0..gradient.len()).map(|tower| (tower == 0).then_some(output_gradient)).collect();
        let own = gradient.iter().flatten().copied().collect();
        meet(&mut self.plan.backward, Exchange::Gather { positions, maps, own, gathered });
        let input_gradient = self.add_buffer(0, " input", positions * all);
        let norm = norm(self.layer());
        self.append(
            0,
            Op::LrnGradient { norm, positions, maps: all, input, output_gradient, input_gradient },
        );
        self.scatter((0..gradient.len()).map(|tower| (tower == 0).then_some(input_gradient)).collect())
    }

    /// Gradients of layers without parameters.
    fn elementwise(&mut self, gradient: &[Option<BufferId>]) -> Vec<Option<BufferId>> {
        (0..gradient.len()).map(|tower| self.elementwise_on(tower, gradient[tower]?)).collect()
    }

    /// The gradient of the input: `gradient` itself where that is worked on in place.
    fn elementwise_on(&mut self, tower: usize, gradient: BufferId) -> Option<BufferId> {
        let (input, output) = (self.step.input[tower]?, self.step.output[tower]?);
        let (elements, maps) = (self.shape.output.elements(), self.shape.output.maps);
        let layer = self.layer().clone();
        let in_place = match layer {
            Layer::Relu => {
                Some(Op::ActivationGradient { elements, activation: Activation::Relu, output, gradient })
            }
            Layer::Tanh => {
                Some(Op::ActivationGradient { elements, activation: Activation::Tanh, output, gradient })
            }
            Layer::Dropout { rate } => {
                Some(Op::DropoutGradient { elements, rate, layer: self.index as u32, gradient })
            }
            _ => None,
        };
        if let Some(op) = in_place {
            self.append(tower, op);
            return Some(gradient);
        }
        let output_gradient = gradient;
        let input_gradient = self.add_buffer(tower, " input", self.shape.input.elements());
        let op = match layer {
            Layer::Lrn { .. } => {
                let positions = self.shape.input.positions();
                Op::LrnGradient {
                    norm: norm(&layer),
                    positions,
                    maps,
                    input,
                    output_gradient,
                    input_gradient,
                }
            }
            Layer::MapNorm { .. } => {
                let side = self.shape.input.side;
                Op::MapNormGradient { norm: norm(&layer), side, maps, input, output_gradient, input_gradient }
            }
            Layer::MaxPool { .. } | Layer::AvgPool { .. } => {
                let kind = if matches!(layer, Layer::MaxPool { .. }) { PoolKind::Max } else { PoolKind::Avg };
                let window = self.shape.window?;
                let activation = Activation::None;
                Op::PoolGradient { kind, window, maps, input, output_gradient, input_gradient, activation }
            }
            _ => unreachable!("{} has parameters or works in place", layer.kind()),
        };
        self.append(tower, op);
        Some(input_gradient)
    }
}
