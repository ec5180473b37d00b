//! `torchvision.models.alexnet` ("One weird trick", Krizhevsky 2014, in one tower and without normalisation): its state dict
//! as safetensors. Widths may differ, the layers may not. Photos are scaled to 0..1, then `(x - mean) / std`.

use crate::import::{Blob, Imported, Origin, Weights, assemble, constant_mean, learning, unusable};
use ilsvrc_diagnostics::{Error, IMPORT_CORRUPT, IMPORT_UNSUPPORTED, Result};
use ilsvrc_network::{Layer, Net, Reads, Round};
use safetensors::{Dtype, SafeTensors};

/// The layers that have weights, in torchvision's names.
pub(crate) const CONVOLUTIONS: [&str; 5] =
    ["features.0", "features.3", "features.6", "features.8", "features.10"];
pub(crate) const DENSE: [&str; 3] = ["classifier.1", "classifier.4", "classifier.6"];

/// Size, step and padding of the convolutions.
const WINDOWS: [[usize; 3]; 5] = [[11, 4, 2], [5, 1, 2], [3, 1, 1], [3, 1, 1], [3, 1, 1]];

/// `transforms.Normalize` of its pre-trained models.
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const STD: [f64; 3] = [0.229, 0.224, 0.225];

/// The header of such a file has about 1,500 bytes; the format allows 100 MB.
const LONGEST_HEADER: usize = 1 << 20;

/// Reads the state dict.
///
/// # Errors
/// `IMPORT_CORRUPT`, `IMPORT_UNSUPPORTED`.
pub fn torchvision(file: &[u8]) -> Result<Imported<'_>> {
    let tensors = open(file)?;
    let known = |name: &str| {
        let layer = name.strip_suffix(".weight").or(name.strip_suffix(".bias")).unwrap_or(name);
        CONVOLUTIONS.contains(&layer) || DENSE.contains(&layer)
    };
    if let Some(extra) = tensors.names().into_iter().filter(|name| !known(name)).min() {
        return Err(foreign(format!("the file has a tensor `{extra:.60}`, torchvision's alexnet has not")));
    }
    let layers = CONVOLUTIONS.iter().chain(&DENSE);
    let weights = layers
        .map(|layer| {
            let bias = blob(&tensors, &format!("{layer}.bias"))?;
            Ok((blob(&tensors, &format!("{layer}.weight"))?, Some(bias)))
        })
        .collect::<Result<Vec<Weights>>>()?;
    let widths: Vec<usize> = weights.iter().map(|(weight, _)| weight.shape[0]).collect();
    let net = net(&widths);
    net.validate().map_err(unusable)?;
    let scale = STD.map(|std| 1.0 / (255.0 * std));
    let parameters = assemble(&net, &weights, [(0, scale[0]), (1, scale[1]), (2, scale[2])])?;
    Ok(Imported {
        parameters,
        mean: constant_mean(net.image, MEAN.map(|mean| (255.0 * mean) as f32)),
        origin: Origin {
            format: "torchvision safetensors",
            net: "alexnet".into(),
            resize: "crop",
            channels: "RGB",
            mean: format!("{MEAN:?} of pixels in 0..1"),
            scale: format!("1 / {STD:?} of pixels in 0..1"),
        },
        net,
    })
}

fn open(file: &[u8]) -> Result<SafeTensors<'_>> {
    let length = file.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    if length > LONGEST_HEADER as u64 {
        return Err(Error::new(IMPORT_CORRUPT, "the file is damaged")
            .info(format!("its header should have {length} bytes; at most {LONGEST_HEADER} are read")));
    }
    SafeTensors::deserialize(file).map_err(|error| {
        Error::new(IMPORT_CORRUPT, "the file is damaged").info(error.to_string()).hint("copy it again")
    })
}

fn blob<'a>(tensors: &SafeTensors<'a>, name: &str) -> Result<Blob<'a>> {
    let tensor = tensors.tensor(name).map_err(|_| foreign(format!("the file has no tensor `{name}`")))?;
    if tensor.dtype() != Dtype::F32 {
        return Err(foreign(format!("`{name}` is {:?}, not F32", tensor.dtype())));
    }
    if tensor.shape().is_empty() {
        return Err(foreign(format!("`{name}` is a single number")));
    }
    Ok(Blob { shape: tensor.shape().to_vec(), bytes: tensor.data() })
}

fn foreign(message: String) -> Error {
    Error::new(IMPORT_UNSUPPORTED, message)
        .info("the one net that is known by torchvision's names is its alexnet, in f32")
        .hint("save torchvision.models.alexnet(weights=...).state_dict() by safetensors.torch.save_file")
}

/// The net, for the output channels of its eight layers.
fn net(widths: &[usize]) -> Net {
    let pool = Layer::MaxPool { size: 3, stride: 2 };
    let dropout = Layer::Dropout { rate: 0.5 };
    let mut layers = Vec::new();
    for (index, (&filters, [size, stride, pad])) in widths.iter().zip(WINDOWS).enumerate() {
        let (name, reads, round) = (format!("conv{}", index + 1), Reads::Own, Round::Floor);
        layers.push(Layer::Conv { name, filters, size, stride, pad, reads, round, learning: learning() });
        layers.push(Layer::Relu);
        if matches!(index, 0 | 1 | 4) {
            layers.push(pool.clone());
        }
    }
    for (index, &units) in widths.iter().enumerate().skip(WINDOWS.len()) {
        let (name, reads) = (format!("fc{}", index + 1), Reads::Own);
        let hidden = index < 7;
        if hidden {
            layers.push(dropout.clone());
        }
        layers.push(Layer::Dense { name, units, reads, joined: false, learning: learning() });
        if hidden {
            layers.push(Layer::Relu);
        }
    }
    Net { name: "torchvision-alexnet".into(), image: 256, crop: 224, towers: 1, layers }
}
