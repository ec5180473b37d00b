//! The classes: what is drawn. A figure fills about the unit disc around the origin of its own axes; the scene turns,
//! scales and places it. A new class is one function here or in a file beside, and one line of [`CLASSES`].

mod flower;
mod outlines;
mod solids;

use crate::dice::Dice;
use crate::geometry::{Point, Vector, length, normalized};

/// How a class draws one of its figures.
pub(crate) type Draw = fn(&mut Dice) -> Box<dyn Figure>;

/// The classes in the order of their labels.
pub(crate) const CLASSES: [(&str, Draw); 12] = [
    ("ball", solids::ball),
    ("crescent", outlines::crescent),
    ("cross", outlines::cross),
    ("cube", solids::cube),
    ("flower", flower::flower),
    ("gear", outlines::gear),
    ("heart", outlines::heart),
    ("lightning", outlines::lightning),
    ("pyramid", solids::pyramid),
    ("ring", outlines::ring),
    ("spiral", outlines::spiral),
    ("star", outlines::star),
];

/// No figure reaches farther than this from the origin of its axes.
pub(crate) const REACH: f32 = 1.2;

/// What is seen at a point of a figure.
pub(crate) struct Surface {
    /// Unit normal in the figure's axes.
    pub(crate) normal: Vector,
    /// Where the point lies on the texture.
    pub(crate) texture: Point,
    /// 1 where the figure has its accent colour whatever the texture.
    pub(crate) accent: f32,
}

/// One figure with its random proportions fixed.
pub(crate) trait Figure {
    /// Signed distance to the silhouette, negative inside. Exact or nearly so close to the border.
    fn distance(&self, p: Point) -> f32;

    /// The surface at `p`, where `distance(p)` is `distance`. Asked for inside the silhouette and just around it.
    fn surface(&self, p: Point, distance: f32) -> Surface;
}

/// A flat outline puffed up like a cushion: the border is a quarter round of width `bevel`, the rest is flat.
struct Cushion<F> {
    outline: F,
    bevel: f32,
}

impl<F: Fn(Point) -> f32> Figure for Cushion<F> {
    fn distance(&self, p: Point) -> f32 {
        (self.outline)(p)
    }

    fn surface(&self, p: Point, distance: f32) -> Surface {
        Surface { normal: cushion_normal(&self.outline, p, distance, self.bevel), texture: p, accent: 0.0 }
    }
}

fn cushion<F: Fn(Point) -> f32 + 'static>(bevel: f32, outline: F) -> Box<dyn Figure> {
    Box::new(Cushion { outline, bevel })
}

/// The normal of a quarter round: it leans outwards along the gradient of the distance, the more the nearer the border.
fn cushion_normal(outline: impl Fn(Point) -> f32, p: Point, distance: f32, bevel: f32) -> Vector {
    const STEP: f32 = 0.01;
    let gradient = [outline([p[0] + STEP, p[1]]) - distance, outline([p[0], p[1] + STEP]) - distance];
    // Not quite horizontal at the border: a sliver seen edge-on would be a dark line.
    let lean = 0.96 * (1.0 + distance / bevel).clamp(0.0, 1.0);
    let scale = lean / length(gradient).max(1e-6);
    // On a ridge the gradient vanishes, and what is left points at the viewer.
    normalized([gradient[0] * scale, gradient[1] * scale, (1.0 - lean * lean).sqrt()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scene paints no farther than `REACH`; a figure that went beyond would be cut, one too small not be seen.
    #[test]
    fn figures_stay_within_reach_and_cover_a_fair_part_of_it() {
        let grid: Vec<Point> =
            (0..60 * 60).map(|i| [i % 60, i / 60].map(|x| (x as f32 - 29.5) * (1.6 / 30.0))).collect();
        for (label, (name, draw)) in CLASSES.into_iter().enumerate() {
            for sample in 0..20 {
                let figure = draw(&mut Dice::new(sample, label as u32));
                let inside: Vec<&Point> = grid.iter().filter(|&&p| figure.distance(p) < 0.0).collect();
                let farthest = inside.iter().map(|&&p| length(p)).fold(0.0, f32::max);
                assert!(farthest <= REACH, "{name} reaches {farthest}");
                // 1108 points of the grid lie in the unit disc.
                assert!(inside.len() > 100, "{name} covers {} points", inside.len());
            }
        }
    }

    /// Light is computed with these: a length other than 1 would show as spots.
    #[test]
    fn normals_are_of_unit_length_and_face_the_viewer() {
        for (label, (name, draw)) in CLASSES.into_iter().enumerate() {
            let figure = draw(&mut Dice::new(1, label as u32));
            for i in 0..400 {
                let p = [i % 20, i / 20].map(|x| (x as f32 - 9.5) / 10.0);
                let distance = figure.distance(p);
                if distance < 0.0 {
                    let normal = figure.surface(p, distance).normal;
                    let square: f32 = normal.iter().map(|x| x * x).sum();
                    assert!((square - 1.0).abs() < 1e-3 && normal[2] > 0.0, "{name} at {p:?}: {normal:?}");
                }
            }
        }
    }
}
