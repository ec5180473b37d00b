//! Any photo file to a square of the size that a net reads, the same way for `prep` and for `predict`.
//!
//! Files are known by their content. Of a JPEG no more is decoded than the square shows, and a photo of several times the
//! size is shrunk while it is decoded. Colour profiles (ICC) are ignored, as is usual with ImageNet.

mod memory;
mod other;
mod turn;

use ilsvrc_diagnostics::Result;
use image::metadata::Orientation;

use crate::formats;
use crate::jpeg::{Jpeg, grown};
use crate::libjpeg::{Handle, Region, WHOLE};
use crate::resize::{Resize, Resizer, Window};
use memory::Scratch;
use other::Other;

/// What decodes photos, and how: part of the preprocessing record.
pub const DECODER: &str = "libjpeg-turbo 3.1.0, accurate integer DCT, smooth upsampling, inverse DCT of 1/2, 1/4 or \
    1/8 where that leaves at least twice the size; PNG, GIF, BMP and WebP by image 0.25, over white; no colour profiles";

/// How photos become squares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Side of the square in pixels.
    pub size: usize,
    /// What happens to photos that are not square.
    pub resize: Resize,
    /// Photos are turned as their EXIF orientation says. ImageNet's labels and boxes are for photos that are not.
    pub exif_rotate: bool,
}

/// A photo made a square.
#[derive(Clone, Copy, Debug)]
pub struct Square<'a> {
    /// `size x size x 3`, row by row, red first.
    pub pixels: &'a [u8],
    /// Columns of the photo, after it was turned.
    pub width: usize,
    /// Rows of the photo, after it was turned.
    pub height: usize,
    /// libjpeg found damage that it could bridge.
    pub warned: bool,
    /// The file is a sound JPEG of just this size, and `pixels` are its own: it can be stored as it is.
    pub as_is: bool,
    /// The file has an EXIF orientation other than upright, obeyed or not.
    pub rotation: bool,
    /// Where the photo's pixels are in the square.
    pub mapping: Mapping,
}

/// From places in a photo to places in its square, in pixels: `(place - offset) * scale`, for x and y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mapping {
    /// The place in the photo that is the square's top left corner.
    pub offset: [f64; 2],
    /// Pixels of the square for one of the photo.
    pub scale: [f64; 2],
}

impl Mapping {
    /// That of a photo of `photo` (columns, rows) in its square of `size`.
    pub fn of(resize: Resize, photo: [usize; 2], size: usize) -> Self {
        let window = resize.window(photo);
        Self { offset: window.corner, scale: window.size.map(|side| size as f64 / side) }
    }

    /// The reverse of [`Mapping::apply`]: where the photo has what the square has in `place`.
    pub fn undo(&self, place: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|axis| place[axis] / self.scale[axis] + self.offset[axis])
    }

    /// The place of `[x, y]` in the square; outside of it where it was cut off.
    pub fn apply(&self, place: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|axis| (place[axis] - self.offset[axis]) * self.scale[axis])
    }
}

/// Makes squares of photos, one after another; each thread needs its own. What memory it needs is told in `memory.rs`.
pub struct Squarer {
    handle: Handle,
    resizer: Resizer,
    scratch: Scratch,
    square: Vec<u8>,
    turned: Vec<u8>,
}

impl Default for Squarer {
    fn default() -> Self {
        Self::new()
    }
}

/// What the decoders tell.
struct Facts {
    size: [usize; 2],
    orientation: Orientation,
    warned: bool,
    /// A JPEG of the size wanted that any program reads.
    kept: bool,
}

impl Squarer {
    /// One without any memory yet.
    pub fn new() -> Self {
        let (square, turned) = (Vec::new(), Vec::new());
        Self {
            handle: Handle::new(),
            resizer: Resizer::default(),
            scratch: Scratch::default(),
            square,
            turned,
        }
    }

    /// The square of the photo `file`: a JPEG, or a PNG, GIF (its first frame), BMP or WebP image, laid over white.
    ///
    /// # Errors
    /// `IMAGE_UNDECODABLE`: other formats, damage, a size beyond [`crate::MAX_SIDE`] and [`crate::MAX_PIXELS`], and what
    /// needs more than 256 MB while it is decoded.
    pub fn square(&mut self, file: &[u8], how: &Fit) -> Result<Square<'_>> {
        let length = how.size * how.size * 3;
        grown(&mut self.square, length);
        let facts = if formats::is_jpeg(file) { self.jpeg(file, how) } else { self.other(file, how) }?;
        let turn = if how.exif_rotate { facts.orientation } else { Orientation::NoTransforms };
        let mut pixels = &self.square[..length];
        if turn != Orientation::NoTransforms {
            let turned = grown(&mut self.turned, length);
            turn::turn(pixels, how.size, turn, turned);
            pixels = turned;
        }
        let [width, height] = turn::size(facts.size, turn);
        Ok(Square {
            pixels,
            width,
            height,
            warned: facts.warned,
            as_is: facts.kept && !facts.warned && turn == Orientation::NoTransforms,
            rotation: facts.orientation != Orientation::NoTransforms,
            mapping: Mapping::of(how.resize, [width, height], how.size),
        })
    }

    fn jpeg(&mut self, file: &[u8], how: &Fit) -> Result<Facts> {
        let Self { handle, resizer, scratch, square, .. } = self;
        let jpeg = Jpeg::open(handle, file)?;
        let size = [jpeg.header.width, jpeg.header.height];
        let orientation = jpeg.segments.exif.and_then(Orientation::from_exif_chunk);
        let shrink = if jpeg.shrinks() { shrink(size, how.size) } else { 1 };
        let [width, height] = size.map(|side| side.div_ceil(shrink));
        let of_size = size == [how.size; 2];
        let kept = of_size && jpeg.is_common();
        let pixels = width * height * 3;
        let warned = scratch.within(jpeg.memory(shrink) + pixels, |scratch| {
            if of_size {
                return jpeg.decode(&WHOLE, width, &mut scratch.samples, &mut square[..pixels]);
            }
            let window = how.resize.window(size).shrunk(shrink);
            let view = jpeg.view(&window.read_for(how.size, [width, height]), shrink);
            // Rows are as far apart as in the whole image, so that the resizer sees no difference.
            let start = view.region.map_or(0, |Region { x, y, .. }| (y * width + x) * 3);
            let photo = grown(&mut scratch.photo, pixels);
            let warned = jpeg.decode(&view, width, &mut scratch.samples, &mut photo[start..])?;
            resizer.resize_into(photo, [width, height], &window, how.size, square);
            Ok(warned)
        })?;
        Ok(Facts { size, orientation: orientation.unwrap_or(Orientation::NoTransforms), warned, kept })
    }

    fn other(&mut self, file: &[u8], how: &Fit) -> Result<Facts> {
        let Self { resizer, scratch, square, .. } = self;
        let mut image = Other::open(file)?;
        let (size, orientation) = (image.size, image.orientation());
        scratch.within(image.memory(), |scratch| {
            let photo = image.decode(scratch)?;
            let window: Window = how.resize.window(size);
            resizer.resize_into(photo, size, &window, how.size, square);
            Ok(())
        })?;
        Ok(Facts { size, orientation, warned: false, kept: false })
    }
}

/// By how much a photo is shrunk while it is decoded: so that its short side stays at least twice the size wanted.
fn shrink(size: [usize; 2], wanted: usize) -> usize {
    let short = size[0].min(size[1]);
    [8, 4, 2].into_iter().find(|by| short >= 2 * wanted * by).unwrap_or(1)
}

#[cfg(test)]
#[path = "photo/tests.rs"]
mod tests;
