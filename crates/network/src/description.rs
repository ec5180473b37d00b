//! The description of a net: what a preset holds and what a model file carries in its metadata.

use serde::{Deserialize, Serialize};

/// A network. Filters and units are counted **per tower**.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Net {
    /// The preset's name, or the user's.
    pub name: String,
    /// Side of the prepared square images that crops are taken from (256 for ImageNet).
    pub image: usize,
    /// Side of the crop that the net sees (224).
    pub crop: usize,
    /// 1 or 2.
    pub towers: usize,
    /// First to last; a softmax with cross-entropy follows the last, whose units are the classes.
    pub layers: Vec<Layer>,
}

/// Which towers' maps a layer reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// Its own tower only.
    #[default]
    Own,
    /// Both towers' maps, tower 0's first.
    Both,
}

/// What becomes of a convolution's last window where it does not end with its padded input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Round {
    /// It is there, and reads zeros beyond the border: the paper's net.
    #[default]
    Ceil,
    /// It is left out: PyTorch and Caffe.
    Floor,
}

/// How a layer's parameters start and learn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learning {
    /// Standard deviation of the initial weights, N(0, std).
    pub weight_std: f32,
    /// Initial value of every bias.
    pub bias: f32,
    /// Multiplies the learning rate for the weights.
    #[serde(default = "one")]
    pub weight_rate: f32,
    /// Multiplies the learning rate for the biases.
    #[serde(default = "one")]
    pub bias_rate: f32,
    /// Weight decay of this layer; the recipe's where absent. Biases never decay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay: Option<f32>,
}

fn one() -> f32 {
    1.0
}

fn is_ceil(round: &Round) -> bool {
    *round == Round::Ceil
}

fn is_own(reads: &Reads) -> bool {
    *reads == Reads::Own
}

/// A layer. Layers without parameters work on each tower by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// Convolution; output side `1 + round((2*pad + in - size) / stride)`, zeros outside the image.
    Conv {
        /// Unique among the layers, as `conv1`.
        name: String,
        /// Output maps per tower.
        filters: usize,
        /// Side of the square kernel.
        size: usize,
        /// Step between windows.
        stride: usize,
        /// Zeros added at the left and top (and, as far as windows need them, right and bottom).
        pad: usize,
        /// Which towers' maps it reads. The image is read whole by both towers.
        #[serde(default)]
        reads: Reads,
        /// Whether a window that begins inside and ends outside of the padded input counts.
        #[serde(default, skip_serializing_if = "is_ceil")]
        round: Round,
        /// How its parameters start and learn.
        learning: Learning,
    },
    /// Locally connected: the windows and shapes of a convolution, but every output position has kernels and biases of
    /// its own.
    Local {
        /// Unique among the layers, as `local3`.
        name: String,
        /// Output maps per tower.
        filters: usize,
        /// Side of the square windows.
        size: usize,
        /// Step between windows.
        stride: usize,
        /// As of a convolution.
        pad: usize,
        /// Which towers' maps it reads. The image is read whole by both towers.
        #[serde(default)]
        reads: Reads,
        /// As of a convolution.
        #[serde(default, skip_serializing_if = "is_ceil")]
        round: Round,
        /// How its parameters start and learn.
        learning: Learning,
    },
    /// Fully connected.
    Dense {
        /// Unique among the layers, as `fc6`.
        name: String,
        /// Outputs per tower, or in all when `joined`.
        units: usize,
        /// Which towers' outputs it reads.
        #[serde(default)]
        reads: Reads,
        /// Computed once, on tower 0 (the last layer of a two-tower net).
        #[serde(default)]
        joined: bool,
        /// How its parameters start and learn.
        learning: Learning,
    },
    /// `max(0, x)`.
    Relu,
    /// `tanh(x)`.
    Tanh,
    /// Local response normalisation across maps: `b = a / (k + alpha/size * sum a^2)^beta` over `size` neighbouring
    /// maps, the window clipped at the first and last map.
    Lrn {
        /// Number of maps in the window (odd).
        size: usize,
        /// Added to the sum.
        k: f32,
        /// Divided by `size`.
        alpha: f32,
        /// The exponent.
        beta: f32,
        /// Whose maps are neighbours: the own tower's, as in the paper, or both towers', tower 0's first, as in Caffe.
        #[serde(default, skip_serializing_if = "is_own")]
        reads: Reads,
    },
    /// The same within each map: the sum runs over a `size` x `size` window of positions (clipped) and `alpha` is
    /// divided by `size * size`.
    MapNorm {
        /// Side of the window (odd).
        size: usize,
        /// Added to the sum.
        k: f32,
        /// Divided by `size^2`.
        alpha: f32,
        /// The exponent.
        beta: f32,
    },
    /// Maximum over windows; output side `ceil((in - size) / stride) + 1`, windows clipped at the border.
    MaxPool {
        /// Side of the window.
        size: usize,
        /// Step between windows.
        stride: usize,
    },
    /// Mean over windows, shapes as for `MaxPool`; divides by the number of positions inside the image.
    AvgPool {
        /// Side of the window.
        size: usize,
        /// Step between windows.
        stride: usize,
    },
    /// Sets outputs to zero with probability `rate` in training; multiplies by `1 - rate` at test (the paper's form).
    Dropout {
        /// In `0..1`.
        rate: f32,
    },
}

impl Layer {
    /// The layer's `type` in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Layer::Conv { .. } => "conv",
            Layer::Local { .. } => "local",
            Layer::Dense { .. } => "dense",
            Layer::Relu => "relu",
            Layer::Tanh => "tanh",
            Layer::Lrn { .. } => "lrn",
            Layer::MapNorm { .. } => "map_norm",
            Layer::MaxPool { .. } => "max_pool",
            Layer::AvgPool { .. } => "avg_pool",
            Layer::Dropout { .. } => "dropout",
        }
    }

    /// The name of a layer with parameters.
    pub fn name(&self) -> Option<&str> {
        match self {
            Layer::Conv { name, .. } | Layer::Local { name, .. } | Layer::Dense { name, .. } => Some(name),
            _ => None,
        }
    }

    /// How the parameters start and learn, for a layer that has any.
    pub fn learning(&self) -> Option<&Learning> {
        match self {
            Layer::Conv { learning, .. } | Layer::Local { learning, .. } | Layer::Dense { learning, .. } => {
                Some(learning)
            }
            _ => None,
        }
    }

    /// Which towers' maps the layer reads.
    pub fn reads(&self) -> Reads {
        match self {
            Layer::Conv { reads, .. }
            | Layer::Local { reads, .. }
            | Layer::Dense { reads, .. }
            | Layer::Lrn { reads, .. } => *reads,
            _ => Reads::Own,
        }
    }

    /// Whether the layer is computed once, on tower 0.
    pub fn joined(&self) -> bool {
        matches!(self, Layer::Dense { joined: true, .. })
    }
}

impl Net {
    /// What to call layer `index`: its name, or the name of the last layer with parameters before it and its kind, as
    /// `conv1 max_pool`.
    pub fn label(&self, index: usize) -> String {
        let layer = &self.layers[index];
        if let Some(name) = layer.name() {
            return name.to_string();
        }
        let before = self.layers[..index].iter().rev().find_map(Layer::name).unwrap_or("image");
        format!("{before} {}", layer.kind())
    }
}
