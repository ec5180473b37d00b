//! Small things that belong to no class, and bars that hide part of the figure.

use crate::canvas::Canvas;
use crate::dice::Dice;
use crate::geometry::{Point, Vector, direction, ellipse, length, rectangle, scaled, segment, turned};
use crate::paint::any_colour;
use crate::scene::Light;

#[derive(Clone, Copy)]
enum Outline {
    /// A rod with round ends.
    Rod,
    /// A slip of paper.
    Slip,
    /// A long flat pebble.
    Pebble,
    /// A bent wire.
    Arc,
}

/// One small flat thing.
pub(crate) struct Piece {
    outline: Outline,
    colour: Vector,
    axis: Point,
    /// Half length, pixels.
    half: f32,
    /// Half width over half length.
    slim: f32,
}

impl Piece {
    /// Any piece for a picture with the given short side.
    pub(crate) fn new(dice: &mut Dice, short: f32) -> Self {
        Self {
            outline: dice.pick(&[Outline::Rod, Outline::Slip, Outline::Pebble, Outline::Arc]),
            colour: any_colour(dice),
            axis: direction(dice.range(0.0, std::f32::consts::TAU)),
            half: dice.range(0.025, 0.075) * short,
            slim: dice.range(0.2, 0.45),
        }
    }

    fn distance(&self, offset: Point) -> f32 {
        let q = turned(offset, self.axis);
        let wide = self.half * self.slim;
        match self.outline {
            Outline::Rod => segment(q, [wide - self.half, 0.0], [self.half - wide, 0.0]) - wide,
            Outline::Slip => rectangle(q, [self.half, wide]),
            Outline::Pebble => ellipse(q, [self.half, wide]),
            Outline::Arc => ((length(q) - 0.8 * self.half).abs() - 0.4 * wide).max(-q[1]),
        }
    }

    /// Paints the piece and its shadow at `centre`.
    pub(crate) fn paint(&self, canvas: &mut Canvas, centre: Point, light: &Light) {
        light.shade(canvas, centre, self.half, 0.15 * self.half, |p| self.distance(p));
        canvas.paint(centre, self.half + 1.0, |p| {
            Some((self.colour, (0.5 - self.distance(p)).clamp(0.0, 1.0)))
        });
    }
}

/// A bar across the whole picture that hides a strip of a figure of `radius` at `centre`, off its middle.
pub(crate) fn in_front(dice: &mut Dice, canvas: &mut Canvas, centre: Point, radius: f32, light: &Light) {
    let axis = direction(dice.range(0.0, std::f32::consts::TAU));
    let aside = dice.range(0.4, 0.8) * radius;
    let half = dice.range(0.06, 0.14) * radius;
    let colour = any_colour(dice);
    let reach = (canvas.width + canvas.height) as f32;
    let across = |offset: Point| turned(offset, axis)[1] - aside;
    light.shade(canvas, centre, reach, half, |p| across(p).abs() - half);
    canvas.paint(centre, reach, |p| {
        let from_middle = across(p);
        let opacity = (half - from_middle.abs() + 0.5).clamp(0.0, 1.0);
        // Round like a pole: brightest along its middle.
        let rounded = 1.0 - 0.6 * (from_middle / half).powi(2).min(1.0);
        (opacity > 0.0).then(|| (scaled(colour, rounded), opacity))
    });
}
