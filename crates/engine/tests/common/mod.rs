//! A tiny data set and a tiny two-tower net with every kind of stage: convolution, normalisation, pooling, exchange,
//! dropout, a joined last layer.
#![allow(dead_code)] // each test file uses a part

use ilsvrc_engine::{Options, Purpose, Session, TrainReport, TrainRequest, TrainStep};
use ilsvrc_images::{
    About, Class, Encoder, Image, Item, PrepPlan, Resize, Settings, Shuffle, Source, SourceKind, SplitPlan,
    prep,
};
use ilsvrc_network::{Net, UpdateRule};
use ilsvrc_random::{Purpose as Draw, Stream};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// Images of the training split: at batch 8, five steps, the last one short.
pub(crate) const TRAIN: usize = 36;
pub(crate) const BATCH: usize = 8;
pub(crate) const STEPS: usize = 5;
const SIDE: usize = 20;

pub(crate) struct Data {
    folder: TempDir,
}

impl Data {
    /// Photos of three classes: mostly red, green or blue, with noise.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let photos = folder.path().join("photos");
        let item = |split: &str, number: usize| {
            let class = number % 3;
            let path = format!("{split}-{number}.jpg");
            let file = photo(class, number + 1000 * split.len());
            std::fs::write(photos.join(&path), &file).unwrap();
            let (path, size, boxes) = (Path::new(&path).into(), file.len() as u64, Box::default());
            Item { source: 0, path, offset: None, size, class: class as u32, boxes }
        };
        std::fs::create_dir(&photos).unwrap();
        let splits = [("train", TRAIN), ("val", 9)].map(|(name, images)| SplitPlan {
            name: name.into(),
            items: (0..images).map(|number| item(name, number)).collect(),
        });
        let class = |name: &str| Class { wnid: name.into(), name: name.into(), devkit_id: None };
        let plan = PrepPlan {
            out: folder.path().join("prepared"),
            workers: 1,
            force: false,
            part: None,
            about: About {
                name: "colours".into(),
                settings: Settings {
                    size: SIDE,
                    resize: Resize::Crop,
                    exif_rotate: false,
                    quality: 90,
                    seed: 1,
                    shard_images: 16,
                },
                max_rejected: 0.0,
                layout: "folders".into(),
                class_order: "folder names".into(),
                sources: vec![Source { path: photos, kind: SourceKind::Folder }],
                classes: ["red", "green", "blue"].map(class).into(),
                rejected: vec![],
                ignored: [].into(),
                request: Default::default(),
            },
            splits: splits.into(),
        };
        prep(&plan, &AtomicBool::new(false), &|_| {}).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("prepared")
    }

    /// A place for another file.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A JPEG of a class.
pub(crate) fn photo(class: usize, number: usize) -> Vec<u8> {
    let stream = Stream::new(3, Draw::Drawing, 0, number as u32);
    let (width, height) = (24, 22);
    let pixels = (0..width * height * 3)
        .map(|i| stream.below(i as u32, 160) as u8 + if i % 3 == class { 90 } else { 0 })
        .collect();
    Encoder::new(90).encode(&Image { width, height, pixels }).unwrap()
}

pub(crate) fn net() -> Net {
    serde_json::from_str(
        r#"{ "name": "tiny", "image": 20, "crop": 16, "towers": 2, "layers": [
            { "type": "conv", "name": "conv1", "filters": 4, "size": 5, "stride": 2, "pad": 2,
              "learning": { "weight_std": 0.01, "bias": 0 } },
            { "type": "relu" },
            { "type": "lrn", "size": 3, "k": 2, "alpha": 0.0001, "beta": 0.75 },
            { "type": "max_pool", "size": 3, "stride": 2 },
            { "type": "conv", "name": "conv2", "filters": 6, "size": 3, "stride": 1, "pad": 1, "reads": "both",
              "learning": { "weight_std": 0.1, "bias": 0.1 } },
            { "type": "relu" },
            { "type": "dense", "name": "fc3", "units": 8, "reads": "both",
              "learning": { "weight_std": 0.1, "bias": 0.1 } },
            { "type": "relu" },
            { "type": "dropout", "rate": 0.5 },
            { "type": "dense", "name": "fc4", "units": 3, "reads": "both", "joined": true,
              "learning": { "weight_std": 0.1, "bias": 0 } }
        ] }"#,
    )
    .unwrap()
}

pub(crate) fn options(threads: usize, places: &[&str]) -> Options {
    let places = places.iter().map(|&place| place.into()).collect();
    Options {
        net: net(),
        batch: BATCH,
        seed: 7,
        threads,
        places,
        precision: "bf16".into(),
        purpose: Purpose::Training,
        cache: None,
    }
}

pub(crate) fn session() -> Session {
    Session::open(options(1, &["cpu"])).unwrap()
}

pub(crate) fn request(dataset: &Path, epoch: u64, first_step: usize, steps: usize) -> TrainRequest {
    TrainRequest {
        dataset: dataset.to_owned(),
        split: "train".into(),
        epoch,
        first_step,
        steps,
        rule: UpdateRule { rate: 0.005, momentum: 0.9, decay: 0.0005 },
        images: None,
        steps_before: None,
        shuffle: Shuffle::Full,
        mirror: true,
        colour_noise: 0.1,
    }
}

/// Trains and returns the report and every step.
pub(crate) fn train(session: &mut Session, request: &TrainRequest) -> (TrainReport, Vec<TrainStep>) {
    let mut steps = Vec::new();
    let report = session.train(request, &AtomicBool::new(false), &mut |step| steps.push(step)).unwrap();
    (report, steps)
}

/// Bits of all parameters.
pub(crate) fn weights(session: &Session) -> Vec<u32> {
    let towers =
        (0..2).flat_map(|tower| ["conv1", "conv2", "fc3"].map(|layer| format!("tower{tower}.{layer}")));
    towers
        .chain(["tower0.fc4".into()])
        .flat_map(|layer| ["weight", "bias"].map(|kind| format!("{layer}.{kind}")))
        .flat_map(|name| session.parameter(&name).unwrap().1)
        .map(f32::to_bits)
        .collect()
}
