//! Mean image, channel means and principal components, from exact integer sums: the order in which images are added does not
//! matter, so neither do workers nor interruptions.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::dataset::Pca;

/// For each byte of an image the sum over the images of a shard. 100,000 images fit 32 bits.
#[derive(Clone, Debug)]
pub(crate) struct PixelSums {
    sums: Vec<u32>,
    /// Sums of the last `recent` images, which fit 16 bits: half as much memory to go through for each image.
    narrow: Vec<u16>,
    recent: u16,
}

/// Images whose sums fit 16 bits: 257 times 255 is the largest number of these.
const NARROW: u16 = 257;

/// Sums over pixels. At 255^2 a product, 2^48 pixels fit 64 bits: a thousand times ImageNet at 256 x 256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ColourSums {
    /// Pixels.
    pub(crate) count: u64,
    /// Red, green, blue.
    pub(crate) sums: [u64; 3],
    /// RR, RG, RB, GG, GB, BB.
    pub(crate) products: [u64; 6],
}

/// Calls a function below, compiled for the widest registers that this machine has: these loops run over every pixel of
/// a data set. The sums are of integers, so they are the same.
macro_rules! widest {
    ($function:ident($($argument:expr),*)) => {{
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has AVX2.
            unsafe { avx2::$function($($argument),*) }
        } else {
            $function($($argument),*)
        }
        #[cfg(not(target_arch = "x86_64"))]
        $function($($argument),*)
    }};
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    #[target_feature(enable = "avx2")]
    pub(super) fn add_bytes(sums: &mut [u16], bytes: &[u8]) {
        super::add_bytes(sums, bytes);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn moments(pixels: &[u8]) -> ([u32; 3], [u32; 6]) {
        super::moments(pixels)
    }
}

#[inline(always)]
fn add_bytes(sums: &mut [u16], bytes: &[u8]) {
    for (sum, &value) in sums.iter_mut().zip(bytes) {
        *sum += u16::from(value);
    }
}

/// Sums of R, G, B and of RR, RG, RB, GG, GB, BB over at most 2^14 pixels.
#[inline(always)]
fn moments(pixels: &[u8]) -> ([u32; 3], [u32; 6]) {
    const LANES: usize = 16;
    let (mut sums, mut products) = ([[0u32; LANES]; 3], [[0u32; LANES]; 6]);
    let mut add = |pixels: &[u8]| {
        // Apart by channel, so that the sums run over whole registers; a short last piece leaves zeros.
        let mut channels = [[0u32; LANES]; 3];
        for (lane, pixel) in pixels.chunks_exact(3).enumerate() {
            for (channel, &value) in channels.iter_mut().zip(pixel) {
                channel[lane] = u32::from(value);
            }
        }
        let [r, g, b] = &channels;
        for lane in 0..LANES {
            for (sum, channel) in sums.iter_mut().zip(&channels) {
                sum[lane] += channel[lane];
            }
            let pairs = [(r, r), (r, g), (r, b), (g, g), (g, b), (b, b)];
            for (product, (x, y)) in products.iter_mut().zip(pairs) {
                product[lane] += x[lane] * y[lane];
            }
        }
    };
    let pieces = pixels.chunks_exact(3 * LANES);
    let rest = pieces.remainder();
    pieces.for_each(&mut add);
    add(rest);
    (sums.map(|lanes| lanes.iter().sum()), products.map(|lanes| lanes.iter().sum()))
}

impl PixelSums {
    pub(crate) fn new(size: usize) -> Self {
        let values = size * size * 3;
        Self { sums: vec![0; values], narrow: vec![0; values], recent: 0 }
    }

    /// Adds an image.
    pub(crate) fn add(&mut self, pixels: &[u8]) {
        widest!(add_bytes(&mut self.narrow, pixels));
        self.recent += 1;
        if self.recent == NARROW {
            self.widen();
        }
    }

    fn widen(&mut self) {
        for (sum, narrow) in self.sums.iter_mut().zip(&mut self.narrow) {
            *sum += u32::from(std::mem::take(narrow));
        }
        self.recent = 0;
    }

    /// The sums of all images.
    pub(crate) fn into_sums(mut self) -> Vec<u32> {
        self.widen();
        self.sums
    }

    /// Little-endian, one after another.
    pub(crate) fn write(sums: &[u32], out: &mut impl Write) -> io::Result<()> {
        sums.iter().try_for_each(|sum| out.write_all(&sum.to_le_bytes()))
    }

    /// Adds what [`PixelSums::write`] wrote; the reason when it does not fit.
    pub(crate) fn add_to(total: &mut [u64], bytes: &[u8]) -> Result<(), String> {
        if bytes.len() != total.len() * 4 {
            return Err(format!("it has {} bytes instead of {}", bytes.len(), total.len() * 4));
        }
        for (total, sum) in total.iter_mut().zip(bytes.chunks_exact(4)) {
            *total += u64::from(u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]));
        }
        Ok(())
    }
}

impl ColourSums {
    /// Adds an image.
    pub(crate) fn add_pixels(&mut self, pixels: &[u8]) {
        self.count += pixels.len() as u64 / 3;
        // 32-bit sums of pieces are faster than 64-bit ones, and 3 * 2^14 bytes cannot overflow them.
        for piece in pixels.chunks(3 << 14) {
            let (sums, products) = widest!(moments(piece));
            for (total, sum) in self.sums.iter_mut().zip(sums) {
                *total += u64::from(sum);
            }
            for (total, sum) in self.products.iter_mut().zip(products) {
                *total += u64::from(sum);
            }
        }
    }

    /// Adds the sums of another shard.
    pub(crate) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sums.iter_mut().zip(other.sums).for_each(|(a, b)| *a += b);
        self.products.iter_mut().zip(other.products).for_each(|(a, b)| *a += b);
    }

    /// Mean red, green and blue.
    pub(crate) fn mean(&self) -> [f64; 3] {
        self.sums.map(|sum| sum as f64 / self.count as f64)
    }

    /// `(n Sxy - Sx Sy) / n^2`, the numerator exact.
    fn covariance(&self) -> [[f64; 3]; 3] {
        let n = i128::from(self.count);
        let [r, g, b] = self.sums.map(i128::from);
        let [rr, rg, rb, gg, gb, bb] = self.products.map(i128::from);
        let entry = |product: i128, x: i128, y: i128| (n * product - x * y) as f64 / (n as f64 * n as f64);
        let (rg, rb, gb) = (entry(rg, r, g), entry(rb, r, b), entry(gb, g, b));
        [[entry(rr, r, r), rg, rb], [rg, entry(gg, g, g), gb], [rb, gb, entry(bb, b, b)]]
    }

    /// The principal components of all pixels.
    pub(crate) fn pca(&self) -> Pca {
        let (values, vectors) = eigen(self.covariance());
        Pca { vectors, deviations: values.map(|value| value.max(0.0).sqrt()) }
    }
}

/// Eigenvalues, largest first, and eigenvectors of a symmetric matrix by Jacobi's rotations
/// (Golub and Van Loan, Matrix Computations, section 8.5). A vector's largest component is positive.
fn eigen(mut a: [[f64; 3]; 3]) -> ([f64; 3], [[f64; 3]; 3]) {
    // Rows of `v` become the eigenvectors.
    let mut v = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    // Convergence is quadratic: 3 x 3 needs about five sweeps.
    for _ in 0..30 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if a[p][q] == 0.0 {
                continue;
            }
            let tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
            let t = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
            let c = 1.0 / (1.0 + t * t).sqrt();
            let s = t * c;
            for row in &mut a {
                (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
            }
            for k in 0..3 {
                (a[p][k], a[q][k]) = (c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]);
                (v[p][k], v[q][k]) = (c * v[p][k] - s * v[q][k], s * v[p][k] + c * v[q][k]);
            }
        }
    }
    let mut order = [0, 1, 2];
    order.sort_by(|&i, &j| a[j][j].total_cmp(&a[i][i]));
    let vectors = order.map(|i| {
        let largest = v[i].into_iter().fold(0.0f64, |best, x| if x.abs() > best.abs() { x } else { best });
        v[i].map(|x| x * largest.signum())
    });
    (order.map(|i| a[i][i]), vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_of_a_known_matrix() {
        // Eigenvalues 2 - sqrt 2, 2, 2 + sqrt 2.
        let (values, vectors) = eigen([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]]);
        let root = 2f64.sqrt();
        for (value, expected) in values.into_iter().zip([2.0 + root, 2.0, 2.0 - root]) {
            assert!((value - expected).abs() < 1e-14, "{value} {expected}");
        }
        for (found, expected) in vectors[0].into_iter().zip([-0.5, root / 2.0, -0.5]) {
            assert!((found - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn a_diagonal_matrix_is_sorted_and_a_zero_one_is_harmless() {
        let (values, vectors) = eigen([[1.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 2.0]]);
        assert_eq!(values, [3.0, 2.0, 1.0]);
        assert_eq!(vectors, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
        assert_eq!(eigen([[0.0; 3]; 3]).0, [0.0; 3]);
    }

    #[test]
    fn sums_do_not_depend_on_the_order() {
        let images: Vec<Vec<u8>> =
            (0..4u32).map(|i| (0..192u32).map(|k| (k * 7 + i * 91) as u8).collect()).collect();
        let total = |order: [usize; 4]| {
            let (mut pixels, mut colours) = (PixelSums::new(8), ColourSums::default());
            for i in order {
                pixels.add(&images[i]);
                colours.add_pixels(&images[i]);
            }
            (pixels.into_sums(), colours)
        };
        assert_eq!(total([0, 1, 2, 3]), total([3, 1, 0, 2]));
        let all: Vec<f64> = images.iter().flatten().step_by(3).map(|&x| f64::from(x)).collect();
        assert!((total([0, 1, 2, 3]).1.mean()[0] - all.iter().sum::<f64>() / 256.0).abs() < 1e-12);
    }

    #[test]
    fn written_sums_are_added() {
        let mut sums = PixelSums::new(1);
        // More than fit 16 bits.
        (0..600).for_each(|_| sums.add(&[1, 0, 255]));
        let (mut bytes, mut total) = (Vec::new(), vec![5, 0, 0]);
        PixelSums::write(&sums.into_sums(), &mut bytes).unwrap();
        PixelSums::add_to(&mut total, &bytes).unwrap();
        assert_eq!(total, [605, 0, 153_000]);
        assert!(PixelSums::add_to(&mut total, &bytes[1..]).is_err());
    }

    /// Against the definition of the covariance in floating point.
    #[test]
    fn pca_explains_the_covariance() {
        let pixels: Vec<u8> =
            (0..3000u32).map(|k| (k.wrapping_mul(2_654_435_761) >> 24) as u8 / (1 + k % 3) as u8).collect();
        let mut sums = ColourSums::default();
        sums.add_pixels(&pixels);
        let (mean, pca) = (sums.mean(), sums.pca());
        for (i, row) in sums.covariance().iter().enumerate() {
            for (j, &entry) in row.iter().enumerate() {
                let direct =
                    pixels.chunks_exact(3).map(|p| (f64::from(p[i]) - mean[i]) * (f64::from(p[j]) - mean[j]));
                assert!((direct.sum::<f64>() / 1000.0 - entry).abs() < 1e-8);
                let rebuilt: f64 =
                    (0..3).map(|k| pca.deviations[k].powi(2) * pca.vectors[k][i] * pca.vectors[k][j]).sum();
                assert!((rebuilt - entry).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn every_pixel_counts_once() {
        for pixels in [1, 15, 16, 17, 20_000] {
            let bytes: Vec<u8> = (0..pixels * 3).map(|k: usize| (k * 37 % 251) as u8).collect();
            let mut sums = ColourSums::default();
            sums.add_pixels(&bytes);
            let all = || bytes.chunks_exact(3).map(|p| [p[0], p[1], p[2]].map(u64::from));
            let products = |[r, g, b]: [u64; 3]| [r * r, r * g, r * b, g * g, g * b, b * b];
            assert_eq!(sums.count, pixels as u64);
            assert_eq!(sums.sums, std::array::from_fn::<u64, 3, _>(|i| all().map(|p| p[i]).sum()));
            assert_eq!(
                sums.products,
                std::array::from_fn::<u64, 6, _>(|i| all().map(|p| products(p)[i]).sum())
            );
        }
    }
}
