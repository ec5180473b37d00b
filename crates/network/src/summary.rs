//! What a net holds and costs, layer by layer.

use crate::{Net, Plan, Use, shapes};
use ilsvrc_diagnostics::Result;
use serde::Serialize;

/// Bytes of an f32.
const BYTES: usize = 4;

/// A net in numbers. Counts are over both towers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// First to last, as in [`Net::layers`].
    pub layers: Vec<LayerSummary>,
    /// Sums over the layers.
    pub totals: Totals,
    /// Images that the memory figures are for.
    pub batch: usize,
    /// Bytes of all weights and biases; training holds three times as much (velocities and gradients).
    pub parameters_bytes: usize,
    /// Bytes of the activations and gradients of a training pass, after sharing.
    pub training_bytes: usize,
    /// Bytes of the activations of a forward pass, after sharing.
    pub inference_bytes: usize,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerSummary {
    /// See [`Net::label`].
    pub name: String,
    /// The layer's `type` in JSON.
    pub kind: &'static str,
    /// Towers that compute it.
    pub towers: usize,
    /// Output of one tower: `[rows, columns, maps]`, or `[units]`.
    pub shape: Vec<usize>,
    /// Outputs of layers with parameters; 0 for others.
    pub neurons: usize,
    /// Weights and biases.
    pub parameters: usize,
    /// Multiply-adds of one image, forward; weights that meet padding count.
    pub connections: usize,
    /// Bytes of the outputs at the summary's batch.
    pub memory_bytes: usize,
}

/// Sums over the layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// 659,272 for the paper's net.
    pub neurons: usize,
    /// 60,965,224 for the paper's net.
    pub parameters: usize,
    /// 724,406,816 for the paper's net.
    pub connections: usize,
}

impl Net {
    /// Counts neurons, parameters and connections, and the memory of passes of `batch` images.
    ///
    /// # Errors
    /// `NET_INVALID` where the net or the batch is.
    pub fn summary(&self, batch: usize) -> Result<Summary> {
        let arena = |use_| -> Result<usize> {
            let plan = Plan::new(self, batch, use_)?;
            Ok(plan.towers.iter().map(|tower| tower.arena * BYTES).sum())
        };
        let (training_bytes, inference_bytes) = (arena(Use::Training)?, arena(Use::Inference)?);
        let layers: Vec<LayerSummary> = shapes::shapes(self)?
            .iter()
            .enumerate()
            .map(|(index, shape)| {
                let output = shape.output;
                let weights: usize =
                    self.layers[index].learning().map_or(0, |_| shape.weights().iter().product());
                let learns = usize::from(weights > 0);
                // Positions that share their weights; a dense layer's output is one position.
                let sharing = if shape.unshared { 1 } else { output.positions() };
                let connections = shape.towers * weights * sharing;
                let biases: usize = shape.biases().iter().product();
                LayerSummary {
                    name: self.label(index),
                    kind: self.layers[index].kind(),
                    towers: shape.towers,
                    shape: if output.spatial {
                        vec![output.side, output.side, output.maps]
                    } else {
                        vec![output.maps]
                    },
                    neurons: learns * shape.towers * output.elements(),
                    parameters: shape.towers * (weights + learns * biases),
                    connections,
                    memory_bytes: shape.towers * output.elements() * batch * BYTES,
                }
            })
            .collect();
        let totals = layers.iter().fold(Totals::default(), |sum, layer| Totals {
            neurons: sum.neurons + layer.neurons,
            parameters: sum.parameters + layer.parameters,
            connections: sum.connections + layer.connections,
        });
        let parameters_bytes = totals.parameters * BYTES;
        Ok(Summary { layers, totals, batch, parameters_bytes, training_bytes, inference_bytes })
    }
}
