//! Weights under torchvision's names, for PyTorch: of both towers side by side, a layer that reads its own tower in two
//! groups. PyTorch's dropout does nothing at test, so ours is in the weights of the layer after it. `mean` is that of the
//! centre crop, for pixels of 0 to 255. docs/export.md has the module that loads it.

use crate::export::{Model, Sink, put, refused};
use crate::side_by_side::product;
use crate::torchvision::{CONVOLUTIONS, DENSE};
use ilsvrc_diagnostics::Result;
use ilsvrc_network::Layer;
use serde_json::{Map, Value, json};

struct Tensor {
    name: String,
    shape: Vec<usize>,
    /// Tensors of the model file whose values follow each other.
    parts: Vec<String>,
    factor: f32,
}

/// Writes a net of five convolutions and three dense layers. One tensor at a time is in memory.
///
/// # Errors
/// `EXPORT_UNSUPPORTED` for other nets; those of the model's file and of `sink`.
pub fn write_safetensors(model: &Model, sink: Sink) -> Result<()> {
    model.expect_shared_weights()?;
    let tensors = tensors(model)?;
    let mean = model.mean()?;
    let mut metadata = Map::from_iter(model.strings().map(|(key, value)| (key.to_owned(), value.into())));
    metadata.insert("format".into(), "pt".into());
    let mut header = Map::from_iter([("__metadata__".to_owned(), Value::Object(metadata))]);
    let mut end = 4 * mean.len();
    let crop = model.net.crop;
    header.insert("mean".into(), entry(&[3, crop, crop], 0, end));
    for Tensor { name, shape, .. } in &tensors {
        let begin = end;
        end += 4 * shape.iter().product::<usize>();
        header.insert(name.clone(), entry(shape, begin, end));
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    // Tensors are aligned so.
    header.resize(header.len().next_multiple_of(8), b' ');
    sink(&(header.len() as u64).to_le_bytes())?;
    sink(&header)?;
    put(&mean, sink)?;
    tensors.iter().try_for_each(|Tensor { parts, factor, .. }| model.copy(parts, *factor, sink))
}

fn entry(shape: &[usize], begin: usize, end: usize) -> Value {
    json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, end] })
}

fn tensors(model: &Model) -> Result<Vec<Tensor>> {
    let net = model.net;
    let unlike = || {
        refused(format!("{} has no form in torchvision's names", net.name))
            .info("they are those of AlexNet: five convolutions, then three dense layers")
            .hint("export it with --onnx")
    };
    let mut names =
        CONVOLUTIONS.iter().map(|name| (name, true)).chain(DENSE.iter().map(|name| (name, false)));
    let mut tensors = Vec::new();
    let mut factor = 1.0;
    for (index, shape) in net.layer_shapes()?.iter().enumerate() {
        match &net.layers[index] {
            Layer::Dropout { rate } => factor *= 1.0 - rate,
            Layer::Tanh | Layer::Lrn { .. } | Layer::MapNorm { .. } if factor != 1.0 => {
                return Err(refused(format!("{} follows a dropout layer", net.label(index)))
                    .info("what dropout does at test can only be carried on through layers that are linear in it")
                    .hint("export it with --onnx"));
            }
            _ => {}
        }
        let Some(product) = product(net, index, shape) else { continue };
        let Some((name, is_convolution)) = names.next() else { return Err(unlike()) };
        if is_convolution != shape.window.is_some() {
            return Err(unlike());
        }
        // A matrix, unless the towers' parts are apart: then a convolution of one position.
        let matrix = !is_convolution && product.groups == 1;
        let row = if matrix { vec![product.row.iter().product()] } else { product.row.clone() };
        let mut row = [vec![product.rows], row].concat();
        if !matrix {
            row.resize(4, 1);
        }
        tensors.push(Tensor { name: format!("{name}.weight"), shape: row, parts: product.weights, factor });
        let (shape, parts) = (vec![product.rows], product.biases);
        tensors.push(Tensor { name: format!("{name}.bias"), shape, parts, factor: 1.0 });
        factor = 1.0;
    }
    if names.next().is_some() { Err(unlike()) } else { Ok(tensors) }
}
