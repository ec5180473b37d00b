//! Figures that are an outline puffed up.

use super::{Figure, cushion};
use crate::dice::Dice;
use crate::geometry::{Point, direction, folded, length, polygon, rectangle, segment, turned};
use std::f32::consts::{FRAC_1_SQRT_2, PI, SQRT_2, TAU};

/// A moon: a disc less a disc beside it.
pub(super) fn crescent(dice: &mut Dice) -> Box<dyn Figure> {
    let bite = dice.range(0.78, 0.9);
    let aside = dice.range(0.42, 0.55);
    cushion(0.3, move |p| (length(p) - 1.0).max(bite - length([p[0] - aside, p[1]])))
}

/// A plus with four equal arms.
pub(super) fn cross(dice: &mut Dice) -> Box<dyn Figure> {
    let arm = dice.range(0.22, 0.34);
    let round = dice.range(0.0, 0.12);
    let (long, wide) = (0.95 - round, arm - round);
    cushion(dice.range(0.1, 0.25), move |p| {
        rectangle(p, [long, wide]).min(rectangle(p, [wide, long])) - round
    })
}

/// A toothed wheel with a hole.
pub(super) fn gear(dice: &mut Dice) -> Box<dyn Figure> {
    let teeth = dice.whole(8, 11) as f32;
    let hole = dice.range(0.3, 0.42);
    let body = dice.range(0.7, 0.76);
    let half = dice.range(0.42, 0.55) * PI / teeth;
    cushion(dice.range(0.08, 0.16), move |p| {
        let q = folded(p, teeth);
        // Teeth narrow towards their tip.
        let tooth = rectangle([q[0] - 0.8, q[1]], [0.2, (half * (1.9 - q[0])).max(0.02)]);
        (length(p) - body).min(tooth).max(hole - length(p))
    })
}

/// A square on its corner with a half disc on each upper side.
pub(super) fn heart(dice: &mut Dice) -> Box<dyn Figure> {
    let half = dice.range(0.49, 0.54);
    let bevel = dice.range(0.25, 0.5);
    let (tip, middle) = (half * SQRT_2, half * FRAC_1_SQRT_2);
    cushion(bevel, move |p| {
        let q = [p[0].abs(), p[1] - 0.1];
        let from_lobe = [q[0] - middle, q[1] + middle];
        let square = rectangle(turned(q, [FRAC_1_SQRT_2, FRAC_1_SQRT_2]), [half, half]);
        let inside = square.min(length(from_lobe) - half) < 0.0;
        // The border of one side: half a circle, then straight down to the tip.
        let arc = if from_lobe[0] > from_lobe[1] {
            (length(from_lobe) - half).abs()
        } else {
            length([q[0], q[1] + tip])
        };
        let border = arc.min(segment(q, [tip, 0.0], [0.0, tip]));
        if inside { -border } else { border }
    })
}

/// A bolt of two slanted bars.
pub(super) fn lightning(dice: &mut Dice) -> Box<dyn Figure> {
    let mut corners: [Point; 7] =
        [[0.2, -1.0], [-0.5, 0.12], [-0.06, 0.12], [-0.28, 1.0], [0.52, -0.26], [0.07, -0.26], [0.5, -1.0]];
    for corner in &mut corners {
        *corner = corner.map(|x| x + dice.range(-0.04, 0.04));
    }
    if dice.chance(0.5) {
        corners = corners.map(|[x, y]| [-x, y]);
    }
    cushion(dice.range(0.08, 0.18), move |p| polygon(p, &corners))
}

/// A torus seen from above.
pub(super) fn ring(dice: &mut Dice) -> Box<dyn Figure> {
    let half = dice.range(0.14, 0.24);
    cushion(half, move |p| (length(p) - (1.0 - half)).abs() - half)
}

/// A rope along an Archimedean spiral, r = angle / TAU * pitch.
pub(super) fn spiral(dice: &mut Dice) -> Box<dyn Figure> {
    let turns = dice.range(2.3, 3.1);
    let mirror = if dice.chance(0.5) { 1.0 } else { -1.0 };
    let half = dice.range(0.22, 0.3) / turns;
    let pitch = (1.0 - half) / turns;
    let on_rope = move |turn: f32| direction(turn * TAU).map(|x| x * turn * pitch);
    let end = on_rope(turns);
    cushion(half, move |p| {
        let p = [p[0], p[1] * mirror];
        let radius = length(p);
        let fraction = (p[1].atan2(p[0]) / TAU).rem_euclid(1.0);
        // The windings that this direction meets are at fraction, fraction + 1, ... turns; the nearest one counts.
        let last = (turns - fraction).floor();
        let winding = fraction + (radius / pitch - fraction).round().clamp(0.0, last);
        let along = (radius - winding * pitch).abs();
        let tip = length([p[0] - end[0], p[1] - end[1]]);
        along.min(tip).min(radius) - half
    })
}

/// A star with five points.
pub(super) fn star(dice: &mut Dice) -> Box<dyn Figure> {
    let waist = dice.range(0.38, 0.5);
    let corners: [Point; 10] = std::array::from_fn(|i| {
        direction(i as f32 * TAU / 10.0).map(|x| if i % 2 == 0 { x } else { x * waist })
    });
    cushion(dice.range(0.15, 0.4), move |p| polygon(p, &corners))
}
