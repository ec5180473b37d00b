//! Boxes as every format gives them: two opposite corners in pixels of the original image.
//!
//! ImageNet's own annotations hold boxes with swapped corners, without area and beyond the image's edge, so none of
//! these can be an error: corners are put in order here, what has no area is left out, and whoever knows the image
//! cuts off what lies outside.

/// Left, top, right, bottom in pixels; `left < right` and `top < bottom`.
pub type Rect = [f32; 4];

/// No image has a coordinate beyond this.
pub(super) const FARTHEST: f32 = 1e6;

/// The box between two corners, `None` where it has no area.
pub(super) fn between([x0, y0, x1, y1]: [f32; 4]) -> Option<Rect> {
    let rect = [x0.min(x1), y0.min(y1), x0.max(x1), y0.max(y1)];
    (rect[0] < rect[2] && rect[1] < rect[3]).then_some(rect)
}

/// A coordinate as text, or the reason why it is none.
pub(super) fn coordinate(text: &str) -> Result<f32, String> {
    let value = text.parse().ok().filter(|v: &f32| v.abs() <= FARTHEST);
    value.ok_or_else(|| format!("{} is not a coordinate (a number of pixels)", super::shown(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_ordered_and_empty_boxes_left_out() {
        assert_eq!(between([4.0, 1.0, 2.0, 3.0]), Some([2.0, 1.0, 4.0, 3.0]));
        assert_eq!(between([2.0, 1.0, 2.0, 3.0]), None);
        assert_eq!(between([1.0, 3.0, 2.0, 3.0]), None);
    }

    #[test]
    fn a_coordinate_is_a_number_of_pixels() {
        assert_eq!(coordinate("45.5"), Ok(45.5));
        assert_eq!(coordinate("-3"), Ok(-3.0));
        for text in ["", "NaN", "inf", "1e9", "1,5", "0x10", "ten"] {
            assert!(coordinate(text).is_err(), "{text}");
        }
    }
}
