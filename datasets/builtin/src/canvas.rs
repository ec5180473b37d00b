//! The picture while it is being painted: linear access to float colours, and what is done to all of them at once.

use crate::dice::Dice;
use crate::geometry::{Point, Vector, mix, sub};
use crate::noise::white;
use ilsvrc_images::Image;
use std::ops::Range;

/// `width` x `height` colours, row by row.
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pixels: Vec<Vector>,
}

impl Canvas {
    /// A canvas whose pixel at each point (its centre, in pixels) is `colour(point)`.
    pub(crate) fn painted(width: usize, height: usize, colour: impl Fn(Point) -> Vector) -> Self {
        let pixels = (0..width * height).map(|i| colour(centre_of(i % width, i / width))).collect();
        Self { width, height, pixels }
    }

    /// The pixels that a square of half side `reach` around `centre` touches.
    fn window(&self, centre: Point, reach: f32) -> (Range<usize>, Range<usize>) {
        let range = |at: f32, size: usize| {
            let bound = |x: f32| (x.max(0.0) as usize).min(size);
            bound((at - reach).floor())..bound((at + reach).ceil())
        };
        (range(centre[0], self.width), range(centre[1], self.height))
    }

    /// Calls `visit(column, row, offset)` for the pixels within `reach` of `centre`; `offset` is from `centre`, in pixels.
    pub(crate) fn each(&self, centre: Point, reach: f32, mut visit: impl FnMut(usize, usize, Point)) {
        let (columns, rows) = self.window(centre, reach);
        for y in rows {
            for x in columns.clone() {
                visit(x, y, sub(centre_of(x, y), centre));
            }
        }
    }

    /// Paints within `reach` of `centre`: `brush(offset)` gives the colour and its opacity, or nothing.
    /// `offset` is from `centre`, in pixels.
    pub(crate) fn paint(
        &mut self,
        centre: Point,
        reach: f32,
        brush: impl Fn(Point) -> Option<(Vector, f32)>,
    ) {
        let (columns, rows) = self.window(centre, reach);
        for y in rows {
            for x in columns.clone() {
                if let Some((colour, opacity)) = brush(sub(centre_of(x, y), centre)) {
                    let pixel = &mut self.pixels[y * self.width + x];
                    *pixel = mix(*pixel, colour, opacity);
                }
            }
        }
    }

    /// Multiplies within `reach` of `centre` by `1 - shade(offset)`.
    pub(crate) fn darken(&mut self, centre: Point, reach: f32, shade: impl Fn(Point) -> f32) {
        self.paint(centre, reach, |offset| Some(([0.0; 3], shade(offset))));
    }

    /// Two box filters of `2 * radius + 1` pixels in each direction, about a Gaussian of deviation `radius`.
    pub(crate) fn blur(&mut self, radius: usize) {
        for _ in 0..2 {
            let mut line = Vec::new();
            for y in 0..self.height {
                box_filter(&mut self.pixels[y * self.width..][..self.width], 1, radius, &mut line);
            }
            for x in 0..self.width {
                box_filter(&mut self.pixels[x..], self.width, radius, &mut line);
            }
        }
    }

    /// What a lens does at best: each pixel gives `weight` of itself to either neighbour, along rows and columns.
    pub(crate) fn soften(&mut self, weight: f32) {
        let mut line = Vec::new();
        for y in 0..self.height {
            spread(&mut self.pixels[y * self.width..][..self.width], 1, weight, &mut line);
        }
        for x in 0..self.width {
            spread(&mut self.pixels[x..], self.width, weight, &mut line);
        }
    }

    /// Grain of a sensor: noise of the given amplitude, `seed` its own.
    pub(crate) fn grain(&mut self, amplitude: f32, seed: u32) {
        for (i, pixel) in self.pixels.iter_mut().enumerate() {
            for (channel, value) in pixel.iter_mut().enumerate() {
                // The sum of two uniform numbers: close enough to a bell.
                let lane = 2 * channel as i32;
                *value += amplitude * (white(i as i32, lane, seed) + white(i as i32, lane + 1, seed) - 1.0);
            }
        }
    }

    /// What a camera does: exposure, a slight tint, and darker corners.
    pub(crate) fn expose(&mut self, dice: &mut Dice) {
        let tint: Vector = std::array::from_fn(|_| dice.range(0.93, 1.07));
        let exposure = dice.range(0.85, 1.15);
        let corners = dice.range(0.0, 0.35);
        let middle = [self.width as f32 / 2.0, self.height as f32 / 2.0];
        let per_diagonal = 1.0 / (middle[0] * middle[0] + middle[1] * middle[1]);
        for (i, pixel) in self.pixels.iter_mut().enumerate() {
            let [x, y] = sub(centre_of(i % self.width, i / self.width), middle);
            let light = exposure * (1.0 - corners * (x * x + y * y) * per_diagonal);
            *pixel = std::array::from_fn(|channel| pixel[channel] * tint[channel] * light);
        }
    }

    /// Takes the colours out (Rec. 601 weights).
    pub(crate) fn grayscale(&mut self) {
        for pixel in &mut self.pixels {
            *pixel = [0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]; 3];
        }
    }

    /// The picture as 8-bit RGB.
    pub(crate) fn into_image(self) -> Image {
        let bytes = self.pixels.iter().flatten().map(|x| (x * 255.0 + 0.5) as u8);
        Image { width: self.width, height: self.height, pixels: bytes.collect() }
    }
}

fn centre_of(x: usize, y: usize) -> Point {
    [x as f32 + 0.5, y as f32 + 0.5]
}

/// A running mean over every `stride`-th element of `pixels`; the ends repeat. `line` is scratch.
fn box_filter(pixels: &mut [Vector], stride: usize, radius: usize, line: &mut Vec<Vector>) {
    line.clear();
    line.extend(pixels.iter().step_by(stride));
    let last = line.len() - 1;
    let weight = 1.0 / (2 * radius + 1) as f32;
    let at = |i: usize| line[i.saturating_sub(radius).min(last)];
    let mut sum: Vector = std::array::from_fn(|c| (0..2 * radius).map(|i| at(i)[c]).sum());
    for i in 0..=last {
        let (enters, leaves) = (at(i + 2 * radius), at(i));
        for c in 0..3 {
            sum[c] += enters[c];
            pixels[i * stride][c] = sum[c] * weight;
            sum[c] -= leaves[c];
        }
    }
}

/// Three taps over every `stride`-th element of `pixels`; the ends repeat. `line` is scratch.
fn spread(pixels: &mut [Vector], stride: usize, weight: f32, line: &mut Vec<Vector>) {
    line.clear();
    line.extend(pixels.iter().step_by(stride));
    let last = line.len() - 1;
    for i in 0..=last {
        let (before, here, after) = (line[i.saturating_sub(1)], line[i], line[(i + 1).min(last)]);
        pixels[i * stride] =
            std::array::from_fn(|c| weight * (before[c] + after[c]) + (1.0 - 2.0 * weight) * here[c]);
    }
}
