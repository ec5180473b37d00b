//! Vectors, and signed distances (negative inside) of the plain outlines that figures are made of.
//! Image axes: x to the right, y down, z towards the viewer.

/// A point or direction in the image.
pub(crate) type Point = [f32; 2];
/// A direction in space, or a colour (red, green, blue in 0..1).
pub(crate) type Vector = [f32; 3];

pub(crate) fn sub(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

pub(crate) fn length(p: Point) -> f32 {
    (p[0] * p[0] + p[1] * p[1]).sqrt()
}

/// The unit vector at `angle` (radians, from x towards y).
pub(crate) fn direction(angle: f32) -> Point {
    let (sin, cos) = angle.sin_cos();
    [cos, sin]
}

/// `p` seen from axes turned so that `axis` (a unit vector) is x.
pub(crate) fn turned(p: Point, axis: Point) -> Point {
    [p[0] * axis[0] + p[1] * axis[1], p[1] * axis[0] - p[0] * axis[1]]
}

/// `p` moved by a whole number of `1 / sectors` turns about the origin to the sector around the x axis, where the
/// outline of a figure with that symmetry need only be given once.
pub(crate) fn folded(p: Point, sectors: f32) -> Point {
    let step = std::f32::consts::TAU / sectors;
    turned(p, direction((p[1].atan2(p[0]) / step).round() * step))
}

pub(crate) fn dot(a: Vector, b: Vector) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(crate) fn scaled(a: Vector, by: f32) -> Vector {
    a.map(|x| x * by)
}

pub(crate) fn normalized(a: Vector) -> Vector {
    scaled(a, 1.0 / dot(a, a).sqrt().max(1e-9))
}

/// `a` at t = 0, `b` at t = 1.
pub(crate) fn mix(a: Vector, b: Vector, t: f32) -> Vector {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * t)
}

/// 0 below `low`, 1 above `high`, a smooth cubic between.
pub(crate) fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Distance to the upright rectangle about the origin with half sides `half`.
pub(crate) fn rectangle(p: Point, half: Point) -> f32 {
    let q = [p[0].abs() - half[0], p[1].abs() - half[1]];
    length([q[0].max(0.0), q[1].max(0.0)]) + q[0].max(q[1]).min(0.0)
}

/// Distance to the line from `a` to `b`.
pub(crate) fn segment(p: Point, a: Point, b: Point) -> f32 {
    let (along, edge) = (sub(p, a), sub(b, a));
    let t = (along[0] * edge[0] + along[1] * edge[1]) / (edge[0] * edge[0] + edge[1] * edge[1]);
    let t = t.clamp(0.0, 1.0);
    length([along[0] - edge[0] * t, along[1] - edge[1] * t])
}

/// Distance to a closed polygon: to its nearest edge, with the sign from the even-odd rule.
pub(crate) fn polygon(p: Point, corners: &[Point]) -> f32 {
    let mut nearest = f32::INFINITY;
    let mut inside = false;
    let mut a = corners[corners.len() - 1];
    for &b in corners {
        nearest = nearest.min(segment(p, a, b));
        if (a[1] > p[1]) != (b[1] > p[1]) && p[0] < a[0] + (b[0] - a[0]) * (p[1] - a[1]) / (b[1] - a[1]) {
            inside = !inside;
        }
        a = b;
    }
    if inside { -nearest } else { nearest }
}

/// Distance to the upright ellipse about the origin, exact at the border and to first order near it.
pub(crate) fn ellipse(p: Point, radii: Point) -> f32 {
    let q = [p[0] / radii[0], p[1] / radii[1]];
    let level = length(q);
    let slope = length([q[0] / radii[0], q[1] / radii[1]]);
    if slope < 1e-6 { -radii[0].min(radii[1]) } else { level * (level - 1.0) / slope }
}
