//! What is common to models that come from elsewhere: which format a file has, and how a sequence of layers with their
//! weights becomes a net of ours with its parameters.
//!
//! Two things are told the other way there and are settled here, in the weights. Inputs are scaled or have their channels in
//! another order: the first layer's weights take that over. Dropout divides by `1 - rate` in training where ours
//! multiplies by it at test: the next layer's weights are divided once, and both train and classify as they did.

use crate::{caffe, torchvision};
use ilsvrc_diagnostics::{Error, IMPORT_CORRUPT, IMPORT_UNREADABLE, IMPORT_UNSUPPORTED, NET_INVALID, Result};
use ilsvrc_network::{Layer, LayerShape, Learning, Net};
use serde::Serialize;

/// A model of another program as one of ours.
pub struct Imported<'a> {
    /// The net; its shapes are those of the weights.
    pub net: Net,
    /// All parameters in the order of model files.
    pub parameters: Vec<Tensor<'a>>,
    /// Subtracted from pixels: `image x image x 3`, RGB, 0 to 255.
    pub mean: Vec<f32>,
    /// Where it came from.
    pub origin: Origin,
}

/// Where an imported model came from and what was done to it: a record for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// `Caffe caffemodel` or `torchvision safetensors`.
    pub format: &'static str,
    /// What the file calls its net.
    pub net: String,
    /// How that program makes photos square: `crop` or `warp`.
    pub resize: &'static str,
    /// Order of the channels that its first layer read.
    pub channels: &'static str,
    /// What was subtracted, in its own order of channels.
    pub mean: String,
    /// What pixels were multiplied by after that, likewise; now in the first layer's weights.
    pub scale: String,
}

/// A parameter: a part of the file, and what happens to it when it is read.
pub struct Tensor<'a> {
    /// As in model files: `tower0.conv1.weight`.
    pub name: String,
    /// OIHW, OI, or O.
    pub shape: Vec<usize>,
    /// Little-endian f32; `None` for zeros.
    values: Option<&'a [u8]>,
    factor: f32,
    /// Of the first layer's weights.
    channels: Option<Channels>,
}

/// For red, green and blue: the file's channel, and what its weights are multiplied by.
pub(crate) type Channels = [(usize, f64); 3];

/// A tensor of a file.
#[derive(Clone, Debug)]
pub(crate) struct Blob<'a> {
    pub(crate) shape: Vec<usize>,
    /// Little-endian f32.
    pub(crate) bytes: &'a [u8],
}

/// Weights and, where the layer has one, bias.
pub(crate) type Weights<'a> = (Blob<'a>, Option<Blob<'a>>);

/// Reads a model, by what its first bytes say: `safetensors` in torchvision's names, else a `.caffemodel`. `mean` is the
/// content of a `mean.binaryproto`, for the latter.
///
/// # Errors
/// `IMPORT_UNREADABLE` for other formats, `IMPORT_CORRUPT`, `IMPORT_UNSUPPORTED`.
pub fn read<'a>(file: &'a [u8], mean: Option<&[u8]>) -> Result<Imported<'a>> {
    let other = |what: &str, hint: &str| {
        Err(Error::new(IMPORT_UNREADABLE, format!("the file is {what}, which is not read")).hint(hint))
    };
    let is_safetensors = file.get(8) == Some(&b'{');
    match file {
        _ if is_safetensors && mean.is_none() => torchvision::torchvision(file),
        _ if is_safetensors => Err(Error::new(
            IMPORT_UNSUPPORTED,
            "a mean image was given, but torchvision's models subtract channel means",
        )
        .hint("leave --mean out; it is for Caffe models")),
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => other(
            "a PyTorch pickle (or another archive)",
            "pickles can run code; save the weights as safetensors: safetensors.torch.save_file(torch.load(FILE, \
             weights_only=True), \"alexnet.safetensors\")",
        ),
        [0x89, b'H', b'D', b'F', ..] => other("HDF5", "save the snapshot as a .caffemodel"),
        _ => caffe::caffemodel(file, mean),
    }
}

/// The parameters of `net`, one of `weights` for each layer that has any, cut into towers.
///
/// # Errors
/// `IMPORT_UNSUPPORTED` where a shape is not the one that the net needs.
pub(crate) fn assemble<'a>(
    net: &Net,
    weights: &[Weights<'a>],
    channels: Channels,
) -> Result<Vec<Tensor<'a>>> {
    let shapes = net.layer_shapes().map_err(unusable)?;
    let factors = dropout_factors(net)?;
    let learning: Vec<usize> = (0..shapes.len()).filter(|i| net.layers[*i].learning().is_some()).collect();
    for (&index, (weight, bias)) in learning.iter().zip(weights) {
        let shape = &shapes[index];
        let name = net.label(index);
        let rows = shape.towers * shape.output.maps;
        let columns: usize = shape.weights()[1..].iter().product();
        let expected = match shape.window {
            Some(_) => [&[rows], &shape.weights()[1..]].concat(),
            None => vec![rows, columns],
        };
        expect(&format!("the weights of {name}"), weight, &expected)?;
        if let Some(bias) = bias {
            expect(&format!("the biases of {name}"), bias, &[rows])?;
        }
    }
    let mut tensors = Vec::new();
    for tower in 0..net.towers {
        for (number, (&index, (weight, bias))) in learning.iter().zip(weights).enumerate() {
            let shape = &shapes[index];
            if tower >= shape.towers {
                continue;
            }
            let name = format!("tower{tower}.{}", net.label(index));
            tensors.push(Tensor {
                name: format!("{name}.weight"),
                shape: shape.weights(),
                values: Some(share(weight.bytes, tower, shape)),
                factor: factors[index],
                channels: (number == 0).then_some(channels),
            });
            tensors.push(Tensor {
                name: format!("{name}.bias"),
                shape: vec![shape.output.maps],
                values: bias.as_ref().map(|bias| share(bias.bytes, tower, shape)),
                factor: 1.0,
                channels: None,
            });
        }
    }
    Ok(tensors)
}

/// Tower `tower`'s rows. Lengths were checked.
fn share<'a>(bytes: &'a [u8], tower: usize, shape: &LayerShape) -> &'a [u8] {
    let length = bytes.len() / shape.towers;
    &bytes[tower * length..][..length]
}

/// What the weights of each layer are multiplied by: `1 / (1 - rate)` of the dropout layers between it and the layer with
/// weights before. What else lies there must let a factor pass.
fn dropout_factors(net: &Net) -> Result<Vec<f32>> {
    let mut factor = 1.0;
    let mut factors = Vec::new();
    for (index, layer) in net.layers.iter().enumerate() {
        factors.push(factor);
        match layer {
            Layer::Dropout { rate } => factor /= 1.0 - rate,
            Layer::Conv { .. } | Layer::Dense { .. } => factor = 1.0,
            Layer::Relu | Layer::MaxPool { .. } | Layer::AvgPool { .. } => {}
            Layer::Tanh | Layer::Lrn { .. } | Layer::MapNorm { .. } if factor == 1.0 => {}
            _ => {
                let what = net.label(index);
                return Err(Error::new(
                    IMPORT_UNSUPPORTED,
                    format!("{what} reads the output of a dropout layer"),
                )
                .info(
                    "dropout's factor at test can only be carried on through layers that are linear in it",
                ));
            }
        }
    }
    Ok(factors)
}

fn expect(what: &str, blob: &Blob, shape: &[usize]) -> Result<()> {
    // Caffe once stored all shapes as four numbers, ones in front.
    let bare = |shape: &[usize]| shape.iter().copied().skip_while(|side| *side == 1).collect::<Vec<_>>();
    let elements = shape.iter().product::<usize>();
    if bare(&blob.shape) == bare(shape) && blob.bytes.len() == 4 * elements {
        return Ok(());
    }
    Err(Error::new(IMPORT_UNSUPPORTED, format!("{what} are {:?}, not {shape:?}", blob.shape))
        .info("the net that the other layers make needs that shape"))
}

/// The net's faults are the file's.
pub(crate) fn unusable(error: Error) -> Error {
    if error.code != NET_INVALID {
        return error;
    }
    Error::new(IMPORT_UNSUPPORTED, "the file's net is none that can be computed").info(error.message)
}

/// How an imported layer starts if somebody trains the net anew: the paper's constants.
pub(crate) fn learning() -> Learning {
    Learning { weight_std: 0.01, bias: 0.0, weight_rate: 1.0, bias_rate: 1.0, decay: None }
}

/// A mean image of three channel means.
pub(crate) fn constant_mean(side: usize, means: [f32; 3]) -> Vec<f32> {
    means.repeat(side * side)
}

impl Tensor<'_> {
    /// The values.
    ///
    /// # Errors
    /// `IMPORT_CORRUPT` where one is not finite.
    pub fn read(&self) -> Result<Vec<f32>> {
        let Some(bytes) = self.values else { return Ok(vec![0.0; self.shape.iter().product()]) };
        let mut values: Vec<f32> =
            bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
        if self.factor != 1.0 {
            values.iter_mut().for_each(|value| *value *= self.factor);
        }
        if let Some(channels) = self.channels {
            let positions = self.shape[2..].iter().product::<usize>();
            values = values
                .chunks_exact(3 * positions)
                .flat_map(|kernel| channels.map(|(channel, factor)| (&kernel[channel * positions..], factor)))
                .flat_map(|(plane, factor)| {
                    plane[..positions].iter().map(move |value| (f64::from(*value) * factor) as f32)
                })
                .collect();
        }
        expect_finite(&values, &self.name)?;
        Ok(values)
    }
}

/// Little-endian numbers, all finite.
pub(crate) fn floats(bytes: &[u8], name: &str) -> Result<Vec<f32>> {
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
    expect_finite(&values, name)?;
    Ok(values)
}

fn expect_finite(values: &[f32], name: &str) -> Result<()> {
    match values.iter().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => Err(Error::new(IMPORT_CORRUPT, format!("{name} has the value {value}"))
            .info("a net with such weights computes nothing")
            .hint("the training that made the file diverged, or the file is damaged")),
    }
}
