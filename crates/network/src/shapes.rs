//! Shapes: from the crop's side through the layers. Everything here is per tower.

use crate::{Layer, Net, Reads, Round, Window};
use ilsvrc_diagnostics::{Error, NET_INVALID, Result};

/// Colour channels of the image.
pub(crate) const CHANNELS: usize = 3;

/// Elements an image that one buffer may hold (1 GiB of f32), so that no later product overflows.
const MOST_ELEMENTS: usize = 1 << 28;

/// Elements of one weight tensor (4 GiB of f32).
const MOST_WEIGHTS: usize = 1 << 30;

/// What a layer hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Side of the square maps; 1 after a dense layer.
    pub side: usize,
    /// Maps, or units.
    pub maps: usize,
    /// False after a dense layer.
    pub spatial: bool,
}

impl Shape {
    /// Rows times columns.
    pub fn positions(self) -> usize {
        self.side * self.side
    }

    /// Values of one image.
    pub fn elements(self) -> usize {
        self.positions() * self.maps
    }
}

/// A layer's place in the net.
#[derive(Clone, Copy, Debug)]
pub struct LayerShape {
    /// Of the own tower's input, before any gathering.
    pub input: Shape,
    /// Maps that a window sees: both towers' where the layer reads both.
    pub in_maps: usize,
    /// What each tower hands on.
    pub output: Shape,
    /// Of convolutions, locally connected layers and pools.
    pub window: Option<Window>,
    /// Whether every output position has weights and biases of its own.
    pub unshared: bool,
    /// Towers that compute it.
    pub towers: usize,
}

impl LayerShape {
    /// Shape of the weights in files: OIHW, or OI between dense layers; of a locally connected layer OIHW for each row
    /// and column of its output.
    pub fn weights(&self) -> Vec<usize> {
        let (outputs, inputs) = (self.output.maps, self.in_maps);
        match self.window {
            Some(Window { output, size, .. }) if self.unshared => {
                vec![output, output, outputs, inputs, size, size]
            }
            Some(window) => vec![outputs, inputs, window.size, window.size],
            None if self.input.spatial => vec![outputs, inputs, self.input.side, self.input.side],
            None => vec![outputs, inputs],
        }
    }

    /// Shape of the biases in files: one a map; of a locally connected layer one a map for each row and column.
    pub fn biases(&self) -> Vec<usize> {
        match self.window {
            Some(Window { output, .. }) if self.unshared => vec![output, output, self.output.maps],
            _ => vec![self.output.maps],
        }
    }
}

/// The shape of the image that each tower sees.
pub(crate) fn image(net: &Net) -> Shape {
    Shape { side: net.crop, maps: CHANNELS, spatial: true }
}

impl Net {
    /// The place of every layer, first to last.
    ///
    /// # Errors
    /// `NET_INVALID` where the net is.
    pub fn layer_shapes(&self) -> Result<Vec<LayerShape>> {
        self.validate()?;
        shapes(self)
    }
}

/// The shapes of all layers. Expects numbers within `validate`'s limits.
///
/// # Errors
/// `NET_INVALID` where a window does not fit, a layer of maps follows a dense one, or a tensor is too large.
pub(crate) fn shapes(net: &Net) -> Result<Vec<LayerShape>> {
    let mut input = image(net);
    let mut shapes = Vec::with_capacity(net.layers.len());
    for (index, layer) in net.layers.iter().enumerate() {
        let shape = layer_shape(net, layer, input).map_err(|reason| {
            Error::new(NET_INVALID, format!("layer {} ({}): {reason}", index + 1, net.label(index)))
        })?;
        input = shape.output;
        shapes.push(shape);
    }
    Ok(shapes)
}

fn layer_shape(net: &Net, layer: &Layer, input: Shape) -> Result<LayerShape, String> {
    let towers = if layer.joined() { 1 } else { net.towers };
    let in_maps = if layer.reads() == Reads::Both { net.towers * input.maps } else { input.maps };
    if !input.spatial
        && !matches!(layer, Layer::Dense { .. } | Layer::Relu | Layer::Tanh | Layer::Dropout { .. })
    {
        return Err(format!("{} works on maps and cannot follow a dense layer", layer.kind()));
    }
    let (output, window) = match *layer {
        Layer::Conv { filters, size, stride, pad, round, .. }
        | Layer::Local { filters, size, stride, pad, round, .. } => {
            let window = conv_window(input.side, size, stride, pad, round)?;
            (Shape { side: window.output, maps: filters, spatial: true }, Some(window))
        }
        Layer::MaxPool { size, stride } | Layer::AvgPool { size, stride } => {
            let window = pool_window(input.side, size, stride)?;
            (Shape { side: window.output, ..input }, Some(window))
        }
        Layer::Dense { units, .. } => (Shape { side: 1, maps: units, spatial: false }, None),
        _ => (input, None),
    };
    let unshared = matches!(layer, Layer::Local { .. });
    let shape = LayerShape { input, in_maps, output, window, unshared, towers };
    let gathered = input.positions().saturating_mul(in_maps);
    let largest = gathered.max(output.positions().saturating_mul(output.maps));
    if largest > MOST_ELEMENTS {
        return Err(format!("{largest} values an image are more than {MOST_ELEMENTS}"));
    }
    if layer.learning().is_some() {
        let weights = shape.weights().iter().fold(1usize, |product, side| product.saturating_mul(*side));
        if weights > MOST_WEIGHTS {
            return Err(format!("{weights} weights are more than {MOST_WEIGHTS}"));
        }
    }
    Ok(shape)
}

/// Output side `1 + round((2 pad + input - size) / stride)`: rounded up, the last window may hang over the border and
/// reads zeros there; rounded down, there is none such.
fn conv_window(input: usize, size: usize, stride: usize, pad: usize, round: Round) -> Result<Window, String> {
    if pad >= size {
        return Err(format!("padding {pad} must be smaller than the window, {size}"));
    }
    let padded = input + 2 * pad;
    if size > padded {
        return Err(format!(
            "window {size} is larger than its input, {input} with {pad} of padding on each side"
        ));
    }
    let steps = match round {
        Round::Ceil => (padded - size).div_ceil(stride),
        Round::Floor => (padded - size) / stride,
    };
    Ok(Window { input, output: 1 + steps, size, stride, pad })
}

/// Output side `ceil((input - size) / stride) + 1`. A stride above the size could leave a last window without a
/// single position inside the image.
fn pool_window(input: usize, size: usize, stride: usize) -> Result<Window, String> {
    if stride > size {
        return Err(format!("stride {stride} must not exceed the window, {size}"));
    }
    if size > input {
        return Err(format!("window {size} is larger than its input, {input}"));
    }
    Ok(Window { input, output: 1 + (input - size).div_ceil(stride), size, stride, pad: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convolution_sides_of_the_paper() {
        for (input, size, stride, pad, output) in [
            (224, 11, 4, 0, 55),
            (27, 5, 1, 2, 27),
            (27, 5, 1, 1, 25),
            (13, 3, 1, 1, 13),
            (32, 5, 1, 2, 32),
            (5, 5, 3, 0, 1),
        ] {
            assert_eq!(conv_window(input, size, stride, pad, Round::Ceil).unwrap().output, output);
        }
        // torchvision's first layer, where rounding up would give 56.
        assert_eq!(conv_window(224, 11, 4, 2, Round::Floor).unwrap().output, 55);
        assert!(conv_window(4, 7, 1, 1, Round::Ceil).is_err());
        assert!(conv_window(9, 3, 1, 3, Round::Floor).is_err());
    }

    #[test]
    fn pooling_sides_of_the_paper() {
        for (input, size, stride, output) in [
            (55, 3, 2, 27),
            (27, 3, 2, 13),
            (13, 3, 2, 6),
            (32, 3, 2, 16),
            (16, 3, 2, 8),
            (8, 3, 2, 4),
            (55, 2, 2, 28),
        ] {
            assert_eq!(pool_window(input, size, stride).unwrap().output, output);
        }
        assert!(pool_window(2, 3, 2).is_err());
        assert!(pool_window(5, 1, 3).is_err());
    }
}
