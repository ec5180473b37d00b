//! Colours and the textures of figures.

use crate::dice::Dice;
use crate::geometry::{Point, Vector, direction, length, mix, smoothstep, turned};
use crate::noise::{fractal, smooth};

/// A colour from hue, saturation and value, each in 0..1 (Smith 1978).
fn from_hsv(hue: f32, saturation: f32, value: f32) -> Vector {
    [5.0, 3.0, 1.0].map(|n| {
        let k = (n + hue * 6.0) % 6.0;
        value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0))
    })
}

/// Any colour that is neither black nor white: of its own, it says nothing about the class.
pub(crate) fn any_colour(dice: &mut Dice) -> Vector {
    from_hsv(dice.range(0.0, 1.0), dice.range(0.15, 0.95), dice.range(0.4, 1.0))
}

/// A muted colour, for backgrounds.
pub(crate) fn quiet_colour(dice: &mut Dice) -> Vector {
    from_hsv(dice.range(0.0, 1.0), dice.range(0.05, 0.65), dice.range(0.3, 1.0))
}

/// The colour that stands out best from `others` among a few random ones.
pub(crate) fn contrasting(dice: &mut Dice, others: &[Vector]) -> Vector {
    let apart = |c: &Vector| others.iter().map(|o| difference(*c, *o)).fold(f32::INFINITY, f32::min);
    let candidates: [Vector; 8] = std::array::from_fn(|_| any_colour(dice));
    candidates.into_iter().max_by(|a, b| apart(a).total_cmp(&apart(b))).expect("eight candidates")
}

/// How different two colours look: brightness counts more than hue, as it does to the eye.
fn difference(a: Vector, b: Vector) -> f32 {
    let d: Vector = std::array::from_fn(|i| a[i] - b[i]);
    let brightness = 0.3 * d[0] + 0.59 * d[1] + 0.11 * d[2];
    brightness.abs() + 0.35 * d.iter().map(|x| x.abs()).fold(0.0, f32::max)
}

#[derive(Clone, Copy)]
enum Pattern {
    Plain,
    Stripes,
    Checks,
    Dots,
    Marble,
    Speckles,
}

/// The colouring of one figure: a pattern of two colours, and a third one for accents.
pub(crate) struct Paint {
    pattern: Pattern,
    colours: [Vector; 2],
    accent: Vector,
    axis: Point,
    frequency: f32,
    seed: u32,
}

impl Paint {
    /// Random paint that stands out from the colours behind it.
    pub(crate) fn new(dice: &mut Dice, behind: &[Vector]) -> Self {
        use Pattern::{Checks, Dots, Marble, Plain, Speckles, Stripes};
        let base = contrasting(dice, behind);
        let other = any_colour(dice);
        Self {
            pattern: dice.pick(&[Plain, Plain, Stripes, Checks, Dots, Marble, Speckles]),
            // A second colour near the first one: the texture should not hide the shading.
            colours: [base, mix(base, other, dice.range(0.15, 0.5))],
            accent: contrasting(dice, &[base]),
            axis: direction(dice.range(0.0, std::f32::consts::TAU)),
            frequency: dice.range(1.6, 3.6),
            seed: dice.bits(),
        }
    }

    /// The colour at a point of the texture.
    pub(crate) fn at(&self, texture: Point, accent: f32) -> Vector {
        let q = turned(texture, self.axis).map(|x| x * self.frequency);
        let wave = |x: f32| (x * std::f32::consts::PI).sin();
        let second = match self.pattern {
            Pattern::Plain => 0.0,
            Pattern::Stripes => smoothstep(-0.12, 0.12, wave(q[0])),
            Pattern::Checks => smoothstep(-0.08, 0.08, wave(q[0]) * wave(q[1])),
            Pattern::Dots => smoothstep(0.34, 0.28, length(q.map(|x| x - x.floor() - 0.5))),
            Pattern::Marble => smoothstep(-0.6, 0.6, wave(q[0] + 3.0 * fractal(q, self.seed))),
            Pattern::Speckles => smoothstep(0.6, 0.7, smooth(q.map(|x| x * 5.0), self.seed)),
        };
        mix(mix(self.colours[0], self.colours[1], second), self.accent, accent)
    }
}
