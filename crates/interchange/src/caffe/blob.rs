//! Blobs: a shape and packed f32, and the mean image that is one.

use super::LARGEST_SIDE;
use crate::Malformed;
use crate::import::{Blob, floats};
use crate::protobuf::{Fields, Value, packed};
use ilsvrc_diagnostics::{Error, IMPORT_CORRUPT, IMPORT_UNSUPPORTED, Result};

/// Sides of a blob; Caffe has no more.
const MOST_SIDES: usize = 32;

/// A blob whose data are as long as its shape says.
pub(crate) fn blob(bytes: &[u8]) -> Result<Blob<'_>> {
    let mut legacy = [None; 4];
    let (mut shape, mut data) = (None, None);
    for field in Fields::of(bytes) {
        match field? {
            (number @ 1..=4, value) => legacy[number as usize - 1] = Some(value.size()?),
            (7, value) => shape = Some(blob_shape(value.bytes()?)?),
            (5, Value::Bytes(_)) if data.is_some() => return Err(unusual("its data are in several pieces")),
            (5, Value::Bytes(values)) => data = Some(values),
            (5, _) => return Err(unusual("its data are not packed")),
            (8, _) => return Err(unusual("its data are in double precision")),
            _ => {}
        }
    }
    let shape = shape.unwrap_or_else(|| match legacy {
        [None, None, None, None] => Vec::new(),
        sides => sides.map(Option::unwrap_or_default).to_vec(),
    });
    let bytes = data.unwrap_or_default();
    let length = shape.iter().try_fold(4usize, |length, side| length.checked_mul(*side));
    if shape.is_empty() || length != Some(bytes.len()) {
        let reason = format!("a blob of the shape {shape:?} has {} bytes of data", bytes.len());
        return Err(Malformed(reason).into());
    }
    Ok(Blob { shape, bytes })
}

/// The sides in a `BlobShape`.
pub(crate) fn blob_shape(bytes: &[u8]) -> Result<Vec<usize>, Malformed> {
    let mut shape = Vec::new();
    for field in Fields::of(bytes) {
        match field? {
            (1, Value::Bytes(sides)) => {
                for side in packed(sides).take(MOST_SIDES + 1) {
                    shape.push(Value::Varint(side?).size()?);
                }
            }
            (1, side) => shape.push(side.size()?),
            _ => {}
        }
        if shape.len() > MOST_SIDES {
            return Err(Malformed(format!("a blob has more than {MOST_SIDES} sides")));
        }
    }
    Ok(shape)
}

fn unusual(what: &str) -> Error {
    Error::new(IMPORT_UNSUPPORTED, format!("a blob is stored in another way: {what}"))
        .hint("load and save the model once with BVLC's Caffe")
}

/// A mean image (`mean.binaryproto`, `1 x 3 x side x side`, BGR) as `side x side x 3`, RGB, and its side.
///
/// # Errors
/// `IMPORT_CORRUPT`, also where it is no square of three channels; `IMPORT_UNSUPPORTED`.
pub fn mean_image(bytes: &[u8]) -> Result<(Vec<f32>, usize)> {
    let of_mean = |error: Error| Error { message: format!("the mean image: {}", error.message), ..error };
    let blob = blob(bytes).map_err(of_mean)?;
    let sides: Vec<usize> = blob.shape.iter().copied().skip_while(|side| *side == 1).collect();
    let side = match sides[..] {
        [3, rows, columns] if rows == columns && (1..=LARGEST_SIDE).contains(&rows) => rows,
        _ => {
            return Err(Error::new(IMPORT_CORRUPT, format!("the mean image has the shape {:?}", blob.shape))
                .info(format!("it should be 3 channels of a square of at most {LARGEST_SIDE}"))
                .hint("give the mean.binaryproto that the model was trained with"));
        }
    };
    let planes = floats(blob.bytes, "the mean image")?;
    let plane = side * side;
    let mean = (0..plane).flat_map(|at| [2, 1, 0].map(|channel| planes[channel * plane + at])).collect();
    Ok((mean, side))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::Message;

    fn message(shape: &[u64], values: &[f32]) -> Vec<u8> {
        let mut blob = Message::default();
        for (field, side) in (1..).zip(shape) {
            blob.number(field, *side);
        }
        blob.begin(5, 4 * values.len());
        blob.0.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        blob.0
    }

    #[test]
    fn a_mean_image_turns_from_planes_of_bgr_to_rgb() {
        let planes: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let (mean, side) = mean_image(&message(&[1, 3, 2, 2], &planes)).unwrap();
        assert_eq!((side, &mean[..6]), (2, &[8.0, 4.0, 0.0, 9.0, 5.0, 1.0][..]));
    }

    #[test]
    fn shapes_and_data_that_do_not_fit_are_refused() {
        let code = |bytes: &[u8]| mean_image(bytes).unwrap_err().code;
        assert_eq!(code(&message(&[1, 3, 2, 2], &[0.0; 11])), IMPORT_CORRUPT);
        assert_eq!(code(&message(&[1, 3, 2, 1], &[0.0; 6])), IMPORT_CORRUPT);
        assert_eq!(code(&message(&[1, 3, 1, 1], &[0.0, f32::NAN, 0.0])), IMPORT_CORRUPT);
        assert_eq!(code(&message(&[u64::MAX, 3, 1, 1], &[0.0; 3])), IMPORT_CORRUPT, "-1 images");
        let huge = [u64::from(u32::MAX); 4];
        assert_eq!(code(&message(&huge, &[])), IMPORT_CORRUPT, "a product beyond all numbers");
        assert_eq!(code(&[]), IMPORT_CORRUPT);
    }
}
