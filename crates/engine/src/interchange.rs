//! Models in the forms of other programs: from file to file. What the forms are is known to `ilsvrc-interchange`.

use crate::model_file::{self, ModelFile, Tensor};
use ilsvrc_diagnostics::{
    Error, IMPORT_CLASSES, IMPORT_UNREADABLE, INTERNAL, INTERRUPTED, MODEL_FOREIGN, Result, WRITE_FAILED,
};
use ilsvrc_interchange::{Imported, Model, Origin, read, write_onnx, write_safetensors};
use ilsvrc_network::Net;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// A net of this kind has a quarter of a GB; larger files are refused before they take memory.
const LARGEST_FILE: u64 = 4 << 30;

/// What to write of a model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// The model file.
    pub model: PathBuf,
    /// Files to write, each whole or not at all.
    pub files: Vec<ExportFile>,
}

/// A file to write.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportFile {
    /// Its form.
    pub format: Format,
    /// Where it goes.
    pub path: PathBuf,
}

/// A form of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// ONNX, with the net.
    Onnx,
    /// The weights under torchvision's names.
    Safetensors,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Its form.
    pub format: Format,
    /// Where it is.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// What to import.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// A `.caffemodel`, or safetensors in torchvision's names.
    pub file: PathBuf,
    /// Caffe's `mean.binaryproto`.
    pub mean: Option<PathBuf>,
    /// The model file to write.
    pub out: PathBuf,
    /// The classes in the order of the net's outputs; numbers where absent.
    pub classes: Option<Vec<Class>>,
    /// Where the classes are from, for the record.
    pub class_order: String,
}

/// A class as model files name it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Its folder; for ImageNet the WNID.
    pub wnid: String,
    /// Its words.
    pub name: String,
    /// `ILSVRC2012_ID` of the devkit, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devkit_id: Option<u32>,
}

/// What was imported.
#[derive(Clone, Debug, Serialize)]
pub struct ImportReport {
    /// Where it came from.
    pub origin: Origin,
    /// The net.
    pub net: Net,
    /// Classes of the net.
    pub classes: usize,
    /// Weights and biases.
    pub parameters: usize,
    /// Length of the model file.
    pub bytes: u64,
}

/// Writes a model in other forms. The model's content is verified first.
///
/// # Errors
/// Those of [`ModelFile`]; `EXPORT_UNSUPPORTED`, `WRITE_FAILED`, `INTERRUPTED`.
pub fn export(request: &ExportRequest, cancel: &AtomicBool) -> Result<Vec<Exported>> {
    let file = ModelFile::open(&request.model)?;
    file.verify()?;
    let net = net_of(&file, &request.model)?;
    let model = Model { net: &net, metadata: file.metadata(), read: &|name| file.read(name) };
    request
        .files
        .iter()
        .map(|ExportFile { format, path }| {
            let mut bytes = 0;
            model_file::replace(path, |out| {
                let sink = &mut |chunk: &[u8]| {
                    expect_going_on(cancel)?;
                    bytes += chunk.len() as u64;
                    out.write_all(chunk).map_err(|error| Error::io(WRITE_FAILED, "write", path, &error))
                };
                match format {
                    Format::Onnx => write_onnx(&model, sink),
                    Format::Safetensors => write_safetensors(&model, sink),
                }
            })?;
            Ok(Exported { format: *format, file: path.clone(), bytes })
        })
        .collect()
}

/// The net, every tensor of which is in the file as it should be.
fn net_of(file: &ModelFile, path: &Path) -> Result<Net> {
    let unsaid = |reason: String| {
        Error::new(MODEL_FOREIGN, format!("{} does not say its net", path.display())).info(reason)
    };
    let net = file.metadata().get("net").ok_or_else(|| unsaid("its metadata has no `net`".into()))?;
    let net: Net = serde_json::from_str(net).map_err(|error| unsaid(error.to_string()))?;
    for (index, shape) in net.layer_shapes()?.iter().enumerate() {
        let Some(name) = net.layers[index].name() else { continue };
        for tower in 0..shape.towers {
            file.expect(&format!("tower{tower}.{name}.weight"), &shape.weights())?;
            file.expect(&format!("tower{tower}.{name}.bias"), &shape.biases())?;
        }
    }
    file.expect("mean", &[net.image, net.image, 3])?;
    Ok(net)
}

/// Writes a model of another program as one of ours.
///
/// # Errors
/// `IMPORT_UNREADABLE`, `IMPORT_CORRUPT`, `IMPORT_UNSUPPORTED`, `IMPORT_CLASSES`, `WRITE_FAILED`, `INTERRUPTED`.
pub fn import(request: &ImportRequest, cancel: &AtomicBool) -> Result<ImportReport> {
    let bytes = whole(&request.file)?;
    let mean = request.mean.as_deref().map(whole).transpose()?;
    let of_file =
        |error: Error| Error { message: format!("{}: {}", request.file.display(), error.message), ..error };
    let imported = read(&bytes, mean.as_deref()).map_err(of_file)?;
    let classes = classes(request, &imported)?;
    let Imported { net, parameters, mean, origin } = imported;
    let metadata = BTreeMap::from([
        ("net".to_owned(), text(&net)?),
        ("classes".to_owned(), text(&classes)?),
        ("preprocessing".to_owned(), preprocessing(&net, &origin, request).to_string()),
        ("source".to_owned(), source(&origin, &request.file, bytes.len()).to_string()),
    ]);
    let mut tensors: Vec<Tensor> = parameters
        .iter()
        .map(|parameter| Tensor {
            name: parameter.name.clone(),
            shape: parameter.shape.clone(),
            read: Box::new(|| {
                expect_going_on(cancel)?;
                parameter.read().map_err(of_file)
            }),
        })
        .collect();
    let elements = tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
    let side = net.image;
    tensors.push(Tensor {
        name: "mean".into(),
        shape: vec![side, side, 3],
        read: Box::new(|| Ok(mean.clone())),
    });
    model_file::write(&request.out, &metadata, &tensors)?;
    let length = fs::metadata(&request.out).map_or(0, |file| file.len());
    Ok(ImportReport { origin, net, classes: classes.len(), parameters: elements, bytes: length })
}

fn classes(request: &ImportRequest, imported: &Imported) -> Result<Vec<Class>> {
    let outputs = imported.net.layer_shapes()?.last().map_or(0, |shape| shape.output.maps);
    match &request.classes {
        None => Ok((0..outputs)
            .map(|class| Class {
                wnid: format!("class-{class:04}"),
                name: format!("class {class}"),
                devkit_id: None,
            })
            .collect()),
        Some(classes) if classes.len() == outputs => Ok(classes.clone()),
        Some(classes) => Err(Error::new(
            IMPORT_CLASSES,
            format!("{} has {outputs} classes; {} has {}", request.file.display(), request.class_order, classes.len()),
        )
        .info("names are given in the order of the net's outputs, one for each")
        .hint("give the list that the model was trained with, or leave --classes out: classes are then numbered")),
    }
}

/// JSON as the file carries it: by way of a `Value`, 0.01 would become 0.009999999776482582.
fn text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::new(INTERNAL, error.to_string()))
}

/// How photos are to be prepared: what a data set's manifest says of its own.
fn preprocessing(net: &Net, origin: &Origin, request: &ImportRequest) -> serde_json::Value {
    json!({
        "resize": origin.resize,
        "exif_rotate": false,
        "size": net.image,
        "crop": net.crop,
        "channels": format!("RGB; the file's {} is turned around in the first layer's weights where it differs", origin.channels),
        "mean": origin.mean,
        "scale": origin.scale,
        "class_order": request.class_order,
    })
}

fn source(origin: &Origin, file: &Path, bytes: usize) -> serde_json::Value {
    json!({
        "file": file.file_name().unwrap_or_default().to_string_lossy(),
        "bytes": bytes,
        "origin": origin,
        "dropout": "its factor in training is in the weights of the next layer",
    })
}

/// A file in memory: it belongs to somebody else, who may change it while it is read, so it is not mapped.
fn whole(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |error: &std::io::Error| {
        Error::io(IMPORT_UNREADABLE, "read", path, error).hint("check the path and its permissions")
    };
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    let refused = |why: String| Err(Error::new(IMPORT_UNREADABLE, format!("{} {why}", path.display())));
    if !metadata.is_file() {
        return refused("is not a file".into());
    }
    if metadata.len() > LARGEST_FILE {
        return refused(format!("has {} bytes; at most {LARGEST_FILE} are read", metadata.len()));
    }
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(metadata.len() as usize).is_err() {
        return refused(format!("does not fit into memory: it has {} bytes", metadata.len()));
    }
    file.take(LARGEST_FILE).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    Ok(bytes)
}

fn expect_going_on(cancel: &AtomicBool) -> Result<()> {
    if cancel.load(Ordering::Relaxed) {
        return Err(Error::new(INTERRUPTED, "stopped before the file was written"));
    }
    Ok(())
}
