//! The eight EXIF orientations.

use image::metadata::Orientation;

/// The size of a photo once it is turned.
pub(super) fn size([width, height]: [usize; 2], orientation: Orientation) -> [usize; 2] {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => [height, width],
        _ => [width, height],
    }
}

/// Turns the `side x side x 3` values of `square`. That is the same as turning the photo: what becomes of a photo is
/// symmetric.
pub(super) fn turn(square: &[u8], side: usize, orientation: Orientation, out: &mut [u8]) {
    let last = side - 1;
    for (i, pixel) in out.chunks_exact_mut(3).enumerate() {
        let (x, y) = (i % side, i / side);
        let (x, y) = match orientation {
            Orientation::NoTransforms => (x, y),
            Orientation::FlipHorizontal => (last - x, y),
            Orientation::Rotate180 => (last - x, last - y),
            Orientation::FlipVertical => (x, last - y),
            Orientation::Rotate90FlipH => (y, x),
            Orientation::Rotate90 => (y, last - x),
            Orientation::Rotate270FlipH => (last - y, last - x),
            Orientation::Rotate270 => (last - y, x),
        };
        let from = (y * side + x) * 3;
        pixel.copy_from_slice(&square[from..from + 3]);
    }
}
