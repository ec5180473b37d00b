//! A flower: petals around a centre of another colour.

use super::{Figure, Surface, cushion_normal};
use crate::dice::Dice;
use crate::geometry::{Point, ellipse, folded, length, smoothstep};

struct Flower {
    petals: f32,
    /// Half width of a petal.
    width: f32,
    centre: f32,
}

/// Five to seven petals.
pub(super) fn flower(dice: &mut Dice) -> Box<dyn Figure> {
    let petals = dice.whole(5, 7) as f32;
    // Just wide enough that neighbours touch near the centre and part outwards.
    let width = dice.range(0.48, 0.56) * 0.6 * std::f32::consts::TAU / petals;
    Box::new(Flower { petals, width, centre: dice.range(0.24, 0.32) })
}

impl Flower {
    fn petal(&self, p: Point) -> f32 {
        let q = folded(p, self.petals);
        ellipse([q[0] - 0.58, q[1]], [0.42, self.width.min(0.34)])
    }

    fn button(&self, p: Point) -> f32 {
        length(p) - self.centre
    }
}

impl Figure for Flower {
    fn distance(&self, p: Point) -> f32 {
        self.petal(p).min(self.button(p))
    }

    fn surface(&self, p: Point, _distance: f32) -> Surface {
        let button = self.button(p);
        let normal = if button < 0.0 {
            cushion_normal(|q| self.button(q), p, button, self.centre)
        } else {
            cushion_normal(|q| self.petal(q), p, self.petal(p), 0.22)
        };
        Surface { normal, texture: p, accent: smoothstep(0.02, -0.02, button) }
    }
}
