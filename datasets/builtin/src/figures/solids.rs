//! Bodies seen in parallel projection: the ball and convex polyhedra.

use super::{Figure, Surface};
use crate::dice::Dice;
use crate::geometry::{Point, Vector, cross, dot, length, normalized, polygon, scaled, sub};

/// Rows of a rotation: about y by `yaw`, then about x by `pitch` (radians).
fn rotation(yaw: f32, pitch: f32) -> [Vector; 3] {
    let ((sy, cy), (sp, cp)) = (yaw.sin_cos(), pitch.sin_cos());
    [[cy, 0.0, sy], [sp * sy, cp, -sp * cy], [-cp * sy, sp, cp * cy]]
}

fn apply(rows: &[Vector; 3], v: Vector) -> Vector {
    rows.map(|row| dot(row, v))
}

struct Ball {
    /// Turns the ball, so that its texture is seen from any side.
    rows: [Vector; 3],
}

/// A sphere; textures lie on its meridians and parallels like on a beach ball.
pub(super) fn ball(dice: &mut Dice) -> Box<dyn Figure> {
    Box::new(Ball { rows: rotation(dice.range(0.0, 6.3), dice.range(-1.2, 1.2)) })
}

impl Figure for Ball {
    fn distance(&self, p: Point) -> f32 {
        length(p) - 1.0
    }

    fn surface(&self, p: Point, _distance: f32) -> Surface {
        let normal = normalized([p[0], p[1], (1.0 - p[0] * p[0] - p[1] * p[1]).max(0.0).sqrt()]);
        let q = apply(&self.rows, normal);
        Surface { normal, texture: [q[0].atan2(q[2]), q[1].clamp(-1.0, 1.0).asin()], accent: 0.0 }
    }
}

/// A face towards the viewer: the plane z = `height` + `slope` · (x, y).
struct Face {
    normal: Vector,
    height: f32,
    slope: Point,
    /// Axes of the texture in the plane.
    axes: [Vector; 2],
    /// Where the texture of this face begins, so that faces differ.
    origin: Point,
}

struct Polyhedron {
    faces: Vec<Face>,
    silhouette: Vec<Point>,
}

/// A cube that shows three faces.
pub(super) fn cube(dice: &mut Dice) -> Box<dyn Figure> {
    let corners: Vec<Vector> =
        (0..8).map(|i| [0, 1, 2].map(|axis| if i >> axis & 1 == 1 { 1.0 } else { -1.0 })).collect();
    let faces: [&[usize]; 6] =
        [&[0, 1, 3, 2], &[4, 5, 7, 6], &[0, 1, 5, 4], &[2, 3, 7, 6], &[0, 2, 6, 4], &[1, 3, 7, 5]];
    let rows = rotation(dice.range(0.4, 1.17), dice.range(0.4, 0.8));
    Box::new(Polyhedron::new(&corners, &faces, &rows))
}

/// A pyramid on a square that shows two of its sides.
pub(super) fn pyramid(dice: &mut Dice) -> Box<dyn Figure> {
    let half = dice.range(0.75, 0.95);
    let corners =
        [[-half, 0.5, -half], [half, 0.5, -half], [half, 0.5, half], [-half, 0.5, half], [0.0, -0.9, 0.0]];
    let faces: [&[usize]; 5] = [&[0, 1, 2, 3], &[0, 1, 4], &[1, 2, 4], &[2, 3, 4], &[3, 0, 4]];
    let rows = rotation(dice.range(0.35, 1.22), dice.range(-0.35, -0.1));
    Box::new(Polyhedron::new(&corners, &faces, &rows))
}

impl Polyhedron {
    /// The body with the given corners (around the origin) and faces, turned by `rows`, fitted into the unit disc.
    fn new(corners: &[Vector], faces: &[&[usize]], rows: &[Vector; 3]) -> Self {
        let mut corners: Vec<Vector> = corners.iter().map(|&corner| apply(rows, corner)).collect();
        let centre = [0, 1].map(|axis| {
            let (low, high) =
                corners.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), corner| {
                    (low.min(corner[axis]), high.max(corner[axis]))
                });
            (low + high) / 2.0
        });
        for corner in &mut corners {
            *corner = [corner[0] - centre[0], corner[1] - centre[1], corner[2]];
        }
        let reach = corners.iter().map(|corner| length([corner[0], corner[1]])).fold(0.0, f32::max);
        for corner in &mut corners {
            *corner = scaled(*corner, 1.0 / reach);
        }
        let middle = scaled(
            corners.iter().fold([0.0; 3], |sum: Vector, corner| std::array::from_fn(|i| sum[i] + corner[i])),
            1.0 / corners.len() as f32,
        );
        let faces = faces.iter().enumerate().filter_map(|(number, face)| {
            let at = face.iter().map(|&i| corners[i]).collect::<Vec<_>>();
            Face::towards_viewer(&at, middle, number as f32)
        });
        Self {
            faces: faces.collect(),
            silhouette: convex_hull(corners.iter().map(|corner| [corner[0], corner[1]]).collect()),
        }
    }
}

impl Face {
    /// The plane of the corners `at`, or nothing when the viewer is behind it; `middle` is inside the body.
    fn towards_viewer(at: &[Vector], middle: Vector, number: f32) -> Option<Self> {
        let edge = |i: usize| -> Vector { std::array::from_fn(|axis| at[i][axis] - at[0][axis]) };
        let mut normal = normalized(cross(edge(1), edge(2)));
        if dot(normal, at[0]) < dot(normal, middle) {
            normal = scaled(normal, -1.0);
        }
        if normal[2] < 1e-3 {
            return None;
        }
        let u = normalized(edge(1));
        Some(Self {
            normal,
            height: dot(normal, at[0]) / normal[2],
            slope: [-normal[0] / normal[2], -normal[1] / normal[2]],
            axes: [u, cross(normal, u)],
            origin: [number * 0.37, number * 0.61],
        })
    }

    fn height_at(&self, p: Point) -> f32 {
        self.height + self.slope[0] * p[0] + self.slope[1] * p[1]
    }
}

impl Figure for Polyhedron {
    fn distance(&self, p: Point) -> f32 {
        polygon(p, &self.silhouette)
    }

    fn surface(&self, p: Point, _distance: f32) -> Surface {
        // A convex body's visible surface is the lowest of the planes that face the viewer.
        let lowest = self.faces.iter().min_by(|a, b| a.height_at(p).total_cmp(&b.height_at(p)));
        let face = lowest.expect("a closed body has a face towards the viewer");
        let z = face.height_at(p);
        // Planes that pass within a small distance share the normal: edges come out slightly rounded.
        let mut normal = [0.0; 3];
        for other in &self.faces {
            let weight = (1.0 - (other.height_at(p) - z) * other.normal[2] / 0.04).max(0.0);
            normal = std::array::from_fn(|i| normal[i] + other.normal[i] * weight);
        }
        let at = [p[0], p[1], z];
        let texture = [0, 1].map(|i| dot(at, face.axes[i]) + face.origin[i]);
        Surface { normal: normalized(normal), texture, accent: 0.0 }
    }
}

/// Corners of the convex hull in order (Andrew's monotone chain).
fn convex_hull(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let mut hull: Vec<Point> = Vec::new();
    let reversed: Vec<Point> = points.iter().rev().copied().collect();
    for chain in [points, reversed] {
        let start = hull.len();
        for p in chain {
            while hull.len() >= start + 2 && !turns_left(hull[hull.len() - 2], hull[hull.len() - 1], p) {
                hull.pop();
            }
            hull.push(p);
        }
        // The last corner of a chain is the first of the next one.
        hull.pop();
    }
    hull
}

fn turns_left(a: Point, b: Point, c: Point) -> bool {
    let (ab, ac) = (sub(b, a), sub(c, a));
    ab[0] * ac[1] - ab[1] * ac[0] > 0.0
}
