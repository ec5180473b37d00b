//! `.caffemodel`: a chain of layers with their settings and weights becomes a net. Field numbers: `caffe.proto` of
//! BVLC/caffe; `V1LayerParameter` (2013 to 2014, which the published AlexNet and CaffeNet have) and `LayerParameter`.
//!
//! A convolution of two groups is a layer whose towers read their own maps, one of a single group reads both. Caffe's
//! normalisation runs over all maps, so across towers. Its first layer reads blue, green, red.

mod blob;
mod file;

use crate::Malformed;
use crate::import::{Channels, Imported, Origin, Weights, assemble, constant_mean, learning, unusable};
use crate::protobuf::{Fields, packed};
use file::{Content, Kind, Step};
use ilsvrc_diagnostics::{Error, IMPORT_UNSUPPORTED, Result};
use ilsvrc_network::{Layer, Net, Reads, Round};

pub use blob::mean_image;

/// What Caffe's examples crop from what they prepare.
const CROP: usize = 227;
const IMAGE: usize = 256;
/// Of an image: a file of some bytes should not ask for gigabytes.
const LARGEST_SIDE: usize = 1024;
/// Blue, green, red: means of ImageNet's pixels, as Caffe's examples name them.
const MEANS: [f32; 3] = [104.0, 117.0, 123.0];

/// Reads a model and, where it was trained with one, its mean image (`mean.binaryproto`).
///
/// # Errors
/// `IMPORT_UNREADABLE` for other formats, `IMPORT_CORRUPT`, `IMPORT_UNSUPPORTED`.
pub fn caffemodel<'a>(model: &'a [u8], mean: Option<&[u8]>) -> Result<Imported<'a>> {
    let content = file::parse(model)?;
    let crop = content.crop.unwrap_or(CROP);
    if crop > LARGEST_SIDE {
        return Err(Error::new(
            IMPORT_UNSUPPORTED,
            format!(
                "the net sees {crop} x {crop} pixels; at most {LARGEST_SIDE} x {LARGEST_SIDE} are imported"
            ),
        ));
    }
    let (mean, image, said) = match mean {
        Some(mean) => {
            let (mean, side) = mean_image(mean)?;
            (mean, side, format!("an image of {side} x {side}"))
        }
        None => {
            let [blue, green, red] = content.means.unwrap_or(MEANS);
            let image = IMAGE.max(crop);
            (constant_mean(image, [red, green, blue]), image, format!("{blue}, {green}, {red}"))
        }
    };
    let mut chain = Chain::new(&content)?;
    for step in &content.steps {
        chain.add(step)?;
    }
    let (net, weights) = chain.finish(image, crop)?;
    let scale = f64::from(content.scale);
    let channels: Channels = [(2, scale), (1, scale), (0, scale)];
    Ok(Imported {
        parameters: assemble(&net, &weights, channels)?,
        mean,
        origin: Origin {
            format: "Caffe caffemodel",
            net: content.name.chars().take(60).collect(),
            resize: "warp",
            channels: "BGR",
            mean: said,
            scale: content.scale.to_string(),
        },
        net,
    })
}

/// Layers so far.
struct Chain<'a, 'c> {
    towers: usize,
    layers: Vec<Layer>,
    weights: Vec<Weights<'a>>,
    /// Names of what the last layer made.
    current: Vec<&'c str>,
    name: String,
}

impl<'a, 'c> Chain<'a, 'c> {
    fn new(content: &'c Content<'a>) -> Result<Self> {
        let mut towers = 1;
        for step in &content.steps {
            if step.kind == Kind::Conv {
                towers = towers.max(convolution(step)?.group);
            }
        }
        Ok(Self {
            towers,
            layers: Vec::new(),
            weights: Vec::new(),
            current: vec![content.input],
            name: name(content.name, "caffe"),
        })
    }

    fn add(&mut self, step: &'c Step<'a>) -> Result<()> {
        match step.kind {
            Kind::Data => {
                self.current = step.tops.first().copied().into_iter().collect();
                return Ok(());
            }
            // What follows the classes' scores only looks at them.
            Kind::Loss => return Ok(()),
            _ => {}
        }
        if !self.current.contains(&step.bottom) {
            return Err(refused(
                step,
                format!("reads `{:.60}`, which is not what the layer before it makes", step.bottom),
            ));
        }
        self.current = step.tops.clone();
        let layer = match step.kind {
            Kind::Conv => self.conv(step)?,
            Kind::Dense => self.dense(step)?,
            Kind::Relu if step.slope()? != 0.0 => {
                return Err(refused(step, "lets negative values pass".into()));
            }
            Kind::Relu => Layer::Relu,
            Kind::Tanh => Layer::Tanh,
            Kind::Dropout => Layer::Dropout { rate: step.rate()? },
            Kind::Pool => pool(step)?,
            Kind::Lrn => self.lrn(step)?,
            Kind::Split => return Ok(()),
            Kind::Data | Kind::Loss | Kind::Other => {
                return Err(refused(step, format!("is of the type {:.60}", step.type_name)));
            }
        };
        self.layers.push(layer);
        Ok(())
    }

    /// Whether the layer to come reads the image, which both towers have whole.
    fn reads_image(&self) -> bool {
        self.weights.is_empty()
    }

    /// A tower's share of so many maps or units.
    fn share(&self, step: &Step, outputs: usize) -> Result<usize> {
        if outputs.is_multiple_of(self.towers) {
            return Ok(outputs / self.towers);
        }
        Err(refused(step, format!("has {outputs} outputs, which two towers cannot share")))
    }

    fn conv(&mut self, step: &Step<'a>) -> Result<Layer> {
        let Convolution { outputs, pad, size, stride, group } = convolution(step)?;
        if group > 1 && self.reads_image() {
            return Err(refused(step, "is the first and has groups".into()));
        }
        let reads = self.reads(group > 1);
        self.weights.push(step.weights()?);
        Ok(Layer::Conv {
            name: name(step.name, "conv"),
            filters: self.share(step, outputs)?,
            size,
            stride,
            pad,
            reads,
            round: Round::Floor,
            learning: learning(),
        })
    }

    fn reads(&self, own: bool) -> Reads {
        // The image is read whole as a tower's own.
        if self.towers == 1 || own || self.weights.is_empty() { Reads::Own } else { Reads::Both }
    }

    fn dense(&mut self, step: &Step<'a>) -> Result<Layer> {
        let mut units = None;
        for field in Fields::of(step.dense) {
            match field? {
                (1, value) => units = Some(value.size()?),
                (5, value) if value.number()? != 1 => return Err(refused(step, "has another axis".into())),
                (6, value) if value.number()? != 0 => return Err(refused(step, "is transposed".into())),
                _ => {}
            }
        }
        let units = units.ok_or_else(|| refused(step, "does not say its number of outputs".into()))?;
        let reads = self.reads(false);
        self.weights.push(step.weights()?);
        // The last one is joined later; its units are the classes, and those are not shared.
        Ok(Layer::Dense { name: name(step.name, "fc"), units, reads, joined: false, learning: learning() })
    }

    fn lrn(&self, step: &Step) -> Result<Layer> {
        let (mut size, mut alpha, mut beta, mut k) = (5, 1.0, 0.75, 1.0);
        for field in Fields::of(step.lrn) {
            match field? {
                (1, value) => size = value.size()?,
                (2, value) => alpha = value.float()?,
                (3, value) => beta = value.float()?,
                (4, value) if value.number()? != 0 => {
                    return Err(refused(step, "normalises within maps".into()));
                }
                (5, value) => k = value.float()?,
                _ => {}
            }
        }
        Ok(Layer::Lrn { size, k, alpha, beta, reads: self.reads(false) })
    }

    /// The net and the weights of its layers. All dense layers but the last have half their units in each tower.
    fn finish(mut self, image: usize, crop: usize) -> Result<(Net, Vec<Weights<'a>>)> {
        let towers = self.towers;
        let last = self.layers.len().saturating_sub(1);
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let Layer::Dense { name, units, joined, .. } = layer else { continue };
            if index == last {
                *joined = towers > 1;
            } else if units.is_multiple_of(towers) {
                *units /= towers;
            } else {
                return Err(Error::new(
                    IMPORT_UNSUPPORTED,
                    format!("{name} has {units} outputs, which two towers cannot share"),
                ));
            }
        }
        let net = Net { name: self.name, image, crop, towers, layers: self.layers };
        net.validate().map_err(unusable)?;
        Ok((net, self.weights))
    }
}

struct Convolution {
    outputs: usize,
    pad: usize,
    size: usize,
    stride: usize,
    group: usize,
}

fn convolution(step: &Step) -> Result<Convolution> {
    let mut outputs = 0;
    let (mut pad, mut size, mut stride, mut dilation) = (vec![], vec![], vec![], vec![]);
    let mut group = 1;
    for field in Fields::of(step.conv) {
        let (number, value) = field?;
        match number {
            1 => outputs = value.size()?,
            5 => group = value.size()?,
            3 | 9 | 10 => sizes(value, &mut pad)?,
            4 | 11 | 12 => sizes(value, &mut size)?,
            6 | 13 | 14 => sizes(value, &mut stride)?,
            18 => sizes(value, &mut dilation)?,
            _ => {}
        }
    }
    if dilation.iter().any(|dilation| *dilation != 1) {
        return Err(refused(step, "has dilated kernels".into()));
    }
    if !matches!(group, 1 | 2) {
        return Err(refused(step, format!("has {group} groups; there are one and two")));
    }
    let (pad, size, stride) = (square(step, &pad, 0)?, square(step, &size, 0)?, square(step, &stride, 1)?);
    Ok(Convolution { outputs, pad, size, stride, group })
}

fn pool(step: &Step) -> Result<Layer> {
    let (mut size, mut stride, mut average) = (vec![], vec![], false);
    for field in Fields::of(step.pool) {
        let (number, value) = field?;
        match number {
            1 => match value.number()? {
                kind @ (0 | 1) => average = kind == 1,
                _ => return Err(refused(step, "pools by chance".into())),
            },
            2 | 5 | 6 => sizes(value, &mut size)?,
            3 | 7 | 8 => sizes(value, &mut stride)?,
            4 | 9 | 10 if value.size()? != 0 => return Err(refused(step, "pads its input".into())),
            12 if value.number()? != 0 => return Err(refused(step, "pools whole maps".into())),
            13 if value.number()? != 0 => return Err(refused(step, "rounds its output down".into())),
            _ => {}
        }
    }
    let (size, stride) = (square(step, &size, 0)?, square(step, &stride, 1)?);
    Ok(if average { Layer::AvgPool { size, stride } } else { Layer::MaxPool { size, stride } })
}

/// Adds the numbers of a repeated field, packed or not; more than a few are none of ours.
fn sizes(value: crate::protobuf::Value, to: &mut Vec<usize>) -> Result<(), Malformed> {
    if let Ok(bytes) = value.bytes() {
        for number in packed(bytes).take(4) {
            to.push(crate::protobuf::Value::Varint(number?).size()?);
        }
    } else if to.len() < 4 {
        to.push(value.size()?);
    }
    Ok(())
}

/// The one value of rows and columns.
fn square(step: &Step, sides: &[usize], default: usize) -> Result<usize> {
    match sides {
        [] => Ok(default),
        [first, rest @ ..] if rest.iter().all(|side| side == first) => Ok(*first),
        _ => Err(refused(step, format!("has windows that are not square: {sides:?}"))),
    }
}

fn refused(step: &Step, what: String) -> Error {
    Error::new(IMPORT_UNSUPPORTED, format!("layer `{:.60}` {what}", step.name)).info(
        "imported are chains of convolutions (in one or two groups), dense layers, ReLU, tanh, normalisation across maps, \
         pools without padding and dropout",
    )
}

/// A name as ours are: lower-case letters, digits, `-` and `_`, a letter first.
fn name(given: &str, or: &str) -> String {
    let mut name: String = given
        .chars()
        .take(60)
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert_str(0, or);
    }
    name
}
