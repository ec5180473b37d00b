//! Everything that the benchmarks call in `ilsvrc-images`: the work itself, one stage at a time and whole.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ilsvrc_builtin::photos::CLASSES;
use ilsvrc_diagnostics::{Error, Result, SOURCE_UNREADABLE};
use ilsvrc_images::{
    About, Class, Dataset, Decoder, Encoder, Fit, Item, LoadMode, Loader, LoaderOptions, PrepPlan, Resize,
    Settings, Shuffle, Source, SourceKind, SplitPlan, Squarer, prep,
};

/// Side of prepared images, and of the crops cut from them.
pub(crate) const SIZE: usize = 256;
pub(crate) const CROP: usize = 224;
/// Images in a batch.
pub(crate) const BATCH: usize = 128;
/// JPEG quality of prepared images.
const QUALITY: u8 = 85;

/// The stages of a preparation, each timed alone, and the whole decoding of a photo, of which `square` needs a part.
pub(crate) struct Stages {
    decoder: Decoder,
    squarer: Squarer,
    encoder: Encoder,
    jpeg: Vec<u8>,
}

impl Stages {
    /// Their names in the order of [`Stages::seconds`].
    pub(crate) const NAMES: [&'static str; 3] = ["decode", "square", "encode"];

    pub(crate) fn new() -> Self {
        let (decoder, squarer, encoder) = (Decoder::new(), Squarer::new(), Encoder::new(QUALITY));
        Self { decoder, squarer, encoder, jpeg: Vec::new() }
    }

    /// Seconds of each stage for one photo.
    pub(crate) fn seconds(&mut self, file: &[u8]) -> Result<[f64; 3]> {
        let fit = Fit { size: SIZE, resize: Resize::Crop, exif_rotate: false };
        let start = Instant::now();
        black_box(self.decoder.decode(file)?);
        let decoded = Instant::now();
        let square = self.squarer.square(file, &fit)?;
        let squared = Instant::now();
        self.encoder.encode_into(square.pixels, SIZE, SIZE, &mut self.jpeg)?;
        black_box(&self.jpeg);
        Ok([decoded - start, squared - decoded, squared.elapsed()].map(|time| time.as_secs_f64()))
    }

    /// Seconds of all that a photo goes through.
    pub(crate) fn sum([_, square, encode]: [f64; 3]) -> f64 {
        square + encode
    }
}

/// Prepares photos `paths` (photo `i` of class `i %` [`CLASSES`]) of `folder` into `out`; images a second, start and
/// end included.
pub(crate) fn prepare(
    folder: &Path,
    paths: &[String],
    out: &Path,
    workers: usize,
    cancel: &AtomicBool,
) -> Result<f64> {
    let mut items = Vec::with_capacity(paths.len());
    for (number, path) in paths.iter().enumerate() {
        let size =
            folder.join(path).metadata().map_err(|e| Error::io(SOURCE_UNREADABLE, "read", folder, &e))?;
        items.push(Item {
            path: Path::new(path).into(),
            offset: None,
            size: size.len(),
            source: 0,
            class: (number % CLASSES) as u32,
            boxes: Box::default(),
        });
    }
    let class = |i| Class { wnid: format!("class{i}"), name: format!("class {i}"), devkit_id: None };
    let plan = PrepPlan {
        out: out.to_owned(),
        workers,
        force: false,
        part: None,
        about: About {
            name: "bench".to_owned(),
            settings: Settings {
                size: SIZE,
                resize: Resize::Crop,
                exif_rotate: false,
                quality: QUALITY,
                seed: 0,
                shard_images: 1000,
            },
            max_rejected: 0.0,
            layout: "folders".to_owned(),
            class_order: "folder names".to_owned(),
            sources: vec![Source { path: folder.to_owned(), kind: SourceKind::Folder }],
            classes: (0..CLASSES).map(class).collect(),
            rejected: Vec::new(),
            ignored: BTreeMap::new(),
            request: serde_json::Value::Null,
        },
        splits: vec![SplitPlan { name: "train".to_owned(), items }],
    };
    let start = Instant::now();
    prep(&plan, cancel, &|_| {})?;
    Ok(paths.len() as f64 / start.elapsed().as_secs_f64())
}

/// How much of an image is decoded.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// All of it.
    Full,
    /// A crop of [`CROP`] pixels (or the whole side where that is shorter) at a place of its own for each image.
    Crop,
}

/// Images a second of one thread that decodes `files` of `size` x `size` pixels.
pub(crate) fn decode_rate(files: &[Vec<u8>], size: usize, part: Part) -> Result<f64> {
    let mut decoder = Decoder::new();
    let side = if let Part::Crop = part { CROP.min(size) } else { size };
    let mut pixels = vec![0; side * side * 3];
    let start = Instant::now();
    for (number, file) in files.iter().enumerate() {
        // Corners that step through all places: 7 and 11 have no factor in common with the number of them.
        let places = size - side + 1;
        let corner = [number * 7 % places, number * 11 % places];
        decoder.decode_crop(file, size, corner, side, &mut pixels)?;
        black_box(&pixels);
    }
    Ok(files.len() as f64 / start.elapsed().as_secs_f64())
}

/// What [`load`] did.
pub(crate) struct Loaded {
    pub(crate) images: usize,
    pub(crate) seconds: f64,
}

/// Loads crops of epoch `epoch` with `threads` threads as `train` does, until the epoch ends or `enough` says so.
pub(crate) fn load(
    dataset: &Arc<Dataset>,
    split: &str,
    epoch: u64,
    threads: usize,
    enough: &dyn Fn(&Loaded) -> bool,
) -> Result<Loaded> {
    let crop = CROP.min(dataset.manifest().size);
    let options = LoaderOptions {
        split: split.to_owned(),
        batch: BATCH,
        part: (0, 1),
        seed: 0,
        epoch,
        first_batch: 0,
        images: None,
        shuffle: Shuffle::Full,
        mode: LoadMode::Train { crop, mirror: true, colour_noise: 0.1 },
        threads,
    };
    let start = Instant::now();
    let mut loader = Loader::new(dataset.clone(), options)?;
    let mut loaded = Loaded { images: 0, seconds: 0.0 };
    while let Some(batch) = loader.next()? {
        loaded = Loaded { images: loaded.images + batch.n, seconds: start.elapsed().as_secs_f64() };
        loader.recycle(batch);
        if enough(&loaded) {
            break;
        }
    }
    Ok(loaded)
}
