//! A net of dense layers with ReLU and dropout between them, and half the squared error as its loss. It is made of the ops that every
//! backend has, so their arithmetic is what `crates/conformance` tests; the loss is of a few numbers a row and is made here.

use ilsvrc_diagnostics::Result;
use ilsvrc_network::{
    Activation, Backend, Buffer, BufferId, Learning, Mode, Net, Op, ParamId, Parameter, Pass, Plan, Slot,
    TowerPlan, UpdateRule,
};

/// Buffers start at multiples of this many elements, as an arena's must.
const ALIGNMENT: usize = 16;

/// What a row's outputs should be: `values` at columns `first..`; the other columns are not asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Target {
    /// First of the four columns.
    pub(crate) first: usize,
    /// Left, top, right, bottom in the regressor's units.
    pub(crate) values: [f32; 4],
}

/// The net at work on a backend.
pub(crate) struct Regressor<B: Backend> {
    backend: B,
    tower: B::Tower,
    plan: Plan,
    forward: Vec<Op>,
    backward: Vec<Op>,
    input: BufferId,
    output: BufferId,
    output_gradient: BufferId,
    outputs: usize,
    batch: usize,
}

impl<B: Backend> Regressor<B> {
    /// A net of `widths` (inputs, hidden units…, outputs) for passes of `batch` rows. Its parameters are zero.
    ///
    /// # Errors
    /// Those of the backend, as `OUT_OF_MEMORY`.
    pub(crate) fn new(backend: B, widths: &[usize], batch: usize, dropout: f32) -> Result<Self> {
        let mut draft = Draft { batch, ..Draft::default() };
        let layers = widths.len() - 1;
        let activations: Vec<BufferId> = widths.iter().map(|&units| draft.buffer(units)).collect();
        let gradients: Vec<BufferId> = widths.iter().map(|&units| draft.buffer(units)).collect();
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        for layer in 0..layers {
            let (inputs, outputs) = (widths[layer], widths[layer + 1]);
            let (weights, bias) = draft.parameters(layer, inputs, outputs);
            let (input, output) = (activations[layer], activations[layer + 1]);
            let is_hidden = layer + 1 < layers;
            let activation = if is_hidden { Activation::Relu } else { Activation::None };
            forward.push(Op::Dense { inputs, outputs, input, weights, bias, output, activation });
            // Built from the last layer's gradient to the first: reversed below.
            let output_gradient = gradients[layer + 1];
            let number = layer as u32;
            backward.push(Op::DenseWeightGradient { inputs, outputs, input, output_gradient, weights, bias });
            if layer > 0 {
                let input_gradient = gradients[layer];
                backward.push(Op::DenseInputGradient {
                    inputs,
                    outputs,
                    output_gradient,
                    weights,
                    input_gradient,
                });
            }
            if is_hidden {
                forward.push(Op::Dropout { elements: outputs, rate: dropout, layer: number, buffer: output });
                let gradient = output_gradient;
                // What dropout set to zero has no slope either: the activation's gradient sees the zeros.
                backward.push(Op::ActivationGradient {
                    elements: outputs,
                    activation: Activation::Relu,
                    output,
                    gradient,
                });
            }
        }
        backward.reverse();
        let plan = draft.plan(activations[0], widths[layers]);
        let tower = backend.allocate(&plan, 0, 0)?;
        Ok(Self {
            backend,
            tower,
            plan,
            forward,
            backward,
            input: activations[0],
            output: activations[layers],
            output_gradient: gradients[layers],
            outputs: widths[layers],
            batch,
        })
    }

    /// Draws the first weights: N(0, 2 / inputs) (He et al. 2015), biases zero.
    ///
    /// # Errors
    /// The backend's.
    pub(crate) fn initialise(&mut self, seed: u64) -> Result<()> {
        for (index, parameter) in self.plan.towers[0].parameters.iter().enumerate() {
            let values = parameter.initial(seed, 0, index);
            self.backend.write_parameter(&mut self.tower, ParamId(index), Slot::Value, &values)?;
        }
        Ok(())
    }

    /// Outputs of `rows` (any number of them), `rows x outputs`, without dropout.
    ///
    /// # Errors
    /// The backend's.
    pub(crate) fn predict(&mut self, rows: &[f32]) -> Result<Vec<f32>> {
        let inputs = self.plan.towers[0].buffers[self.input.0].elements;
        let mut all = Vec::with_capacity(rows.len() / inputs * self.outputs);
        for rows in rows.chunks(self.batch * inputs) {
            all.extend(self.pass(rows, &Pass { batch: rows.len() / inputs, mode: Mode::Test })?);
        }
        Ok(all)
    }

    /// One step of learning from a batch; its loss before the step: half the squared distance to the targets, the mean over
    /// the rows. Where that is not finite the weights stay as they are.
    ///
    /// # Errors
    /// The backend's.
    pub(crate) fn step(
        &mut self,
        rows: &[f32],
        targets: &[Target],
        mode: Mode,
        rule: &UpdateRule,
    ) -> Result<f64> {
        let pass = Pass { batch: targets.len(), mode };
        let loss = self.gradients(rows, targets, &pass)?;
        if loss.is_finite() {
            self.backend.update(&mut self.tower, rule)?;
        }
        Ok(loss)
    }

    /// The loss of a batch, and the gradients of all parameters.
    fn gradients(&mut self, rows: &[f32], targets: &[Target], pass: &Pass) -> Result<f64> {
        let outputs = self.pass(rows, pass)?;
        let mut slopes = vec![0.0; outputs.len()];
        let mut loss = 0.0;
        let share = 1.0 / targets.len() as f32;
        for (row, target) in targets.iter().enumerate() {
            let first = row * self.outputs + target.first;
            for (at, wanted) in (first..).zip(target.values) {
                let distance = outputs[at] - wanted;
                slopes[at] = share * distance;
                loss += 0.5 * f64::from(distance) * f64::from(distance);
            }
        }
        self.backend.write_buffer(&mut self.tower, self.output_gradient, &slopes)?;
        self.backend.run(&mut self.tower, &self.backward, pass)?;
        Ok(loss / targets.len() as f64)
    }

    fn pass(&mut self, rows: &[f32], pass: &Pass) -> Result<Vec<f32>> {
        self.backend.write_buffer(&mut self.tower, self.input, rows)?;
        self.backend.run(&mut self.tower, &self.forward, pass)?;
        let mut outputs = vec![0.0; pass.batch * self.outputs];
        self.backend.read_buffer(&self.tower, self.output, &mut outputs)?;
        Ok(outputs)
    }

    /// All parameters with their values in file order.
    ///
    /// # Errors
    /// The backend's.
    pub(crate) fn parameters(&self) -> Result<Vec<(Parameter, Vec<f32>)>> {
        self.read(Slot::Value)
    }

    fn read(&self, slot: Slot) -> Result<Vec<(Parameter, Vec<f32>)>> {
        let all = self.plan.towers[0].parameters.iter().enumerate();
        all.map(|(index, parameter)| {
            let mut values = vec![0.0; parameter.len()];
            self.backend.read_parameter(&self.tower, ParamId(index), slot, &mut values)?;
            Ok((parameter.clone(), parameter.to_file_order(&values)))
        })
        .collect()
    }

    /// Overwrites a parameter, by its place among [`Regressor::parameters`], with values in file order.
    ///
    /// # Errors
    /// The backend's.
    pub(crate) fn set_parameter(&mut self, index: usize, values: &[f32]) -> Result<()> {
        let values = self.plan.towers[0].parameters[index].to_memory_order(values);
        self.backend.write_parameter(&mut self.tower, ParamId(index), Slot::Value, &values)
    }
}

/// A plan in the making.
#[derive(Default)]
struct Draft {
    batch: usize,
    arena: usize,
    buffers: Vec<Buffer>,
    parameters: Vec<Parameter>,
}

impl Draft {
    fn buffer(&mut self, elements: usize) -> BufferId {
        let id = BufferId(self.buffers.len());
        self.buffers.push(Buffer { elements, offset: self.arena, name: format!("boxes {}", id.0) });
        self.arena += (elements * self.batch).next_multiple_of(ALIGNMENT);
        id
    }

    fn parameters(&mut self, layer: usize, inputs: usize, outputs: usize) -> (ParamId, ParamId) {
        let weight_std = (2.0 / inputs as f32).sqrt();
        let learning = Learning { weight_std, bias: 0.0, weight_rate: 1.0, bias_rate: 1.0, decay: None };
        let first = self.parameters.len();
        let name = |what| format!("fc{}.{what}", layer + 1);
        self.parameters.push(Parameter {
            name: name("weight"),
            layer,
            shape: vec![outputs, inputs],
            bias: false,
            learning,
        });
        self.parameters.push(Parameter {
            name: name("bias"),
            layer,
            shape: vec![outputs],
            bias: true,
            learning,
        });
        (ParamId(first), ParamId(first + 1))
    }

    /// A backend allocates by it; the ops are run one list after the other, so its stages stay empty.
    fn plan(self, input: BufferId, outputs: usize) -> Plan {
        let Self { batch, arena, buffers, parameters } = self;
        let tower = TowerPlan { buffers, parameters, arena, input, probabilities: None, outputs: Vec::new() };
        let net = Net { name: "boxes".into(), image: 1, crop: 1, towers: 1, layers: Vec::new() };
        Plan { net, batch, classes: outputs, towers: vec![tower], forward: Vec::new(), backward: Vec::new() }
    }
}

#[cfg(test)]
#[path = "regressor_tests.rs"]
mod tests;
