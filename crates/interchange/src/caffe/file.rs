//! The messages of a `.caffemodel`: layers in the order of the file, their settings still unread.

use super::blob::{blob, blob_shape};
use crate::Malformed;
use crate::import::{Blob, Weights};
use crate::protobuf::{Fields, Value};
use ilsvrc_diagnostics::{Error, IMPORT_CORRUPT, IMPORT_UNREADABLE, IMPORT_UNSUPPORTED, Result};

/// Layers of a file; a net of ours has at most 400.
const MOST_LAYERS: usize = 1024;
/// Blobs and outputs of a layer.
const MOST_PARTS: usize = 64;

/// What a file holds.
pub(super) struct Content<'a> {
    pub(super) name: &'a str,
    /// Name of the net's input where no layer makes it.
    pub(super) input: &'a str,
    pub(super) steps: Vec<Step<'a>>,
    /// Side of what the net sees, where the file says it.
    pub(super) crop: Option<usize>,
    /// Of blue, green, red, where the file says them.
    pub(super) means: Option<[f32; 3]>,
    /// What pixels are multiplied by after the mean was subtracted.
    pub(super) scale: f32,
}

/// A layer's types, as far as they are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Conv,
    Dense,
    Relu,
    Tanh,
    Dropout,
    Pool,
    Lrn,
    Split,
    /// Softmax, losses, accuracies.
    Loss,
    Other,
}

/// A layer.
pub(super) struct Step<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) type_name: String,
    /// The first input.
    pub(super) bottom: &'a str,
    pub(super) tops: Vec<&'a str>,
    blobs: Vec<Blob<'a>>,
    /// Settings: messages, empty where absent.
    pub(super) conv: &'a [u8],
    pub(super) dense: &'a [u8],
    pub(super) pool: &'a [u8],
    pub(super) lrn: &'a [u8],
    dropout: &'a [u8],
    relu: &'a [u8],
    transform: &'a [u8],
    data: &'a [u8],
    input: &'a [u8],
}

/// Field numbers of a layer's message; 0 where it has no such field.
struct Numbers {
    name: u32,
    kind: u32,
    bottom: u32,
    top: u32,
    blobs: u32,
    conv: u32,
    data: u32,
    dropout: u32,
    dense: u32,
    lrn: u32,
    pool: u32,
    relu: u32,
    transform: u32,
    input: u32,
}

/// `NetParameter.layers`.
const V1: Numbers = Numbers {
    name: 4,
    kind: 5,
    bottom: 2,
    top: 3,
    blobs: 6,
    conv: 10,
    data: 11,
    dropout: 12,
    dense: 17,
    lrn: 18,
    pool: 19,
    relu: 30,
    transform: 36,
    input: 0,
};

/// `NetParameter.layer`.
const V2: Numbers = Numbers {
    name: 1,
    kind: 2,
    bottom: 3,
    top: 4,
    blobs: 7,
    conv: 106,
    data: 107,
    dropout: 108,
    dense: 117,
    lrn: 118,
    pool: 121,
    relu: 123,
    transform: 100,
    input: 143,
};

/// Reads the messages.
pub(super) fn parse(model: &[u8]) -> Result<Content<'_>> {
    let mut content =
        Content { name: "", input: "data", steps: Vec::new(), crop: None, means: None, scale: 1.0 };
    let mut dims = Vec::new();
    for field in Fields::of(model) {
        let read = field.map_err(Error::from).and_then(|(number, value)| {
            match number {
                1 => content.name = value.text()?,
                2 => content.add(value.bytes()?, &V1)?,
                100 => content.add(value.bytes()?, &V2)?,
                3 => content.input = value.text()?,
                4 if dims.len() < 4 => dims.push(value.size()?),
                8 => dims = blob_shape(value.bytes()?)?,
                _ => {}
            }
            Ok(())
        });
        // Bytes that mean nothing from the start are of another format.
        if let Err(error) = read {
            return Err(if content.steps.is_empty() && error.code == IMPORT_CORRUPT {
                unknown()
            } else {
                error
            });
        }
    }
    if content.steps.is_empty() {
        return Err(unknown());
    }
    if let [_, _, rows, columns] = dims[..]
        && rows == columns
    {
        content.crop.get_or_insert(rows);
    }
    Ok(content)
}

fn unknown() -> Error {
    Error::new(IMPORT_UNREADABLE, "the file is neither safetensors nor a .caffemodel with layers")
        .hint("see docs/import.md for what can be imported")
}

impl<'a> Content<'a> {
    fn add(&mut self, message: &'a [u8], numbers: &Numbers) -> Result<()> {
        if self.steps.len() == MOST_LAYERS {
            return Err(Malformed(format!("it has more than {MOST_LAYERS} layers")).into());
        }
        let step = step(message, numbers)?;
        if step.kind == Kind::Data {
            self.take_input(&step)?;
        }
        self.steps.push(step);
        Ok(())
    }

    /// Crop, means and scale as the layer that reads images has them.
    fn take_input(&mut self, step: &Step<'a>) -> Result<()> {
        let mut means = Vec::new();
        for field in Fields::of(step.transform) {
            match field? {
                (1, value) => self.scale = value.float()?,
                (3, value) => self.set_crop(value.size()?),
                (5, value) if means.len() < 4 => means.push(value.float()?),
                _ => {}
            }
        }
        // As it was said before there was `transform_param`.
        for field in Fields::of(step.data) {
            match field? {
                (2, value) => self.scale = value.float()?,
                (5, value) => self.set_crop(value.size()?),
                _ => {}
            }
        }
        for field in Fields::of(step.input) {
            if let (1, value) = field?
                && let [_, _, rows, columns] = blob_shape(value.bytes()?)?[..]
                && rows == columns
            {
                self.set_crop(rows);
            }
        }
        match means[..] {
            [] => {}
            [grey] => self.means = Some([grey; 3]),
            [blue, green, red] => self.means = Some([blue, green, red]),
            _ => return Err(Malformed(format!("an input has {} channel means", means.len())).into()),
        }
        if !self.scale.is_finite()
            || self.means.is_some_and(|means| !means.iter().all(|mean| mean.is_finite()))
        {
            return Err(Malformed("the scale or a mean of the input is not finite".into()).into());
        }
        Ok(())
    }

    fn set_crop(&mut self, side: usize) {
        // 0 is Caffe's word for none.
        if side > 0 {
            self.crop = Some(side);
        }
    }
}

fn step<'a>(message: &'a [u8], numbers: &Numbers) -> Result<Step<'a>> {
    let mut step = Step {
        name: "",
        kind: Kind::Other,
        type_name: "none".into(),
        bottom: "",
        tops: Vec::new(),
        blobs: Vec::new(),
        conv: &[],
        dense: &[],
        pool: &[],
        lrn: &[],
        dropout: &[],
        relu: &[],
        transform: &[],
        data: &[],
        input: &[],
    };
    for field in Fields::of(message) {
        let (number, value) = field?;
        match number {
            n if n == numbers.name => step.name = value.text()?,
            n if n == numbers.kind => (step.kind, step.type_name) = kind(value)?,
            n if n == numbers.bottom && step.bottom.is_empty() => step.bottom = value.text()?,
            n if n == numbers.top && step.tops.len() < MOST_PARTS => step.tops.push(value.text()?),
            n if n == numbers.blobs && step.blobs.len() < MOST_PARTS => {
                step.blobs.push(blob(value.bytes()?)?)
            }
            n if n == numbers.conv => step.conv = value.bytes()?,
            n if n == numbers.data => step.data = value.bytes()?,
            n if n == numbers.dropout => step.dropout = value.bytes()?,
            n if n == numbers.dense => step.dense = value.bytes()?,
            n if n == numbers.lrn => step.lrn = value.bytes()?,
            n if n == numbers.pool => step.pool = value.bytes()?,
            n if n == numbers.relu => step.relu = value.bytes()?,
            n if n == numbers.transform => step.transform = value.bytes()?,
            n if n == numbers.input => step.input = value.bytes()?,
            _ => {}
        }
    }
    Ok(step)
}

/// A type by its number (V1) or name.
fn kind(value: Value) -> Result<(Kind, String), Malformed> {
    if let Ok(number) = value.number() {
        let kind = match number {
            5 | 9 | 12 | 24 | 29 | 32 => Kind::Data,
            4 => Kind::Conv,
            14 => Kind::Dense,
            18 => Kind::Relu,
            23 => Kind::Tanh,
            6 => Kind::Dropout,
            17 => Kind::Pool,
            15 => Kind::Lrn,
            22 => Kind::Split,
            1 | 20 | 21 | 36 => Kind::Loss,
            _ => Kind::Other,
        };
        return Ok((kind, format!("number {number}")));
    }
    let name = value.text()?;
    let kind = match name {
        "Data" | "ImageData" | "HDF5Data" | "WindowData" | "MemoryData" | "DummyData" | "Input" => Kind::Data,
        "Convolution" => Kind::Conv,
        "InnerProduct" => Kind::Dense,
        "ReLU" => Kind::Relu,
        "TanH" => Kind::Tanh,
        "Dropout" => Kind::Dropout,
        "Pooling" => Kind::Pool,
        "LRN" => Kind::Lrn,
        "Split" => Kind::Split,
        "Accuracy" | "Softmax" | "SoftmaxWithLoss" | "Silence" => Kind::Loss,
        _ => Kind::Other,
    };
    Ok((kind, format!("{name:.60}")))
}

impl<'a> Step<'a> {
    /// Weights and, where it has one, bias.
    pub(super) fn weights(&self) -> Result<Weights<'a>> {
        match &self.blobs[..] {
            [weight] => Ok((weight.clone(), None)),
            [weight, bias] => Ok((weight.clone(), Some(bias.clone()))),
            blobs => Err(Error::new(
                IMPORT_UNSUPPORTED,
                format!("layer `{:.60}` has {} blobs, not weights and biases", self.name, blobs.len()),
            )
            .hint("give the .caffemodel with the weights, not a .prototxt")),
        }
    }

    /// Of dropout.
    pub(super) fn rate(&self) -> Result<f32> {
        let mut rate = 0.5;
        for field in Fields::of(self.dropout) {
            if let (1, value) = field? {
                rate = value.float()?;
            }
        }
        if (0.0..1.0).contains(&rate) {
            return Ok(rate);
        }
        Err(Malformed(format!("layer `{:.60}` drops {rate} of its input", self.name)).into())
    }

    /// Of a ReLU's negative side.
    pub(super) fn slope(&self) -> Result<f32> {
        let mut slope = 0.0;
        for field in Fields::of(self.relu) {
            if let (1, value) = field? {
                slope = value.float()?;
            }
        }
        Ok(slope)
    }
}
