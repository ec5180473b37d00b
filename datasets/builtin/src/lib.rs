//! The built-in data set: labelled JPEGs of twelve kinds of objects, drawn by us, so that everything can be tried on a
//! machine without photos. Colour, place, size, direction, light, texture and background are random and say nothing
//! about the class; only the shape does.
//!
//! Image `i` shows class `i % 12` and is a pure function of the seed and `i`.

mod background;
mod canvas;
mod clutter;
mod dice;
mod figures;
mod geometry;
mod marker;
mod noise;
mod paint;
pub mod photos;
mod scene;

use dice::Dice;
use figures::CLASSES;
use ilsvrc_diagnostics::{Error, INTERRUPTED, Result, WRITE_FAILED};
use ilsvrc_images::Encoder;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Of each five images of a class, one is for validation.
const VALIDATION_EVERY: usize = 5;

/// What to draw.
pub struct Options {
    /// The folder that gets `train/<class>/<number>.jpg`, `val/<class>/<number>.jpg`, `builtin.json` and, below
    /// `annotations/`, a PASCAL VOC file an image.
    pub out: PathBuf,
    /// How many images in both splits together. From 60 on every class is in both.
    pub images: usize,
    /// Another seed draws another set.
    pub seed: u64,
    /// Threads that draw, at least one. The result does not depend on it.
    pub workers: usize,
}

/// What was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Images in both splits.
    pub images: usize,
    /// Classes that exist.
    pub classes: usize,
    /// Bytes of all JPEG files.
    pub bytes: u64,
}

/// The names of the classes (and of their folders), in order.
pub fn class_names() -> impl Iterator<Item = &'static str> {
    CLASSES.iter().map(|(name, _)| *name)
}

/// Draws the set, unless `out` holds the finished set of the same options already. `progress(done, images)` is called
/// after each image, from any thread; setting `cancel` stops within a few images.
///
/// A set of other options that was drawn by this function before is replaced; a folder `train` or `val` of anyone else
/// is refused.
pub fn generate(
    options: &Options,
    cancel: &AtomicBool,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Summary> {
    if let Some(summary) = marker::begin(options)? {
        progress(summary.images, summary.images);
        return Ok(summary);
    }
    let (next, done, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
    let failed = AtomicBool::new(false);
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= options.images {
                break;
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::new(INTERRUPTED, format!("stopped while drawing image {index}")));
            }
            let written = draw(options, index).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            bytes.fetch_add(written, Ordering::Relaxed);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, options.images);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.workers.max(1)).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let summary = Summary { images: options.images, classes: CLASSES.len(), bytes: bytes.into_inner() };
    marker::finish(options, summary)?;
    Ok(summary)
}

/// Draws image `index` and writes it; returns the size of the file.
fn draw(options: &Options, index: usize) -> Result<u64> {
    let (class, draw) = CLASSES[index % CLASSES.len()];
    let number = index / CLASSES.len();
    let split = if number % VALIDATION_EVERY == VALIDATION_EVERY - 1 { "val" } else { "train" };
    let mut dice = Dice::new(options.seed, index as u32);
    let quality = dice.whole(75, 95) as u8;
    let (picture, bounds) = scene::render(&mut dice, draw);
    let jpeg = Encoder::new(quality).encode(&picture)?;
    let place = |root: PathBuf, ending| root.join(split).join(class).join(format!("{number:05}.{ending}"));
    write(&place(options.out.clone(), "jpg"), &jpeg)?;
    let annotation = annotation(&format!("{number:05}.jpg"), [picture.width, picture.height], class, bounds);
    write(&place(options.out.join(marker::ANNOTATIONS), "xml"), annotation.as_bytes())?;
    Ok(jpeg.len() as u64)
}

/// Where the figure is, as PASCAL VOC has it. Names are ours: none needs escaping.
fn annotation(file: &str, [width, height]: [usize; 2], class: &str, bounds: scene::Bounds) -> String {
    let [left, top, right, bottom] = bounds;
    format!(
        "<annotation><filename>{file}</filename>\
         <size><width>{width}</width><height>{height}</height><depth>3</depth></size>\
         <object><name>{class}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>\
         <xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object></annotation>\n"
    )
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|error| Error::io(WRITE_FAILED, "write", path, &error))
}
