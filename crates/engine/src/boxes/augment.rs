//! More to learn from where there are few photos: windows of the square image, of other sizes and shapes, at random places,
//! mirrored or not. What lies outside the image has the mean colour.

use super::Rect;
use ilsvrc_random::{Purpose, Stream};

/// Views that a head learns from at least; windows make up for images that are missing.
const ROWS: usize = 12_000;
/// The most windows of one image: more of the same hardly helps.
const MOST: usize = 90;

/// Sides of a window as shares of the image: `exp` of a number up to this, once for both sides.
const ZOOM: f32 = 0.35;
/// Likewise for each side.
const STRETCH: f32 = 0.12;
/// How far beyond the image, or within it, a window's corner may lie, as a share of the image.
const BEYOND: f32 = 0.12;
/// A window shows at least this share of the box.
const VISIBLE: f32 = 0.6;
/// Windows that are drawn until one shows enough.
const TRIES: u32 = 8;

/// Windows of each image that `images` with `views` each are to have.
pub(crate) fn windows(images: usize, views: usize) -> usize {
    ROWS.div_ceil(images).saturating_sub(views).min(MOST)
}

/// A part of an image that becomes an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    /// Left and top, as shares of the image.
    corner: [f32; 2],
    /// Width and height likewise.
    size: [f32; 2],
    mirror: bool,
}

impl Window {
    /// The `number`-th window of image `image`, around a box of it (shares of the image): a pure function of the seed.
    pub(crate) fn draw(seed: u64, image: u32, number: u32, rect: &Rect) -> Self {
        let stream = Stream::new(seed, Purpose::Augmentation, number.into(), image);
        let window = |attempt: u32| {
            let draw = |element: u32| stream.uniform(attempt * 8 + element);
            let spread = |element: u32, most: f32| (2.0 * draw(element) - 1.0) * most;
            let zoom = spread(0, ZOOM);
            let size = [1, 2].map(|side| (zoom + spread(side, STRETCH)).exp());
            let corner = [0, 1].map(|axis: usize| {
                let room = 1.0 - size[axis];
                let (low, high) = (room.min(0.0) - BEYOND, room.max(0.0) + BEYOND);
                low + (high - low) * draw(3 + axis as u32)
            });
            Self { corner, size, mirror: draw(5) < 0.5 }
        };
        let whole = Self { corner: [0.0; 2], size: [1.0; 2], mirror: false };
        (0..TRIES).map(window).find(|window| window.shows(rect)).unwrap_or(whole)
    }

    fn shows(&self, rect: &Rect) -> bool {
        let part = |axis: usize| {
            let (low, high) = (self.corner[axis], self.corner[axis] + self.size[axis]);
            (rect[axis + 2].min(high) - rect[axis].max(low)).max(0.0) / (rect[axis + 2] - rect[axis])
        };
        part(0) * part(1) >= VISIBLE
    }

    /// A box of the image as a box of the window, both in shares of it.
    pub(crate) fn apply(&self, rect: &Rect) -> Rect {
        let x = |value: f32| (value - self.corner[0]) / self.size[0];
        let y = |value: f32| (value - self.corner[1]) / self.size[1];
        let (left, right) = (x(rect[0]), x(rect[2]));
        let (left, right) = if self.mirror { (1.0 - right, 1.0 - left) } else { (left, right) };
        [left, y(rect[1]), right, y(rect[3])]
    }

    /// The window of a `side x side` image as an image of that size, bilinear; `mean` where there is no image.
    pub(crate) fn cut(&self, image: &[u8], side: usize, mean: &[f32], out: &mut Vec<u8>) {
        let at = |index: usize, axis: usize| {
            (self.corner[axis] + (index as f32 + 0.5) / side as f32 * self.size[axis]) * side as f32 - 0.5
        };
        let inside = -0.5..side as f32 - 0.5;
        let neighbours = |place: f32| {
            let place = place.clamp(0.0, (side - 1) as f32);
            let low = place as usize;
            (low, (low + 1).min(side - 1), place - low as f32)
        };
        for row in 0..side {
            let y = at(row, 1);
            for column in 0..side {
                let x = at(if self.mirror { side - 1 - column } else { column }, 0);
                let here = (row * side + column) * 3;
                if !inside.contains(&x) || !inside.contains(&y) {
                    out.extend(mean[here..][..3].iter().map(|value| value.round() as u8));
                    continue;
                }
                let ((left, right, fx), (top, bottom, fy)) = (neighbours(x), neighbours(y));
                let pixel =
                    |y: usize, x: usize, channel: usize| f32::from(image[(y * side + x) * 3 + channel]);
                out.extend([0, 1, 2].map(|channel| {
                    let line = |y| pixel(y, left, channel) * (1.0 - fx) + pixel(y, right, channel) * fx;
                    (line(top) * (1.0 - fy) + line(bottom) * fy).round() as u8
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_images_have_many_windows_and_many_have_none() {
        assert_eq!(
            [windows(100, 10), windows(150, 10), windows(1200, 10), windows(1_000_000, 10)],
            [90, 70, 0, 0]
        );
    }

    #[test]
    fn the_whole_image_is_itself_and_a_mirrored_one_is_turned_over() {
        let side = 4;
        let image: Vec<u8> = (0..side * side * 3).map(|value| value as u8 * 5).collect();
        let whole = Window { corner: [0.0; 2], size: [1.0; 2], mirror: false };
        let (mut same, mut turned) = (Vec::new(), Vec::new());
        whole.cut(&image, side, &[0.0; 48], &mut same);
        assert_eq!(same, image);
        Window { mirror: true, ..whole }.cut(&image, side, &[0.0; 48], &mut turned);
        for row in 0..side {
            for column in 0..side {
                let pixel = |data: &[u8], column| data[(row * side + column) * 3..][..3].to_vec();
                assert_eq!(pixel(&turned, column), pixel(&image, side - 1 - column));
            }
        }
    }

    /// A white rectangle is where the box says after both went through a window; outside is the mean.
    #[test]
    fn pixels_and_boxes_go_the_same_way() {
        let side = 40;
        let rect = [0.25, 0.5, 0.5, 0.75];
        let mut image = vec![0; side * side * 3];
        for y in 20..30 {
            image[(y * side + 10) * 3..(y * side + 20) * 3].fill(255);
        }
        let mut mirrored = 0;
        for number in 0..20 {
            let window = Window::draw(7, 3, number, &rect);
            assert_eq!(window, Window::draw(7, 3, number, &rect));
            let mut cut = Vec::new();
            window.cut(&image, side, &vec![77.0; side * side * 3], &mut cut);
            let [left, top, right, bottom] = window.apply(&rect).map(|edge| edge * side as f32);
            for y in 0..side {
                for x in 0..side {
                    let value = cut[(y * side + x) * 3];
                    let (px, py) = (x as f32 + 0.5, y as f32 + 0.5);
                    let depth = (px - left).min(right - px).min(py - top).min(bottom - py);
                    assert!(depth < 1.5 || value == 255, "{window:?}: {value} at {x} {y}");
                    assert!(depth > -1.5 || value == 0 || value == 77, "{window:?}: {value} at {x} {y}");
                }
            }
            mirrored += usize::from(window.mirror);
        }
        assert!((4..=16).contains(&mirrored));
    }
}
