//! Principal components by orthogonal iteration with a random start (Halko, Martinsson and Tropp, "Finding structure with
//! randomness", 2011): the covariance is never formed, and for one machine the result is the same each time.

use ilsvrc_diagnostics::{Error, FEATURES_UNUSABLE, Result};
use ilsvrc_random::{Purpose, Stream};
use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// Directions beyond those asked for; they make the last ones converge.
const EXTRA: usize = 16;
/// Each one multiplies the error of a direction by the ratio of two of the covariance's eigenvalues, `EXTRA` apart.
const ITERATIONS: usize = 8;

/// A mean and directions.
pub(crate) struct Pca {
    mean: DVector<f32>,
    /// `components x dimension`.
    components: DMatrix<f32>,
    /// The share of the variance that they keep.
    pub(crate) explained: f64,
}

impl Pca {
    /// The first `count` principal components of a sample of vectors of `dimension` elements.
    ///
    /// # Errors
    /// `FEATURES_UNUSABLE` where the sample is too small for as many.
    pub(crate) fn fit(sample: &[f32], dimension: usize, count: usize) -> Result<Self> {
        let rows = sample.len() / dimension;
        if count == 0 || count > dimension || count >= rows {
            return Err(Error::new(
                FEATURES_UNUSABLE,
                format!("{count} principal components cannot be computed"),
            )
            .info(format!(
                "there are {rows} vectors of {dimension} elements: at most {} are possible",
                rows.saturating_sub(1).min(dimension)
            ))
            .hint("ask for fewer by --pca"));
        }
        let mut columns = DMatrix::from_column_slice(dimension, rows, sample);
        let mean = columns.column_mean();
        columns.column_iter_mut().for_each(|mut column| column -= &mean);
        let transposed = columns.transpose();
        let width = (count + EXTRA).min(dimension).min(rows);
        let stream = Stream::new(0, Purpose::Drawing, 0, 0);
        let start = DMatrix::from_fn(dimension, width, |i, j| stream.uniform((i * width + j) as u32) - 0.5);
        let mut basis = start.qr().q();
        for _ in 0..ITERATIONS {
            basis = (&columns * (&transposed * &basis)).qr().q();
        }
        // Inside the subspace the eigenvectors are those of a small matrix (Rayleigh and Ritz).
        let inside = &transposed * &basis;
        let small = inside.transpose() * &inside;
        let eigen = SymmetricEigen::new(small);
        let mut order: Vec<usize> = (0..width).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        order.truncate(count);
        let directions = &basis * eigen.eigenvectors.select_columns(&order);
        let total: f64 = columns.iter().map(|&x| f64::from(x).powi(2)).sum();
        let kept: f64 = order.iter().map(|&i| f64::from(eigen.eigenvalues[i])).sum();
        let explained = if total > 0.0 { (kept / total).min(1.0) } else { 1.0 };
        Ok(Self { mean, components: directions.transpose(), explained })
    }

    /// Reads what [`Pca::to_bytes`] made; the length is known to be right.
    pub(crate) fn from_bytes(bytes: &[u8], dimension: usize, count: usize) -> Self {
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect();
        Self {
            mean: DVector::from_column_slice(&values[..dimension]),
            components: DMatrix::from_row_slice(count, dimension, &values[dimension..]),
            explained: 1.0,
        }
    }

    /// The mean and then each component.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let rows = self.components.row_iter().flat_map(|row| row.iter().copied().collect::<Vec<_>>());
        self.mean.iter().copied().chain(rows).flat_map(f32::to_le_bytes).collect()
    }

    /// Coordinates of vectors, one after the other.
    pub(crate) fn project(&self, vectors: &[f32]) -> Vec<f32> {
        let dimension = self.mean.len();
        let mut columns = DMatrix::from_column_slice(dimension, vectors.len() / dimension, vectors);
        columns.column_iter_mut().for_each(|mut column| column -= &self.mean);
        (&self.components * columns).as_slice().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors with variances 9, 4 and 1 along three known directions, and next to nothing elsewhere.
    fn sample(rows: usize, dimension: usize) -> Vec<f32> {
        let stream = Stream::new(1, Purpose::Drawing, 0, 7);
        let normal = |i: usize| stream.normal_pair(i as u32)[0];
        let mut values = Vec::new();
        for row in 0..rows {
            for element in 0..dimension {
                let along = match element {
                    2 => 3.0 * normal(row * 8),
                    5 => 2.0 * normal(row * 8 + 1),
                    7 => normal(row * 8 + 2),
                    _ => 0.01 * normal(row * 8 + 3),
                };
                values.push(1.0 + along);
            }
        }
        values
    }

    #[test]
    fn finds_the_directions_of_the_largest_variances() {
        let pca = Pca::fit(&sample(500, 20), 20, 3).unwrap();
        for (component, element) in [(0, 2), (1, 5), (2, 7)] {
            assert!(pca.components[(component, element)].abs() > 0.99, "{}", pca.components);
        }
        assert!(pca.explained > 0.99 && pca.explained <= 1.0);
    }

    #[test]
    fn all_components_keep_all_distances() {
        let values = sample(60, 20);
        let pca = Pca::fit(&values, 20, 20).unwrap();
        let projected = pca.project(&values);
        let distance = |v: &[f32], i: usize, j: usize| -> f32 {
            v[i * 20..][..20].iter().zip(&v[j * 20..][..20]).map(|(a, b)| (a - b).powi(2)).sum()
        };
        for (i, j) in [(0, 1), (3, 59), (20, 21)] {
            let (before, after) = (distance(&values, i, j), distance(&projected, i, j));
            assert!((before - after).abs() < 1e-3 * before, "{before} {after}");
        }
        let read = Pca::from_bytes(&pca.to_bytes(), 20, 20);
        assert_eq!(read.project(&values), projected);
    }

    #[test]
    fn too_small_a_sample_is_an_error() {
        assert_eq!(Pca::fit(&sample(3, 20), 20, 3).err().map(|e| e.code), Some(FEATURES_UNUSABLE));
        assert!(Pca::fit(&sample(30, 20), 20, 21).is_err());
    }
}
