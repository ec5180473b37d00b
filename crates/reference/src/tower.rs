//! What a tower holds: buffers by number, parameters with their velocities and gradients.

use ilsvrc_network::{BufferId, Learning, ParamId, Plan, Slot};

/// A tower's memory.
pub struct ReferenceTower {
    /// 0 or 1.
    pub(crate) number: u32,
    pub(crate) input: BufferId,
    pub(crate) labels: Vec<u32>,
    pub(crate) parameters: Vec<Parameter>,
    /// Images of the pass at work.
    pub(crate) images: usize,
    buffers: Vec<Buffer>,
}

struct Buffer {
    elements: usize,
    /// Of as many images as the plan allows; a smaller pass leaves the rest alone.
    values: Vec<f64>,
}

pub(crate) struct Parameter {
    pub(crate) learning: Learning,
    pub(crate) bias: bool,
    pub(crate) value: Vec<f64>,
    pub(crate) velocity: Vec<f64>,
    pub(crate) gradient: Vec<f64>,
}

impl Parameter {
    pub(crate) fn slot(&self, slot: Slot) -> &[f64] {
        match slot {
            Slot::Value => &self.value,
            Slot::Velocity => &self.velocity,
            Slot::Gradient => &self.gradient,
        }
    }

    pub(crate) fn slot_mut(&mut self, slot: Slot) -> &mut Vec<f64> {
        match slot {
            Slot::Value => &mut self.value,
            Slot::Velocity => &mut self.velocity,
            Slot::Gradient => &mut self.gradient,
        }
    }
}

impl ReferenceTower {
    pub(crate) fn new(plan: &Plan, tower: usize) -> Self {
        let planned = &plan.towers[tower];
        let parameters = planned
            .parameters
            .iter()
            .map(|parameter| {
                let zeros = vec![0.0; parameter.shape.iter().product()];
                Parameter {
                    learning: parameter.learning,
                    bias: parameter.bias,
                    value: zeros.clone(),
                    velocity: zeros.clone(),
                    gradient: zeros,
                }
            })
            .collect();
        Self {
            number: tower as u32,
            input: planned.input,
            labels: Vec::new(),
            parameters,
            images: 0,
            buffers: planned
                .buffers
                .iter()
                .map(|buffer| Buffer {
                    elements: buffer.elements,
                    values: vec![0.0; plan.batch * buffer.elements],
                })
                .collect(),
        }
    }

    /// The images of the pass at work.
    pub(crate) fn get(&self, buffer: BufferId) -> &[f64] {
        let Buffer { elements, values } = &self.buffers[buffer.0];
        &values[..self.images * elements]
    }

    /// All of a buffer.
    pub(crate) fn whole(&self, buffer: BufferId) -> &[f64] {
        &self.buffers[buffer.0].values
    }

    /// Overwrites the first values.
    pub(crate) fn set(&mut self, buffer: BufferId, values: &[f64]) {
        self.buffers[buffer.0].values[..values.len()].copy_from_slice(values);
    }

    pub(crate) fn value(&self, id: ParamId) -> &[f64] {
        &self.parameters[id.0].value
    }

    pub(crate) fn set_gradients(&mut self, weights: ParamId, bias: ParamId, gradients: (Vec<f64>, Vec<f64>)) {
        (self.parameters[weights.0].gradient, self.parameters[bias.0].gradient) = gradients;
    }
}

/// The first values as f32.
pub(crate) fn narrow(values: &[f64], out: &mut [f32]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = *value as f32;
    }
}
