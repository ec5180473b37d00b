//! Noise as a pure function of place and a seed: white, smooth, fractal, and cells.

use crate::geometry::Point;
use ilsvrc_random::unit;

/// 32 well mixed bits for a lattice point (the finaliser of MurmurHash3 over a linear combination).
pub(crate) fn hash(x: i32, y: i32, seed: u32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x8DA6_B343)
        ^ (y as u32).wrapping_mul(0xD816_3841)
        ^ seed.wrapping_mul(0x9E37_79B1);
    h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
    h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

/// White noise in 0..1.
pub(crate) fn white(x: i32, y: i32, seed: u32) -> f32 {
    unit(hash(x, y, seed))
}

/// Value noise in 0..1: white noise on the unit lattice, smoothly interpolated.
pub(crate) fn smooth(p: Point, seed: u32) -> f32 {
    let (fx, fy) = (p[0].floor(), p[1].floor());
    let (ix, iy) = (fx as i32, fy as i32);
    let fade = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (fade(p[0] - fx), fade(p[1] - fy));
    let row = |y| {
        let (a, b) = (white(ix, y, seed), white(ix + 1, y, seed));
        a + (b - a) * u
    };
    let (top, bottom) = (row(iy), row(iy + 1));
    top + (bottom - top) * v
}

/// Fractal noise in 0..1: four octaves of [`smooth`], each at double frequency and half the weight.
pub(crate) fn fractal(p: Point, seed: u32) -> f32 {
    let (mut sum, mut weight, mut q) = (0.0, 8.0 / 15.0, p);
    for octave in 0..4 {
        sum += weight * smooth(q, seed.wrapping_add(octave));
        weight *= 0.5;
        q = [q[0] * 2.0, q[1] * 2.0];
    }
    sum
}

/// Irregular cells, one about each jittered lattice point (Worley 1996): how far `p` is from the border of its cell
/// (0 on the border) and a number in 0..1 that is the cell's own.
pub(crate) fn cells(p: Point, seed: u32) -> (f32, f32) {
    let (ix, iy) = (p[0].floor() as i32, p[1].floor() as i32);
    let (mut first, mut second, mut own) = (f32::INFINITY, f32::INFINITY, 0.0);
    for y in iy - 1..=iy + 1 {
        for x in ix - 1..=ix + 1 {
            let bits = hash(x, y, seed);
            let jitter = |shift: u32| ((bits >> shift) & 0x3FF) as f32 / 1024.0;
            let (dx, dy) = (x as f32 + jitter(0) - p[0], y as f32 + jitter(10) - p[1]);
            let squared = dx * dx + dy * dy;
            if squared < first {
                (second, first, own) = (first, squared, jitter(20));
            } else if squared < second {
                second = squared;
            }
        }
    }
    (second.sqrt() - first.sqrt(), own)
}
