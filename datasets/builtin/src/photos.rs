//! Photos for benchmarks: nothing to recognise, but the statistics that decide how long a photo takes to decode, to
//! resize and to encode.
//!
//! A photo is a heap of leaves: opaque discs with radii of density `r^-3`, each hiding what lies below. That is the one
//! density for which the heap looks alike at every scale (Lee, Mumford, Huang, "Occlusion models for natural images", 2001),
//! so edges come in all sizes and the power spectrum falls about as `f^-2`. Every leaf has a colour of the photo's
//! palette, a light from one side, and a grain of octaves with about the same strength, which falls as `f^-2` too. Then
//! the camera: a slight blur, and a sensor's noise. `bench/README.md` has the figures measured.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ilsvrc_diagnostics::{Error, INTERRUPTED, Result, WRITE_FAILED};
use ilsvrc_images::{Encoder, Image};
use serde::Serialize;

use crate::canvas::Canvas;
use crate::dice::Dice;
use crate::geometry::{Point, Vector, direction, length, mix, scaled};
use crate::noise::smooth;
use crate::paint::quiet_colour;

/// Width and height of an upright rectangle that most of ImageNet's photos have.
pub const SIZE: [usize; 2] = [500, 375];
/// Folders that [`write_photos`] spreads photos over.
pub const CLASSES: usize = 10;

/// Bounds of the smallest leaf's radius in pixels, which says how crowded a photo is; the largest leaf's radius is the
/// photo's short side.
const SMALLEST: [f32; 2] = [0.8, 5.0];
/// A heap is done when this share of a photo shows nothing from below the leaves.
const COVERED: f32 = 0.998;
/// Octaves of grain, of 2 to 64 pixels.
const OCTAVES: u32 = 6;

/// Photo `number` of `seed`: `width` x `height` pixels, or upright, which every fifth is.
pub fn photo(seed: u64, number: u32, [width, height]: [usize; 2]) -> Image {
    let mut dice = Dice::new(seed, number);
    let (width, height) = if dice.chance(0.2) { (height, width) } else { (width, height) };
    let scene = Scene::new(&mut dice);
    let colours = heap(&mut dice, &scene, width, height);
    let mut canvas = Canvas::painted(width, height, |[x, y]| colours[y as usize * width + x as usize]);
    canvas.soften(dice.range(0.02, 0.2));
    canvas.grain(dice.range(0.0, 0.05), dice.bits());
    canvas.into_image()
}

/// The same as a JPEG file, 4:2:0, of a quality as photos on the web have.
pub fn photo_file(seed: u64, number: u32, size: [usize; 2]) -> Result<Vec<u8>> {
    // From the other end of the generator's numbers: the photo does not depend on it.
    let quality = Dice::new(!seed, number).whole(91, 98) as u8;
    Encoder::new(quality).encode(&photo(seed, number, size))
}

/// Where photos were written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Photos {
    /// Their paths below the folder, in the order of their numbers; number `i` is in class `i %` [`CLASSES`].
    pub paths: Vec<String>,
    /// The length of each.
    pub bytes: Vec<u64>,
}

/// Writes photos `0..count` of `seed` as `<class>/<number>.jpg` into `folder`, by `workers` threads; what is there
/// already is written again. `progress(done, count)` is called from any thread; setting `cancel` stops within a photo.
pub fn write_photos(
    folder: &Path,
    count: usize,
    seed: u64,
    workers: usize,
    cancel: &AtomicBool,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Photos> {
    let failed = |path: &Path, error| Error::io(WRITE_FAILED, "write", path, &error);
    for class in 0..CLASSES.min(count) {
        let path = folder.join(format!("class{class}"));
        fs::create_dir_all(&path).map_err(|error| failed(&path, error))?;
    }
    let path = |number| format!("class{}/{number:06}.jpg", number % CLASSES);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let bytes = Mutex::new(vec![0; count]);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::new(INTERRUPTED, format!("stopped while drawing photo {number}")));
            }
            let file = photo_file(seed, number as u32, SIZE)?;
            let to = folder.join(path(number));
            fs::write(&to, &file).map_err(|error| failed(&to, error))?;
            bytes.lock().unwrap_or_else(|held| held.into_inner())[number] = file.len() as u64;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, count);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers.max(1)).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let bytes = bytes.into_inner().unwrap_or_else(|held| held.into_inner());
    Ok(Photos { paths: (0..count).map(path).collect(), bytes })
}

/// What all leaves of a photo share.
struct Scene {
    palette: [Vector; 4],
    /// The radius of the smallest leaf.
    smallest: f32,
    /// Where the light comes from, a unit vector.
    light: Point,
    /// How strong grain is; few photos are smooth or rough throughout.
    rough: f32,
    /// How much the brightness of leaves differs.
    contrast: f32,
}

impl Scene {
    fn new(dice: &mut Dice) -> Self {
        let main = quiet_colour(dice);
        Self {
            // Darker than the figures' colours: what clips to white has no detail.
            palette: std::array::from_fn(|_| scaled(mix(main, quiet_colour(dice), 0.6), 0.75)),
            smallest: SMALLEST[0] * (SMALLEST[1] / SMALLEST[0]).powf(dice.range(0.0, 1.0)),
            light: direction(dice.range(-0.85, -0.15) * std::f32::consts::PI),
            rough: (1.2 * bell(dice)).exp2() * 0.75,
            contrast: dice.range(0.3, 0.6),
        }
    }
}

/// A number in -1.5..1.5 with the standard deviation 0.5.
fn bell(dice: &mut Dice) -> f32 {
    (0..3).map(|_| dice.range(-0.5, 0.5)).sum()
}

struct Leaf {
    centre: Point,
    radius: f32,
    colour: Vector,
    /// Strength of the grain.
    grain: f32,
    /// Strength of the light from one side.
    bulge: f32,
    seed: u32,
}

impl Leaf {
    fn new(dice: &mut Dice, scene: &Scene, [width, height]: Point) -> Self {
        let largest = width.min(height);
        // The inverse of the distribution with density r^-3.
        let share = dice.range(0.0, 1.0);
        let radius =
            (share / (largest * largest) + (1.0 - share) / (scene.smallest * scene.smallest)).powf(-0.5);
        let tone = mix(dice.pick(&scene.palette), dice.pick(&scene.palette), dice.range(0.0, 1.0));
        Self {
            centre: [dice.range(-radius, width + radius), dice.range(-radius, height + radius)],
            radius,
            colour: scaled(tone, (2.0 * scene.contrast * bell(dice)).exp2()),
            grain: scene.rough * dice.range(0.1, 1.0),
            bulge: dice.range(0.0, 0.3),
            seed: dice.bits(),
        }
    }

    /// The colour at `p`, which is `offset` from the centre.
    fn at(&self, scene: &Scene, p: Point, offset: Point) -> Vector {
        let lit = (offset[0] * scene.light[0] + offset[1] * scene.light[1]) / self.radius;
        let grain = self.grain * texture(p, self.seed);
        scaled(self.colour, (1.0 + self.bulge * lit) * (1.0 + grain).max(0.0))
    }
}

/// Noise about 0 of which every octave has nearly the same strength.
fn texture(p: Point, seed: u32) -> f32 {
    let (mut sum, mut weight, mut scale) = (0.0, 1.0, 0.5 / (1 << (OCTAVES - 1)) as f32);
    for octave in 0..OCTAVES {
        sum += weight * (smooth(p.map(|x| x * scale), seed.wrapping_add(octave)) - 0.5);
        weight *= 0.9;
        scale *= 2.0;
    }
    sum
}

/// Throws leaves from the top down, so that a pixel is painted when it is first met and then done.
fn heap(dice: &mut Dice, scene: &Scene, width: usize, height: usize) -> Vec<Vector> {
    let mut colours = vec![[0.0; 3]; width * height];
    // What share of each pixel lower leaves may still fill.
    let mut open = vec![1.0f32; width * height];
    let mut left = (width * height) as f32;
    let enough = left * (1.0 - COVERED);
    while left > enough {
        let leaf = Leaf::new(dice, scene, [width as f32, height as f32]);
        let range = |at: f32, size: usize| {
            let bound = |x: f32| (x.max(0.0) as usize).min(size);
            bound(at - leaf.radius - 1.0)..bound(at + leaf.radius + 2.0)
        };
        for y in range(leaf.centre[1], height) {
            for x in range(leaf.centre[0], width) {
                let open = &mut open[y * width + x];
                if *open <= 0.0 {
                    continue;
                }
                let p = [x as f32 + 0.5, y as f32 + 0.5];
                let offset = [p[0] - leaf.centre[0], p[1] - leaf.centre[1]];
                // The rim covers a part of its pixels.
                let cover = (leaf.radius - length(offset) + 0.5).clamp(0.0, 1.0) * *open;
                if cover > 0.0 {
                    let colour = leaf.at(scene, p, offset);
                    let pixel = &mut colours[y * width + x];
                    *pixel = std::array::from_fn(|c| pixel[c] + cover * colour[c]);
                    *open = if cover >= *open { 0.0 } else { *open - cover };
                    left -= cover;
                }
            }
        }
    }
    // What nobody covered is as its neighbourhood would be: the palette's first colour.
    for (pixel, open) in colours.iter_mut().zip(open) {
        *pixel = std::array::from_fn(|c| pixel[c] + open * scene.palette[0][c]);
    }
    colours
}

#[cfg(test)]
#[path = "photos_tests.rs"]
mod tests;
