//! Any photo to a square.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions};
use serde::{Deserialize, Serialize};

use crate::Image;
use crate::libjpeg::Region;

/// How a photo that is not square becomes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// The short side becomes `size`, the centre is kept (Krizhevsky, Sutskever and Hinton 2012, section 2).
    Crop,
    /// Both sides become `size`; shapes are distorted (Caffe's ImageNet example).
    Warp,
}

/// The name of the filter for the preprocessing record: bilinear, widened when shrinking so that nothing aliases.
pub(crate) const FILTER: &str = "bilinear convolution with antialiasing (fast_image_resize 6)";

impl Resize {
    /// The part of a photo of `size` (columns, rows) that becomes the square.
    pub(crate) fn window(self, size: [usize; 2]) -> Window {
        let size = size.map(|side| side as f64);
        match self {
            Self::Crop => {
                let short = size[0].min(size[1]);
                Window { corner: size.map(|side| (side - short) / 2.0), size: [short; 2] }
            }
            Self::Warp => Window { corner: [0.0; 2], size },
        }
    }
}

/// A rectangle of a photo, in its pixels; x before y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) corner: [f64; 2],
    pub(crate) size: [f64; 2],
}

impl Window {
    /// The same place in a photo whose sides were divided by `by`.
    pub(crate) fn shrunk(&self, by: usize) -> Self {
        let divided = |values: [f64; 2]| values.map(|value| value / by as f64);
        Self { corner: divided(self.corner), size: divided(self.size) }
    }

    /// The pixels of a photo of `photo` (columns, rows) that count when this window becomes a square of `side`: the filter
    /// looks beyond the window, by a pixel of the square or of the photo, whichever is larger.
    pub(crate) fn read_for(&self, side: usize, photo: [usize; 2]) -> Region {
        let [(x, right), (y, bottom)] = [0, 1].map(|axis| {
            let reach = (self.size[axis] / side as f64).max(1.0);
            let start = (self.corner[axis] - reach).floor().max(0.0) as usize;
            let end = (self.corner[axis] + self.size[axis] + reach).ceil() as usize;
            (start, end.min(photo[axis]))
        });
        Region { x, y, width: right - x, height: bottom - y }
    }
}

/// Resizes one image after another, keeping its tables. The result does not depend on the thread.
#[derive(Default)]
pub struct Resizer {
    inner: fast_image_resize::Resizer,
}

impl Resizer {
    /// `image` as `size` x `size` pixels. An image of that size is returned as it is.
    pub fn resize(&mut self, image: &Image, size: usize, resize: Resize) -> Image {
        let photo = [image.width, image.height];
        if photo == [size, size] || photo.contains(&0) || size == 0 {
            return image.clone();
        }
        let mut pixels = vec![0; size * size * 3];
        self.resize_into(&image.pixels, photo, &resize.window(photo), size, &mut pixels);
        Image { width: size, height: size, pixels }
    }

    /// `window` of a photo of `photo` (columns, rows) as the first `size` x `size` pixels of `out`.
    pub(crate) fn resize_into(
        &mut self,
        pixels: &[u8],
        photo: [usize; 2],
        window: &Window,
        size: usize,
        out: &mut [u8],
    ) {
        let [left, top] = window.corner;
        // Resizing only the window is the same as cutting it out afterwards, without the columns thrown away.
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(
            left,
            top,
            window.size[0],
            window.size[1],
        );
        let source = TypedImageRef::<U8x3>::from_buffer(photo[0] as u32, photo[1] as u32, pixels);
        let target = TypedImage::<U8x3>::from_buffer(size as u32, size as u32, out);
        let (source, mut target) =
            (source.expect("the photo is there"), target.expect("the square has room"));
        self.inner.resize_typed(&source, &mut target, &options).expect("the window lies within the photo");
    }
}

/// [`Resizer::resize`] for a single image.
pub fn resize_crop(image: &Image, size: usize, resize: Resize) -> Image {
    Resizer::default().resize(image, size, resize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red grows with the column, green with the row.
    fn ramp(width: usize, height: usize) -> Image {
        let pixels = (0..width * height)
            .flat_map(|i| [(i % width * 255 / (width - 1)) as u8, (i / width * 255 / (height - 1)) as u8, 7])
            .collect();
        Image { width, height, pixels }
    }

    fn pixel(image: &Image, row: usize, column: usize) -> [u8; 3] {
        let at = (row * image.width + column) * 3;
        [image.pixels[at], image.pixels[at + 1], image.pixels[at + 2]]
    }

    #[test]
    fn crop_keeps_the_centre_and_warp_everything() {
        let photo = ramp(400, 200);
        let crop = resize_crop(&photo, 100, Resize::Crop);
        // Columns 100 to 300 of 400 remain: red from a quarter to three quarters.
        assert!(pixel(&crop, 50, 0)[0].abs_diff(64) <= 2, "{:?}", pixel(&crop, 50, 0));
        assert!(pixel(&crop, 50, 99)[0].abs_diff(191) <= 2);
        assert!(pixel(&crop, 0, 50)[1] <= 2 && pixel(&crop, 99, 50)[1] >= 253);
        let warp = resize_crop(&photo, 100, Resize::Warp);
        assert!(pixel(&warp, 50, 0)[0] <= 2 && pixel(&warp, 50, 99)[0] >= 253);
        assert_eq!(pixel(&warp, 3, 3)[2], 7);
    }

    #[test]
    fn small_images_are_enlarged_and_thin_ones_work() {
        for (width, height) in [(2, 2), (2, 900), (900, 3), (99, 101)] {
            let square = resize_crop(&ramp(width, height), 64, Resize::Crop);
            assert_eq!((square.width, square.height, square.pixels.len()), (64, 64, 64 * 64 * 3));
        }
    }

    #[test]
    fn an_image_of_the_size_stays() {
        let photo = ramp(64, 64);
        assert_eq!(resize_crop(&photo, 64, Resize::Crop), photo);
    }

    /// Shrinking a fine checkerboard gives gray: without antialiasing it would give black or white.
    #[test]
    fn shrinking_averages() {
        let pixels = (0..512 * 512).flat_map(|i| [((i % 512 + i / 512) % 2 * 255) as u8; 3]).collect();
        let small = resize_crop(&Image { width: 512, height: 512, pixels }, 64, Resize::Crop);
        assert!(small.pixels.iter().all(|&value| value.abs_diff(127) <= 3));
    }
}
