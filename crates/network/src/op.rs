//! The ops of a plan. All activations are NHWC f32 in a tower's arena; weights are HWIO (kernel row, kernel column,
//! input map, output map) in memory, so that a convolution is a product with `[size*size*in_maps, out_maps]`.
#![allow(missing_docs)] // the fields of ops say what they are by name; each op has its formula

/// A buffer of one tower's plan: index into [`crate::TowerPlan::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// A weight or bias tensor of one tower's plan: index into [`crate::TowerPlan::parameters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParamId(pub usize);

/// Applied where a layer writes its output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// The identity.
    #[default]
    None,
    /// `max(0, x)`
    Relu,
    /// `tanh(x)`
    Tanh,
}

/// Windows sliding over maps: shared by convolution and pooling. Sides are of square maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Side of the input maps.
    pub input: usize,
    /// Side of the output maps.
    pub output: usize,
    /// Side of the window.
    pub size: usize,
    /// Step between windows.
    pub stride: usize,
    /// Rows and columns before the first input position; 0 for pooling.
    pub pad: usize,
}

/// Across-map normalisation, see [`crate::Layer::Lrn`]; `alpha` is already divided by the window's size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// Maps (or the side of the window of positions) in the sum.
    pub size: usize,
    /// Added to the sum.
    pub k: f32,
    /// Multiplies the sum of squares.
    pub alpha: f32,
    /// The exponent.
    pub beta: f32,
}

/// Which value of a pooling window goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest; its gradient goes to the first largest in row order.
    Max,
    /// The mean over the positions inside the image.
    Avg,
}

/// One step of one tower. Forward ops overwrite `output`; gradient ops overwrite the gradient they name, never add.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// `output = activation(conv(input, weights) + bias)`
    Conv {
        window: Window,
        in_maps: usize,
        out_maps: usize,
        input: BufferId,
        weights: ParamId,
        bias: ParamId,
        output: BufferId,
        activation: Activation,
    },
    /// `input_gradient = conv_transposed(output_gradient, weights)`
    ConvInputGradient {
        window: Window,
        in_maps: usize,
        out_maps: usize,
        output_gradient: BufferId,
        weights: ParamId,
        input_gradient: BufferId,
    },
    /// Gradients of `weights` and `bias`, summed over the images of the batch (`Softmax` has divided by the batch).
    ConvWeightGradient {
        window: Window,
        in_maps: usize,
        out_maps: usize,
        input: BufferId,
        output_gradient: BufferId,
        weights: ParamId,
        bias: ParamId,
    },
    /// As `Conv`, with weights and biases of their own for every output position: weights `[positions, size*size*in_maps,
    /// out_maps]`, biases `[positions, out_maps]`, positions in row order.
    Local {
        window: Window,
        in_maps: usize,
        out_maps: usize,
        input: BufferId,
        weights: ParamId,
        bias: ParamId,
        output: BufferId,
        activation: Activation,
    },
    /// `input_gradient[i] = sum of output_gradient[p] * weights[p, tap]^T` over the positions `p` whose windows have `i` under
    /// their `tap`; 0 where there are none.
    LocalInputGradient {
        window: Window,
        in_maps: usize,
        out_maps: usize,
        output_gradient: BufferId,
        weights: ParamId,
        input_gradient: BufferId,
    },
    /// As for convolution, each position by itself; weights that meet nothing but padding get 0.
    LocalWeightGradient {
        window: Window,
        in_maps: usize,
        out_maps: usize,
        input: BufferId,
        output_gradient: BufferId,
        weights: ParamId,
        bias: ParamId,
    },
    /// `output = activation(input * weights + bias)`; weights `[inputs, outputs]`, row major.
    Dense {
        inputs: usize,
        outputs: usize,
        input: BufferId,
        weights: ParamId,
        bias: ParamId,
        output: BufferId,
        activation: Activation,
    },
    /// `input_gradient = output_gradient * weights^T`
    DenseInputGradient {
        inputs: usize,
        outputs: usize,
        output_gradient: BufferId,
        weights: ParamId,
        input_gradient: BufferId,
    },
    /// As for convolution.
    DenseWeightGradient {
        inputs: usize,
        outputs: usize,
        input: BufferId,
        output_gradient: BufferId,
        weights: ParamId,
        bias: ParamId,
    },
    /// `output = activation(input)`, where it could not be fused. `elements` per image. May be in place.
    Activate { elements: usize, activation: Activation, input: BufferId, output: BufferId },
    /// `gradient *= activation'`, from the activation's `output`, in place.
    ActivationGradient { elements: usize, activation: Activation, output: BufferId, gradient: BufferId },
    /// Local response normalisation across maps. `positions` = rows * columns.
    Lrn { norm: Norm, positions: usize, maps: usize, input: BufferId, output: BufferId },
    /// Its gradient, from the forward input.
    LrnGradient {
        norm: Norm,
        positions: usize,
        maps: usize,
        input: BufferId,
        output_gradient: BufferId,
        input_gradient: BufferId,
    },
    /// Normalisation within each map.
    MapNorm { norm: Norm, side: usize, maps: usize, input: BufferId, output: BufferId },
    /// Its gradient, from the forward input.
    MapNormGradient {
        norm: Norm,
        side: usize,
        maps: usize,
        input: BufferId,
        output_gradient: BufferId,
        input_gradient: BufferId,
    },
    /// Pooling. Windows are clipped at the right and bottom border.
    Pool { kind: PoolKind, window: Window, maps: usize, input: BufferId, output: BufferId },
    /// Its gradient; the maximum is found again in `input`. With an `activation`, of which `input` is the output, also
    /// that one's: `input_gradient *= activation'(input)`.
    PoolGradient {
        kind: PoolKind,
        window: Window,
        maps: usize,
        input: BufferId,
        output_gradient: BufferId,
        input_gradient: BufferId,
        activation: Activation,
    },
    /// Lrn, then max pooling, without storing the normalised maps.
    LrnPool { norm: Norm, window: Window, maps: usize, input: BufferId, output: BufferId },
    /// Its gradient, from the forward input, and that of an `activation` as for pooling alone.
    LrnPoolGradient {
        norm: Norm,
        window: Window,
        maps: usize,
        input: BufferId,
        output_gradient: BufferId,
        input_gradient: BufferId,
        activation: Activation,
    },
    /// Dropout in place. Element `e` of the step's batch ((first + image) * elements + position) of tower `t` is kept when
    /// `unit(Stream::new(seed, Purpose::Dropout, step, layer * 2 + t).block(e / 4)[e % 4]) >= rate`.
    /// In test mode multiplies by `1 - rate`.
    Dropout { elements: usize, rate: f32, layer: u32, buffer: BufferId },
    /// `gradient = 0` where the mask was 0, in place (training only).
    DropoutGradient { elements: usize, rate: f32, layer: u32, gradient: BufferId },
    /// Softmax probabilities; with labels also the mean-batch gradient of the cross-entropy:
    /// `gradient = (probability - onehot) / batch`, so all gradients after it are of the mean loss.
    Softmax { classes: usize, logits: BufferId, probabilities: BufferId, gradient: Option<BufferId> },
}
