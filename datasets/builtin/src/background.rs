//! What lies behind the figure. Lengths are in short sides of the picture, so a picture looks alike at every size.

use crate::dice::Dice;
use crate::geometry::{Point, Vector, direction, length, mix, scaled, smoothstep, turned};
use crate::noise::{cells, fractal, smooth, white};
use crate::paint::quiet_colour;

#[derive(Clone, Copy)]
enum Kind {
    /// One colour into another.
    Gradient,
    /// Fractal noise: clouds, plaster, a meadow out of focus.
    Clouds,
    Bricks,
    /// Soft wallpaper stripes.
    Stripes,
    /// A chequered floor, each tile its own shade.
    Tiles,
    /// Lights out of focus.
    Lights,
    /// Boards with grain.
    Planks,
    /// A wall and a floor.
    Room,
    Pebbles,
}

const KINDS: [Kind; 9] = [
    Kind::Gradient,
    Kind::Clouds,
    Kind::Bricks,
    Kind::Stripes,
    Kind::Tiles,
    Kind::Lights,
    Kind::Planks,
    Kind::Room,
    Kind::Pebbles,
];

/// A random background.
pub(crate) struct Background {
    kind: Kind,
    /// The colours that dominate, for choosing a figure's colour.
    pub(crate) colours: [Vector; 2],
    axis: Point,
    /// Repetitions per short side.
    frequency: f32,
    /// For `Room`: where the floor begins. For `Lights`: how large they are.
    level: f32,
    lights: Vec<(Point, f32, Vector)>,
    seed: u32,
}

impl Background {
    /// Any background for a picture of `size` short sides.
    pub(crate) fn new(dice: &mut Dice, size: Point) -> Self {
        let kind = dice.pick(&KINDS);
        let first = quiet_colour(dice);
        // Two colours of one material are alike; those of a gradient need not be.
        let apart = if matches!(kind, Kind::Gradient | Kind::Room) { 0.5 } else { 0.22 };
        let second = mix(first, quiet_colour(dice), apart);
        let angle = match kind {
            Kind::Bricks | Kind::Room => dice.range(-0.15, 0.15),
            _ => dice.range(0.0, std::f32::consts::TAU),
        };
        let frequency = match kind {
            Kind::Clouds => dice.range(1.5, 5.0),
            Kind::Planks => dice.range(2.5, 5.0),
            _ => dice.range(4.0, 9.0),
        };
        let lights = match kind {
            Kind::Lights => (0..14).map(|_| light(dice, size)).collect(),
            _ => Vec::new(),
        };
        let level = dice.range(0.35, 0.8);
        let seed = dice.bits();
        Self { kind, colours: [first, second], axis: direction(angle), frequency, level, lights, seed }
    }

    /// The colour at `p`, in short sides from the top left corner.
    pub(crate) fn at(&self, p: Point) -> Vector {
        let [first, second] = self.colours;
        let q = turned([p[0] - 0.5, p[1] - 0.5], self.axis);
        let r = q.map(|x| x * self.frequency);
        let colour = match self.kind {
            Kind::Gradient => mix(first, second, smoothstep(-0.7, 0.7, q[0])),
            Kind::Clouds => mix(first, second, smoothstep(0.25, 0.75, fractal(r, self.seed))),
            Kind::Bricks => self.bricks(r),
            Kind::Stripes => {
                mix(first, second, smoothstep(-0.25, 0.25, (r[0] * std::f32::consts::TAU).sin()))
            }
            Kind::Tiles => self.tiles(r),
            Kind::Lights => {
                self.lights.iter().fold(mix(first, second, p[1]), |under, (at, radius, colour)| {
                    let apart = length([p[0] - at[0], p[1] - at[1]]);
                    mix(under, *colour, 0.55 * smoothstep(*radius, 0.85 * radius, apart))
                })
            }
            Kind::Planks => self.planks(r),
            Kind::Room => self.room(q),
            Kind::Pebbles => {
                let (border, own) = cells(r, self.seed);
                let stone = scaled(mix(first, second, own), 0.88 + 0.22 * own);
                mix(scaled(first, 0.65), stone, smoothstep(0.03, 0.2, border))
            }
        };
        // Nothing real is perfectly even.
        scaled(colour, 0.94 + 0.12 * smooth([p[0] * 40.0, p[1] * 40.0], self.seed))
    }

    fn bricks(&self, r: Point) -> Vector {
        let row = r[1].floor();
        let along = r[0] / 2.2 + 0.5 * (row as i32 & 1) as f32;
        let shade = white(along.floor() as i32, row as i32, self.seed);
        let joint = (edge(along) * 2.2).min(edge(r[1]));
        let brick = scaled(self.colours[0], 0.88 + 0.2 * shade);
        mix(self.colours[1], brick, smoothstep(0.04, 0.09, joint))
    }

    fn tiles(&self, r: Point) -> Vector {
        let tile = r.map(|x| x.floor() as i32);
        let colour = self.colours[((tile[0] + tile[1]) & 1) as usize];
        let joint = edge(r[0]).min(edge(r[1]));
        scaled(
            colour,
            (0.9 + 0.18 * white(tile[0], tile[1], self.seed)) * (0.7 + 0.3 * smoothstep(0.01, 0.04, joint)),
        )
    }

    fn planks(&self, r: Point) -> Vector {
        let plank = r[1].floor() as i32;
        let own = white(plank, 0, self.seed);
        // Grain: noise drawn out along the plank, in rings.
        let rings = 7.0 * fractal([r[0] * 0.5 + 40.0 * own, r[1] * 2.5], self.seed);
        let wood = mix(self.colours[0], self.colours[1], 0.5 + 0.5 * (rings * std::f32::consts::TAU).sin());
        scaled(wood, (0.88 + 0.2 * own) * (0.6 + 0.4 * smoothstep(0.0, 0.04, edge(r[1]))))
    }

    fn room(&self, q: Point) -> Vector {
        let floor = q[1] + 0.5 - self.level;
        let wall = scaled(self.colours[0], 1.0 + 0.25 * floor);
        let boards = mix(scaled(self.colours[1], 0.7), self.colours[1], smoothstep(0.0, 0.5, floor));
        mix(wall, boards, smoothstep(-0.004, 0.004, floor))
    }
}

/// A light out of focus: place, radius and colour.
fn light(dice: &mut Dice, size: Point) -> (Point, f32, Vector) {
    let at = [dice.range(0.0, size[0]), dice.range(0.0, size[1])];
    (at, dice.range(0.05, 0.22), quiet_colour(dice))
}

/// How far `x` is from the nearest whole number.
fn edge(x: f32) -> f32 {
    (x - x.round()).abs()
}
