//! Models of other programs: the small ones of `crates/interchange/tests/data` must compute here what PyTorch says they
//! compute, and go out again.

use ilsvrc_diagnostics::{
    IMPORT_CLASSES, IMPORT_CORRUPT, IMPORT_UNREADABLE, IMPORT_UNSUPPORTED, INTERRUPTED,
};
use ilsvrc_engine::{
    Class, ClassifyRequest, ExportFile, ExportRequest, Format, ImportReport, ImportRequest, Options, Purpose,
    Session, Views, export, import, read_metadata,
};
use ilsvrc_network::{Layer, Net, Reads};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// What is between f32 here and f64 there.
const TOLERANCE: f32 = 1e-5;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../interchange/tests/data").join(name)
}

fn request(file: PathBuf, folder: &Path) -> ImportRequest {
    let out = folder.join("model.safetensors");
    ImportRequest { file, mean: None, out, classes: None, class_order: "numbered".into() }
}

fn imported(request: &ImportRequest) -> ImportReport {
    import(request, &AtomicBool::new(false)).unwrap()
}

fn golden(name: &str) -> Vec<f32> {
    let goldens: Value = serde_json::from_slice(&fs::read(data("goldens.json")).unwrap()).unwrap();
    goldens[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

/// The photo of `make.py`, as a BMP.
fn photo(side: usize) -> Vec<u8> {
    let row = (3 * side).next_multiple_of(4);
    let mut bmp = b"BM".to_vec();
    for word in [54 + row * side, 0, 54, 40, side, side, 24 << 16 | 1, 0, row * side, 0, 0, 0, 0] {
        bmp.extend((word as u32).to_le_bytes());
    }
    for y in (0..side).rev() {
        for x in 0..side {
            let value = |c: usize| ((y * y / 9 + 3 * x * (c + 1) + 17 * ((x * y) % 13) + 40 * c) % 256) as u8;
            bmp.extend([2, 1, 0].map(value));
        }
        bmp.extend(vec![0; row - 3 * side]);
    }
    bmp
}

fn classify(model: &Path, net: Net) -> Vec<f32> {
    let side = net.image;
    let mut session = Session::open(Options {
        net,
        batch: 1,
        seed: 0,
        threads: 1,
        places: vec!["cpu".into()],
        precision: "f32".into(),
        purpose: Purpose::Inference,
        cache: None,
    })
    .unwrap();
    session.load_model(model).unwrap();
    session.classify(&[photo(side)], &ClassifyRequest { views: Views::Centre }).unwrap()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn torchvisions_alexnet_computes_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let request = request(data("alexnet.safetensors"), folder.path());
    let report = imported(&request);
    assert_eq!((report.net.towers, report.net.image, report.net.crop, report.classes), (1, 256, 224, 5));
    let ours = classify(&request.out, report.net);
    assert!(distance(&ours, &golden("alexnet.safetensors")) < TOLERANCE, "{ours:?}");
}

#[test]
fn caffes_alexnet_computes_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let request = request(data("bvlc_alexnet.caffemodel"), folder.path());
    let report = imported(&request);
    assert_eq!((report.net.towers, report.net.image, report.net.crop, report.classes), (2, 256, 99, 5));
    let ours = classify(&request.out, report.net.clone());
    let golden = golden("bvlc_alexnet.caffemodel");
    assert!(distance(&ours, &golden) < TOLERANCE, "{ours:?}");
    // Were each tower normalised by itself, the difference would show.
    let mut apart = report.net;
    for layer in &mut apart.layers {
        if let Layer::Lrn { reads, .. } = layer {
            assert_eq!(std::mem::take(reads), Reads::Both);
        }
    }
    assert!(distance(&classify(&request.out, apart), &golden) > 100.0 * TOLERANCE);
}

#[test]
fn caffenet_with_its_mean_image_computes_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let mean = Some(data("mean.binaryproto"));
    let request = ImportRequest { mean, ..request(data("caffenet.caffemodel"), folder.path()) };
    let report = imported(&request);
    assert_eq!((report.net.towers, report.net.image, report.net.crop), (2, 40, 35));
    assert_eq!(report.net.layers.iter().rev().find_map(Layer::name), Some("fc8_own"));
    let ours = classify(&request.out, report.net);
    assert!(distance(&ours, &golden("caffenet.caffemodel")) < TOLERANCE, "{ours:?}");
}

#[test]
fn the_model_says_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let classes: Vec<Class> = (0..5)
        .map(|i| Class { wnid: format!("n0000000{i}"), name: format!("thing {i}"), devkit_id: Some(5 - i) })
        .collect();
    let mut request = request(data("bvlc_alexnet.caffemodel"), folder.path());
    request.classes = Some(classes.clone());
    request.class_order = "as in synset_words.txt".into();
    imported(&request);
    let metadata = read_metadata(&request.out).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Class>>(&metadata["classes"]).unwrap(), classes);
    let preprocessing: Value = serde_json::from_str(&metadata["preprocessing"]).unwrap();
    assert_eq!(
        [&preprocessing["resize"], &preprocessing["mean"], &preprocessing["class_order"]],
        ["warp", "104, 117, 123", "as in synset_words.txt"]
    );
    let source: Value = serde_json::from_str(&metadata["source"]).unwrap();
    assert_eq!([&source["file"], &source["origin"]["channels"]], ["bvlc_alexnet.caffemodel", "BGR"]);

    request.classes = Some(classes[..4].to_vec());
    let error = import(&request, &AtomicBool::new(false)).unwrap_err();
    assert_eq!(error.code, IMPORT_CLASSES);
    assert!(error.message.contains("5 classes") && error.message.ends_with("has 4"), "{}", error.message);
}

/// The error of importing these bytes; nothing may be left behind.
fn refused(bytes: &[u8]) -> (&'static str, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, bytes).unwrap();
    let error = import(&request(file, folder.path()), &AtomicBool::new(false)).unwrap_err();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{error} left something behind");
    (error.code, error.message)
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let absent = request(folder.path().join("absent"), folder.path());
    assert_eq!(import(&absent, &AtomicBool::new(false)).unwrap_err().code, IMPORT_UNREADABLE);
    for bytes in
        [&b""[..], b"PK\x03\x04archive", b"\x80\x02pickle", b"\x89HDF\r\n", b"a text of some length\n"]
    {
        assert_eq!(refused(bytes).0, IMPORT_UNREADABLE, "{bytes:?}");
    }
    for name in ["alexnet.safetensors", "bvlc_alexnet.caffemodel", "caffenet.caffemodel"] {
        let whole = fs::read(data(name)).unwrap();
        for length in (1..whole.len()).step_by(whole.len() / 23) {
            let (code, message) = refused(&whole[..length]);
            assert!([IMPORT_UNREADABLE, IMPORT_CORRUPT, IMPORT_UNSUPPORTED].contains(&code), "{message}");
        }
    }
    let mut nan = fs::read(data("alexnet.safetensors")).unwrap();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let (code, message) = refused(&nan);
    assert_eq!(code, IMPORT_CORRUPT);
    assert!(message.contains("NaN"), "{message}");
    let mut header = (100_000_000_u64).to_le_bytes().to_vec();
    header.extend(b"{\"features.0.weight\":");
    assert_eq!(refused(&header).0, IMPORT_CORRUPT, "a header of 100 MB");
}

#[test]
fn an_export_can_be_stopped_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let request = request(data("alexnet.safetensors"), folder.path());
    imported(&request);
    let files = [(Format::Onnx, "a.onnx"), (Format::Safetensors, "a.safetensors")];
    let files = files.map(|(format, name)| ExportFile { format, path: folder.path().join(name) }).to_vec();
    let exporting = ExportRequest { model: request.out.clone(), files };
    assert_eq!(export(&exporting, &AtomicBool::new(true)).unwrap_err().code, INTERRUPTED);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let exported = export(&exporting, &AtomicBool::new(false)).unwrap();
    for file in exported {
        assert_eq!(fs::metadata(file.file).unwrap().len(), file.bytes);
    }
}
