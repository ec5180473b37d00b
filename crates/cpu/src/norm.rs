//! Response normalisation across maps and within maps.
//!
//! With `s_c = k + alpha * sum of a_j^2` over the window of `c`: `b_c = a_c * s_c^-beta`, and for the gradient `g` of
//! `b`: `g_c * s_c^-beta - 2 alpha beta a_c * sum of g_j a_j s_j^(-beta - 1)` over the `j` whose windows hold `c`.

use crate::backend::Machine;
use crate::isa::Work;
use ilsvrc_diagnostics::Result;
use ilsvrc_network::Norm;
use rayon::prelude::*;

/// `s^-beta`; `THREE_QUARTERS` says that beta is 0.75, the paper's, which needs roots only.
#[inline(always)]
fn inverse_power<const THREE_QUARTERS: bool>(s: f32, beta: f32) -> f32 {
    if THREE_QUARTERS {
        let root = s.sqrt();
        1.0 / (root * root.sqrt())
    } else {
        s.powf(-beta)
    }
}

/// `sums[c] = terms[c] + ... + terms[c + size - 1]`
#[inline(always)]
fn window_sums(size: usize, terms: &[f32], sums: &mut [f32]) {
    #[inline(always)]
    fn fixed<const N: usize>(terms: &[f32], sums: &mut [f32]) {
        let n = sums.len();
        let shifted: [&[f32]; N] = std::array::from_fn(|d| &terms[d..d + n]);
        for c in 0..n {
            let mut sum = shifted[0][c];
            for row in &shifted[1..] {
                sum += row[c];
            }
            sums[c] = sum;
        }
    }
    match size {
        3 => fixed::<3>(terms, sums),
        5 => fixed::<5>(terms, sums),
        9 => fixed::<9>(terms, sums),
        _ => {
            sums.fill(0.0);
            for d in 0..size {
                sums.iter_mut().zip(&terms[d..]).for_each(|(sum, x)| *sum += x);
            }
        }
    }
}

/// Positions that are worked on together: a loop over them all stores the terms of sums before the next one reads
/// them. Read at once they would have to wait, since a window's terms come from several stores.
const BLOCK: usize = 8;

/// Working memory of the normalisation of up to [`BLOCK`] positions.
pub(crate) struct Lines<'a> {
    /// Terms of the forward sums, with the zeros outside the first and last map.
    squares: &'a mut [f32],
    /// Terms of the backward sums, likewise.
    shares: &'a mut [f32],
    /// Sums of one of them.
    sums: &'a mut [f32],
    maps: usize,
    /// Maps before a map in its window.
    before: usize,
}

impl<'a> Lines<'a> {
    /// Elements of `memory`.
    pub(crate) fn elements(norm: &Norm, maps: usize) -> usize {
        BLOCK * (3 * maps + 2 * norm.size)
    }

    /// Takes `elements` from `memory`.
    #[inline(always)]
    pub(crate) fn new(norm: &Norm, maps: usize, memory: &'a mut [f32]) -> Self {
        let (squares, rest) = memory.split_at_mut(BLOCK * (maps + norm.size));
        let (shares, sums) = rest.split_at_mut(BLOCK * (maps + norm.size));
        squares.fill(0.0);
        shares.fill(0.0);
        Self { squares, shares, sums: &mut sums[..BLOCK * maps], maps, before: norm.size / 2 }
    }

    /// Leaves `s` of each position in `sums`.
    #[inline(always)]
    fn scales(&mut self, norm: &Norm, input: &[f32]) {
        let (maps, padded) = (self.maps, self.maps + norm.size);
        for (squares, input) in self.squares.chunks_exact_mut(padded).zip(input.chunks_exact(maps)) {
            let squares = &mut squares[self.before..][..maps];
            squares.iter_mut().zip(input).for_each(|(square, x)| *square = x * x);
        }
        let sums = self.sums[..input.len()].chunks_exact_mut(maps);
        for (squares, sums) in self.squares.chunks_exact(padded).zip(sums) {
            window_sums(norm.size, squares, sums);
            sums.iter_mut().for_each(|s| *s = norm.k + norm.alpha * *s);
        }
    }
}

/// Normalises positions of `maps` maps each.
#[inline(always)]
pub(crate) fn normalise(norm: &Norm, lines: &mut Lines, input: &[f32], output: &mut [f32]) {
    if norm.beta == 0.75 {
        normalise_with::<true>(norm, lines, input, output);
    } else {
        normalise_with::<false>(norm, lines, input, output);
    }
}

#[inline(always)]
fn normalise_with<const Q: bool>(norm: &Norm, lines: &mut Lines, input: &[f32], output: &mut [f32]) {
    let block = BLOCK * lines.maps;
    for (input, output) in input.chunks(block).zip(output.chunks_mut(block)) {
        lines.scales(norm, input);
        for ((o, a), s) in output.iter_mut().zip(input).zip(&*lines.sums) {
            *o = a * inverse_power::<Q>(*s, norm.beta);
        }
    }
}

/// The gradient of [`normalise`].
#[inline(always)]
pub(crate) fn normalise_gradient(
    norm: &Norm,
    lines: &mut Lines,
    input: &[f32],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) {
    if norm.beta == 0.75 {
        gradient_with::<true>(norm, lines, input, output_gradient, input_gradient);
    } else {
        gradient_with::<false>(norm, lines, input, output_gradient, input_gradient);
    }
}

#[inline(always)]
fn gradient_with<const Q: bool>(norm: &Norm, lines: &mut Lines, input: &[f32], from: &[f32], to: &mut [f32]) {
    let (maps, padded) = (lines.maps, lines.maps + norm.size);
    let after = norm.size - 1 - lines.before;
    let factor = 2.0 * norm.alpha * norm.beta;
    let block = BLOCK * maps;
    for ((a, g), d) in input.chunks(block).zip(from.chunks(block)).zip(to.chunks_mut(block)) {
        lines.scales(norm, a);
        let positions = a.chunks_exact(maps).zip(g.chunks_exact(maps)).zip(d.chunks_exact_mut(maps));
        let scales = lines.sums.chunks_exact(maps);
        for ((((a, g), d), s), shares) in positions.zip(scales).zip(lines.shares.chunks_exact_mut(padded)) {
            let shares = &mut shares[after..][..maps];
            for c in 0..maps {
                d[c] = g[c] * inverse_power::<Q>(s[c], norm.beta);
                shares[c] = d[c] * a[c] / s[c];
            }
        }
        let sums = lines.sums[..a.len()].chunks_exact_mut(maps);
        for (shares, sums) in lines.shares.chunks_exact(padded).zip(sums) {
            window_sums(norm.size, shares, sums);
        }
        for ((d, a), sum) in d.iter_mut().zip(a).zip(&*lines.sums) {
            *d -= factor * a * sum;
        }
    }
}

/// Positions that a task normalises.
const TASK_POSITIONS: usize = 256;

/// `output = input / s^beta` across maps; `positions` in all images together.
pub(crate) fn forward(
    machine: &mut Machine,
    norm: &Norm,
    maps: usize,
    input: &[f32],
    output: &mut [f32],
) -> Result<()> {
    struct Forward<'a>(&'a Norm, Lines<'a>, &'a [f32], &'a mut [f32]);
    impl Work for Forward<'_> {
        #[inline(always)]
        fn run(mut self) {
            normalise(self.0, &mut self.1, self.2, self.3);
        }
    }
    let (_, own) = machine.scratch.get(0, Lines::elements(norm, maps))?;
    let (set, chunk) = (machine.set, TASK_POSITIONS * maps);
    machine.pool.install(|| {
        output.par_chunks_mut(chunk).zip(input.par_chunks(chunk)).for_each(|(output, input)| {
            // SAFETY: one call in a task without parallel work.
            let lines = Lines::new(norm, maps, unsafe { own.own() });
            set.run(Forward(norm, lines, input, output));
        });
    });
    Ok(())
}

/// The gradient of [`forward`].
pub(crate) fn backward(
    machine: &mut Machine,
    norm: &Norm,
    maps: usize,
    input: &[f32],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<()> {
    struct Backward<'a>(&'a Norm, Lines<'a>, &'a [f32], &'a [f32], &'a mut [f32]);
    impl Work for Backward<'_> {
        #[inline(always)]
        fn run(mut self) {
            normalise_gradient(self.0, &mut self.1, self.2, self.3, self.4);
        }
    }
    let (_, own) = machine.scratch.get(0, Lines::elements(norm, maps))?;
    let (set, chunk) = (machine.set, TASK_POSITIONS * maps);
    machine.pool.install(|| {
        let sources = input.par_chunks(chunk).zip(output_gradient.par_chunks(chunk));
        input_gradient.par_chunks_mut(chunk).zip(sources).for_each(|(to, (input, from))| {
            // SAFETY: one call in a task without parallel work.
            let lines = Lines::new(norm, maps, unsafe { own.own() });
            set.run(Backward(norm, lines, input, from, to));
        });
    });
    Ok(())
}

/// `output = input / s^beta` with windows of positions in each map; images of `side x side x maps`.
pub(crate) fn map_forward(
    machine: &mut Machine,
    norm: &Norm,
    side: usize,
    maps: usize,
    input: &[f32],
    output: &mut [f32],
) -> Result<()> {
    struct Forward<'a>(Maps<'a>, &'a [f32], &'a mut [f32], &'a mut [f32]);
    impl Work for Forward<'_> {
        #[inline(always)]
        fn run(self) {
            let Self(m, input, output, sums) = self;
            for (i, output) in output.chunks_exact_mut(m.maps).enumerate() {
                m.window_sums(i, m.norm.size / 2, sums, |j| input[j] * input[j]);
                let input = &input[i * m.maps..];
                for ((o, a), sum) in output.iter_mut().zip(input).zip(&*sums) {
                    *o = a * m.inverse_power(m.norm.k + m.norm.alpha * sum);
                }
            }
        }
    }
    let image = side * side * maps;
    let (_, own) = machine.scratch.get(0, maps)?;
    let set = machine.set;
    machine.pool.install(|| {
        output.par_chunks_mut(image).zip(input.par_chunks(image)).for_each(|(output, input)| {
            // SAFETY: one call in a task without parallel work.
            let sums = unsafe { own.own() };
            set.run(Forward(Maps { norm, side, maps }, input, output, sums));
        });
    });
    Ok(())
}

/// The gradient of [`map_forward`].
pub(crate) fn map_backward(
    machine: &mut Machine,
    norm: &Norm,
    side: usize,
    maps: usize,
    input: &[f32],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<()> {
    struct Backward<'a>(Maps<'a>, &'a [f32], &'a [f32], &'a mut [f32], &'a mut [f32]);
    impl Work for Backward<'_> {
        #[inline(always)]
        fn run(self) {
            let Self(m, a, g, d, memory) = self;
            let (sums, shares) = memory.split_at_mut(m.maps);
            let before = m.norm.size / 2;
            for i in 0..m.side * m.side {
                m.window_sums(i, before, sums, |j| a[j] * a[j]);
                let maps = i * m.maps..(i + 1) * m.maps;
                let (a, g) = (&a[maps.clone()], &g[maps.clone()]);
                let (d, shares) = (&mut d[maps.clone()], &mut shares[maps]);
                for (c, sum) in sums.iter().enumerate() {
                    let s = m.norm.k + m.norm.alpha * sum;
                    d[c] = g[c] * m.inverse_power(s);
                    shares[c] = d[c] * a[c] / s;
                }
            }
            let factor = 2.0 * m.norm.alpha * m.norm.beta;
            for i in 0..m.side * m.side {
                m.window_sums(i, m.norm.size - 1 - before, sums, |j| shares[j]);
                for c in 0..m.maps {
                    d[i * m.maps + c] -= factor * a[i * m.maps + c] * sums[c];
                }
            }
        }
    }
    let image = side * side * maps;
    let (_, own) = machine.scratch.get(0, maps + image)?;
    let set = machine.set;
    machine.pool.install(|| {
        let sources = input.par_chunks(image).zip(output_gradient.par_chunks(image));
        input_gradient.par_chunks_mut(image).zip(sources).for_each(|(to, (input, from))| {
            // SAFETY: one call in a task without parallel work.
            let memory = unsafe { own.own() };
            set.run(Backward(Maps { norm, side, maps }, input, from, to, memory));
        });
    });
    Ok(())
}

/// Windows of positions in one image.
struct Maps<'a> {
    norm: &'a Norm,
    side: usize,
    maps: usize,
}

impl Maps<'_> {
    #[inline(always)]
    fn inverse_power(&self, s: f32) -> f32 {
        if self.norm.beta == 0.75 {
            inverse_power::<true>(s, self.norm.beta)
        } else {
            inverse_power::<false>(s, self.norm.beta)
        }
    }

    /// For each map the sum of `term` (of an element's index) over the window that has `before` rows and columns
    /// before position `i`, clipped.
    #[inline(always)]
    fn window_sums(&self, i: usize, before: usize, sums: &mut [f32], term: impl Fn(usize) -> f32) {
        let range = |p: usize| p.saturating_sub(before)..(p + self.norm.size - before).min(self.side);
        sums.fill(0.0);
        for y in range(i / self.side) {
            for x in range(i % self.side) {
                let start = (y * self.side + x) * self.maps;
                for (c, sum) in sums.iter_mut().enumerate() {
                    *sum += term(start + c);
                }
            }
        }
    }
}
