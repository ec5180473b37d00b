//! Vectors as bytes: `value = scale * (byte - zero)`, with a scale for each vector.
//!
//! Where no element is negative (activations after a ReLU) zero is 0 and all 256 steps are used; else it is 128 and
//! steps go both ways. Two coded vectors are compared by integers alone:
//! `|x - y|^2 = |x|^2 + |y|^2 - 2 scale_x scale_y dot`.

/// Bytes of a coded vector are a multiple of this: no kernel needs a remainder.
pub(crate) const ALIGNMENT: usize = 64;

/// The most elements of a vector: sums of products of bytes stay below 2^31, and sums of bytes exact in `f32`.
pub(crate) const MAX_DIMENSION: usize = 1 << 16;

/// The largest size of an element: the squared length of a vector of [`MAX_DIMENSION`] such ones, 6.6e36, is still an `f32`.
const LARGEST: f32 = 1e16;

/// Whether vectors with such an element can be coded and compared: it is a number, and not out of all proportion.
pub(crate) fn is_usable(x: &f32) -> bool {
    x.abs() <= LARGEST
}

/// What is known of a coded row beside its bytes; five `f32` in the store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    /// A step.
    pub(crate) scale: f32,
    /// The byte of the value 0: 0 or 128.
    pub(crate) zero: f32,
    /// Sum of the bytes.
    pub(crate) sum: f32,
    /// Squared length of the coded vector.
    pub(crate) norm: f32,
    /// Distance between the coded vector and the true one, rounded up.
    pub(crate) error: f32,
}

/// Fields of a [`Row`].
pub(crate) const ROW_FIELDS: usize = 5;

impl Row {
    pub(crate) fn fields(&self) -> [f32; ROW_FIELDS] {
        [self.scale, self.zero, self.sum, self.norm, self.error]
    }

    pub(crate) fn of(&[scale, zero, sum, norm, error]: &[f32; ROW_FIELDS]) -> Self {
        Self { scale, zero, sum, norm, error }
    }
}

/// Codes a vector into `bytes`, which may be longer and are then filled with 0.
pub(crate) fn encode(vector: &[f32], bytes: &mut [u8]) -> Row {
    let (least, most) =
        vector.iter().fold((0.0_f32, 0.0_f32), |(least, most), &x| (least.min(x), most.max(x)));
    let (zero, steps) = if least < 0.0 { (128.0, 127.0) } else { (0.0, 255.0) };
    let largest = most.max(-least);
    // All zeros: any scale does. Of numbers too small to divide by, nothing is left but their error.
    let scale = if largest / steps > f32::MIN_POSITIVE { largest / steps } else { 1.0 };
    let inverse = 1.0 / scale;
    for (byte, &x) in bytes.iter_mut().zip(vector) {
        *byte = (x * inverse + zero + 0.5) as u8;
    }
    bytes[vector.len()..].fill(0);
    let (mut sum, mut squares, mut error) = (0_u32, 0_u64, 0.0_f64);
    for (&byte, &x) in bytes.iter().zip(vector) {
        let step = f32::from(byte) - zero;
        sum += u32::from(byte);
        squares += (step * step) as u64;
        error += (f64::from(x) - f64::from(scale) * f64::from(step)).powi(2);
    }
    let norm = (f64::from(scale).powi(2) * squares as f64) as f32;
    Row { scale, zero, sum: sum as f32, norm, error: (error.sqrt() * (1.0 + 1e-6)) as f32 }
}

/// A query: signed bytes for the kernels, which take the one operand with a sign and the other without.
pub(crate) struct Query {
    row: Row,
    /// Sum of its signed bytes, and of 128 for each element where its own zero is 0.
    offset: f64,
    dimension: f64,
}

impl Query {
    /// Codes a query into `bytes` (as [`encode`], each byte less 128; what is beyond the vector is 0).
    pub(crate) fn encode(vector: &[f32], bytes: &mut [i8]) -> Self {
        let mut unsigned = vec![0; bytes.len()];
        let row = encode(vector, &mut unsigned);
        let mut sum = 0_i64;
        for (place, (signed, byte)) in bytes.iter_mut().zip(unsigned).enumerate() {
            *signed = if place < vector.len() { byte.wrapping_sub(128).cast_signed() } else { 0 };
            sum += i64::from(*signed);
        }
        let dimension = vector.len() as f64;
        Self { offset: sum as f64 + (128.0 - f64::from(row.zero)) * dimension, row, dimension }
    }

    /// How far the coded query is from the true one.
    pub(crate) fn error(&self) -> f64 {
        f64::from(self.row.error)
    }

    /// A bound below the squared distance between the coded query and a coded row, from `dot`, the sum over elements of
    /// unsigned byte times signed byte. It is their distance but for the rounding of the two norms.
    #[inline]
    pub(crate) fn squared_distance(&self, row: &Row, dot: i32) -> f64 {
        debug_assert!(self.dimension > 0.0);
        let zeros =
            (128.0 - f64::from(self.row.zero)) * f64::from(row.sum) - f64::from(row.zero) * self.offset;
        let product = f64::from(row.scale) * f64::from(self.row.scale) * (f64::from(dot) + zeros);
        let norms = f64::from(row.norm) + f64::from(self.row.norm);
        (norms * (1.0 - 1e-7) - 2.0 * product).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], row: &Row) -> Vec<f64> {
        bytes.iter().map(|&byte| f64::from(row.scale) * (f64::from(byte) - f64::from(row.zero))).collect()
    }

    fn distance(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum()
    }

    /// Every mix of vectors with and without negative elements.
    #[test]
    fn integer_distances_are_those_of_the_coded_vectors() {
        let positive = [0.0, 3.5, 0.25, 7.0, 1.0];
        let signed = [-2.0, 3.5, 0.0, -0.5, 1.25];
        for (x, y) in [(positive, signed), (signed, positive), (positive, positive), (signed, signed)] {
            let (mut row_bytes, mut query_bytes) = ([9; 64], [9; 64]);
            let row = encode(&x, &mut row_bytes);
            let query = Query::encode(&y, &mut query_bytes);
            assert_eq!((row_bytes[5..].iter().max(), query_bytes[5..].iter().max()), (Some(&0), Some(&0)));
            let dot = row_bytes.iter().zip(&query_bytes).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
            let mut bytes = [0; 5];
            let coded = encode(&y, &mut bytes);
            let expected = distance(&decoded(&row_bytes[..5], &row), &decoded(&bytes, &coded));
            let found = query.squared_distance(&row, dot);
            assert!((found - expected).abs() < 1e-4 && found <= expected + 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn the_error_is_the_distance_to_the_true_vector_and_small() {
        for vector in [[0.0, 1.0, 2.0, 2.55], [-1.0, 0.3, 0.2, 1.27], [0.0; 4], [1e-40, 0.0, 0.0, 0.0]] {
            let mut bytes = [0; 4];
            let row = encode(&vector, &mut bytes);
            let true_values: Vec<f64> = vector.iter().map(|&x| f64::from(x)).collect();
            let exact = distance(&decoded(&bytes, &row), &true_values).sqrt();
            assert!(f64::from(row.error) >= exact * 0.9999 && row.error <= row.scale, "{row:?} {exact}");
        }
    }
}
