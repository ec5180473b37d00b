//! One picture: a background, clutter, the figure with its shadow and light, perhaps something in front, and what the
//! camera adds.

use crate::background::Background;
use crate::canvas::Canvas;
use crate::clutter::{Piece, in_front};
use crate::dice::Dice;
use crate::figures::{Draw, Figure, REACH};
use crate::geometry::{Point, Vector, direction, dot, length, normalized, scaled, smoothstep, turned};
use crate::paint::Paint;
use ilsvrc_images::Image;

/// Sides of the pictures, in pixels.
pub(crate) const SIDES: std::ops::RangeInclusive<usize> = 200..=600;

/// Share of the short side that a figure spans, seldom.
const SMALL: [f32; 2] = [0.3, 0.5];
/// Share of the short side that a figure spans, mostly: as large as what a photograph is taken of.
const LARGE: [f32; 2] = [0.55, 0.85];

/// Figures stand upright give or take this angle (radians).
const TILT: f32 = 0.35;

/// First column and row, last column and row.
pub(crate) type Bounds = [usize; 4];

/// The picture that `dice` gives of a figure that `draw` makes, and the pixels that the figure spans in it.
pub(crate) fn render(dice: &mut Dice, draw: Draw) -> (Image, Bounds) {
    let (width, height) = size(dice);
    let short = width.min(height) as f32;
    let background = Background::new(dice, [width as f32 / short, height as f32 / short]);
    let light = Light::new(dice);
    let mut canvas = Canvas::painted(width, height, |p| background.at(p.map(|x| x / short)));
    if dice.chance(0.35) {
        for _ in 0..dice.whole(2, 7) {
            let at = [dice.range(0.0, width as f32), dice.range(0.0, height as f32)];
            Piece::new(dice, short).paint(&mut canvas, at, &light);
        }
    }
    if dice.chance(0.35) {
        canvas.blur((short * dice.range(0.006, 0.02)).ceil() as usize);
    }

    let span = if dice.chance(0.08) { SMALL } else { LARGE };
    let figure = Placed {
        paint: Paint::new(dice, &background.colours),
        figure: draw(dice),
        axis: direction(dice.range(-TILT, TILT)),
        radius: dice.range(span[0], span[1]) * short / 2.0,
    };
    let centre = place(dice, [width as f32, height as f32], figure.radius);
    figure.cast_shadow(&mut canvas, centre, &light);
    figure.paint(&mut canvas, centre, &light);
    let bounds = figure.bounds(&canvas, centre);
    if dice.chance(0.08) {
        in_front(dice, &mut canvas, centre, figure.radius, &light);
    }

    canvas.expose(dice);
    if dice.chance(0.2) {
        canvas.blur((short * dice.range(0.002, 0.008)).ceil() as usize);
    }
    canvas.grain(dice.range(0.0, 0.08), dice.bits());
    if dice.chance(0.03) {
        canvas.grayscale();
    }
    (canvas.into_image(), bounds)
}

/// Width and height: upright, lying or square, up to 3 : 2.
fn size(dice: &mut Dice) -> (usize, usize) {
    let short = dice.range(200.0, 440.0);
    let long = (short * dice.range(1.0, 1.5)).min(*SIDES.end() as f32);
    let (short, long) = (short as usize, long as usize);
    if dice.chance(0.5) { (short, long) } else { (long, short) }
}

/// Where the figure goes: inside the centre square, which is what preparation keeps; now and then across its border.
fn place(dice: &mut Dice, [width, height]: Point, radius: f32) -> Point {
    let half = width.min(height) / 2.0;
    let room = if dice.chance(0.06) { half - 0.75 * radius } else { 0.75 * (half - radius) };
    [width / 2.0 + dice.range(-room, room), height / 2.0 + dice.range(-room, room)]
}

/// One lamp, and the light from everywhere.
pub(crate) struct Light {
    /// Unit vector towards the lamp.
    towards: Vector,
    ambient: f32,
    /// Strength of the shadow on the background.
    shadow: f32,
    /// Strength and exponent of highlights.
    gloss: [f32; 2],
}

impl Light {
    fn new(dice: &mut Dice) -> Self {
        // From above, as lamps and the sun are.
        let [x, y] = direction(dice.range(-0.85, -0.15) * std::f32::consts::PI);
        Self {
            towards: normalized([x, y, dice.range(0.5, 1.2)]),
            ambient: dice.range(0.2, 0.4),
            shadow: dice.range(0.15, 0.6),
            gloss: [dice.range(0.0, 0.5), dice.range(8.0, 60.0)],
        }
    }

    /// Where the shadow of something `height` above the background falls, relative to it.
    fn shadow_offset(&self, height: f32) -> Point {
        [0, 1].map(|i| -self.towards[i] / self.towards[2] * height)
    }

    /// Darkens the background below something of outline `distance` (pixels) that floats `height` pixels above it.
    pub(crate) fn shade(
        &self,
        canvas: &mut Canvas,
        centre: Point,
        reach: f32,
        height: f32,
        distance: impl Fn(Point) -> f32,
    ) {
        let offset = self.shadow_offset(height);
        let soft = height.max(1.5);
        let centre = [centre[0] + offset[0], centre[1] + offset[1]];
        canvas.darken(centre, reach + soft, |p| self.shadow * smoothstep(soft, -soft, distance(p)));
    }

    /// The light that leaves a surface of `colour` towards the viewer (Lambert, and Blinn's highlight).
    fn reflected(&self, normal: Vector, towards: Vector, colour: Vector) -> Vector {
        let diffuse = dot(normal, towards).max(0.0);
        let half = normalized([towards[0], towards[1], towards[2] + 1.0]);
        let highlight = self.gloss[0] * dot(normal, half).max(0.0).powf(self.gloss[1]);
        scaled(colour, self.ambient + (1.15 - self.ambient) * diffuse).map(|x| x + highlight)
    }
}

/// A figure with its size, direction and colours.
struct Placed {
    figure: Box<dyn Figure>,
    paint: Paint,
    axis: Point,
    /// Pixels per unit of the figure.
    radius: f32,
}

impl Placed {
    /// Distance to the silhouette in pixels; `offset` from the centre in pixels.
    fn distance(&self, offset: Point) -> f32 {
        self.figure.distance(self.local(offset)) * self.radius
    }

    fn local(&self, offset: Point) -> Point {
        turned(offset, self.axis).map(|x| x / self.radius)
    }

    /// The pixels of the picture that are mostly the figure's, whatever is painted over them later.
    fn bounds(&self, canvas: &Canvas, centre: Point) -> Bounds {
        let mut bounds = [canvas.width - 1, canvas.height - 1, 0, 0];
        canvas.each(centre, REACH * self.radius, |x, y, offset| {
            if self.distance(offset) < 0.0 {
                let [left, top, right, bottom] = bounds;
                bounds = [left.min(x), top.min(y), right.max(x), bottom.max(y)];
            }
        });
        bounds
    }

    fn cast_shadow(&self, canvas: &mut Canvas, centre: Point, light: &Light) {
        light.shade(canvas, centre, REACH * self.radius, 0.14 * self.radius, |p| self.distance(p));
    }

    fn paint(&self, canvas: &mut Canvas, centre: Point, light: &Light) {
        let [x, y] = turned([light.towards[0], light.towards[1]], self.axis);
        let towards = [x, y, light.towards[2]];
        canvas.paint(centre, REACH * self.radius + 1.0, |offset| {
            let p = self.local(offset);
            // Most of the corners of the square that is painted: spare the arithmetic of the outline.
            if length(p) > REACH + 1.0 / self.radius {
                return None;
            }
            let distance = self.figure.distance(p);
            let opacity = (0.5 - distance * self.radius).clamp(0.0, 1.0);
            (opacity > 0.0).then(|| {
                let surface = self.figure.surface(p, distance);
                let colour = self.paint.at(surface.texture, surface.accent);
                (light.reflected(surface.normal, towards, colour), opacity)
            })
        });
    }
}
