//! A convolution of photos and the max pool behind it, an image at a time, while a net learns: the maps between them, the
//! largest of a small net, stay in a cache and are never stored, nor is their gradient. What is kept of them is where the
//! largest of each window is, as only these positions have a gradient: of windows of `3 x 3`, two apart, one in four.
//!
//! The gradient of a map's weights is then a sum of patches of the photo, each times a number. A patch is what the
//! convolution reads for one position: for each row of a kernel 15 numbers, a vector with a place to spare. A 1 lies there,
//! so that its sum is the gradient of the bias.

use super::few_weights::PARTS;
use super::winograd::{COLOURS, Photos, SIZE, TILE};
use super::{Convolution, Padded, Shape};
use crate::arena::{Block, Shared};
use crate::backend::Machine;
use crate::gemm::{Finish, STORE, Vector, VectorWork, run_on_vectors};
use crate::isa::Work;
use crate::kept::Kept;
use crate::pool::{CHUNK, covered};
use ilsvrc_diagnostics::Result;
use ilsvrc_network::{Activation, BufferId, Op, Plan, PoolKind, Stage, Window};
use rayon::prelude::*;
use std::ops::Range;

/// Numbers of a kernel's row.
const RUN: usize = SIZE * COLOURS;

/// The same and what makes them whole vectors of any instruction set.
const ROW: usize = 16;

/// The gradients of a map: rows of its kernel, with that of the bias behind the first.
const KERNEL: usize = SIZE * ROW;

/// The convolution of a plan that is computed with its pool.
pub(crate) struct Pooled {
    /// What the convolution reads.
    padded: Padded,
    photos: Photos,
    activation: Activation,
    pool: Window,
    /// The maps between the two, and their gradient. Nothing is in these buffers.
    maps: BufferId,
    gradient: BufferId,
    /// What the pool writes.
    pub(crate) output: BufferId,
    /// The gradient of that.
    pub(crate) output_gradient: BufferId,
    /// For each number that the pool writes the offset of the patch that it comes from, as the bits of an f32.
    winners: Block,
}

impl Pooled {
    /// The convolution of photos of a tower that learns, if only a max pool behind it and their gradients use what it writes.
    pub(crate) fn of(plan: &Plan, tower: usize, way: Convolution) -> Result<Option<Self>> {
        fn pairs(stages: &[Stage], tower: usize) -> impl Iterator<Item = &[Op]> {
            stages.iter().flat_map(move |stage| match stage {
                Stage::Compute(ops) => ops[tower].windows(2),
                Stage::Exchange(_) => [].windows(2),
            })
        }
        let layers = pairs(&plan.forward, tower).find_map(|pair| match *pair {
            [
                Op::Conv { window, in_maps, out_maps, output: maps, activation, .. },
                Op::Pool { kind: PoolKind::Max, window: pool, input, output, .. },
            ] if input == maps && activation != Activation::Tanh => {
                let shape = Shape { window, in_maps, out_maps };
                way.of_photos(&shape).map(|photos| (photos, shape.read(), activation, pool, maps, output))
            }
            _ => None,
        });
        let Some((photos, padded, activation, pool, maps, output)) = layers else { return Ok(None) };
        // One directly behind the other, or what the first one reads might be gone.
        let gradients = pairs(&plan.backward, tower).find_map(|pair| match *pair {
            [
                Op::PoolGradient { input, output_gradient, input_gradient, activation: before, .. },
                Op::ConvWeightGradient { output_gradient: gradient, .. },
            ] if input == maps && before == activation && gradient == input_gradient => {
                Some((output_gradient, gradient))
            }
            _ => None,
        });
        let Some((output_gradient, gradient)) = gradients else { return Ok(None) };
        let stages = || plan.forward.iter().chain(&plan.backward);
        let uses = |buffer| {
            let read_by_users = plan.towers[tower].outputs.iter().filter(|output| output.buffer == buffer);
            let operands = stages().flat_map(|stage| stage.operands(tower));
            operands.filter(|(id, _)| *id == buffer).count() + read_by_users.count()
        };
        if [uses(maps), uses(gradient)] != [3, 2] {
            return Ok(None);
        }
        let winners = plan.batch * pool.output * pool.output * photos.maps;
        let winners = Block::zeroed(winners, "where the largest of each window is")?;
        Ok(Some(Self { padded, photos, activation, pool, maps, gradient, output, output_gradient, winners }))
    }

    /// Whether this op is one of those that are computed together: the convolution with its pool, the gradient of the weights
    /// with that of the pool. Of the pools themselves nothing is left to do.
    pub(crate) fn takes(&self, op: &Op) -> bool {
        match op {
            Op::Conv { output, .. } => *output == self.maps,
            Op::Pool { input, .. } | Op::PoolGradient { input, .. } => *input == self.maps,
            Op::ConvWeightGradient { output_gradient, .. } => *output_gradient == self.gradient,
            _ => false,
        }
    }

    /// Elements that the pool writes of an image.
    pub(crate) fn elements(&self) -> usize {
        self.pool.output * self.pool.output * self.photos.maps
    }

    fn patches(&self) -> Patches {
        Patches { padded: self.padded, columns: self.photos.side }
    }

    /// `output = pool(activation(conv(input, weights) + bias))`
    pub(crate) fn forward(
        &mut self,
        machine: &mut Machine,
        batch: usize,
        input: &[f32],
        weights: (&[f32], Option<&mut Kept>),
        bias: &[f32],
        output: &mut [f32],
    ) -> Result<()> {
        let Self { photos, pool, activation, .. } = *self;
        let Photos { side, maps, .. } = photos;
        let set = machine.set;
        // Where images are few, each is cut into bands; rows of tiles at their edges are computed twice.
        let bands = (2 * machine.pool.current_num_threads()).div_ceil(batch).min(pool.output);
        let band = |band: usize| pool.output * band / bands..pool.output * (band + 1) / bands;
        let tiles_under = |rows: &Range<usize>| {
            covered(&pool, rows.start).start / TILE..covered(&pool, rows.end - 1).end.div_ceil(TILE)
        };
        let most = (0..bands).map(|i| tiles_under(&band(i)).len()).max().unwrap_or(0);
        let between = most * TILE * side * maps;
        let (kernels, own) = photos.kernels(set, machine.scratch, weights, between + photos.memory(most))?;
        // What ReLU leaves of the largest is the larger of that and 0.
        let least = if activation == Activation::Relu { 0.0 } else { f32::NEG_INFINITY };
        let finish = Finish { bias: Some(bias), ..STORE };
        let patches = self.patches();
        let winners = Shared::new(&mut self.winners);
        let output = Shared::new(output);
        machine.pool.install(|| {
            (0..batch * bands).into_par_iter().for_each(|task| {
                let (image, rows) = (task / bands, band(task % bands));
                let tiles = tiles_under(&rows);
                let first = tiles.start * TILE;
                // SAFETY: one call in a task without parallel work.
                let (between, memory) = unsafe { own.own() }.split_at_mut(between);
                let photo = &input[image * patches.padded.stored()..][..patches.padded.stored()];
                photos.convolve(set, kernels, finish, photo, tiles, memory, between);
                let row = pool.output * maps;
                let written =
                    (image * pool.output + rows.start) * row..(image * pool.output + rows.end) * row;
                // SAFETY: these rows are this task's alone.
                let (output, winners) = unsafe { (output.slice(written.clone()), winners.slice(written)) };
                set.run(Largest { patches, pool, maps, rows, first, between, output, winners, least });
            });
        });
        Ok(())
    }

    /// The gradients of the weights and biases, from that of what the pool wrote in the last pass forward.
    pub(crate) fn weight_gradient(
        &self,
        machine: &mut Machine,
        batch: usize,
        input: &[f32],
        output_gradient: &[f32],
        weights_gradient: &mut [f32],
        bias_gradient: &mut [f32],
    ) -> Result<()> {
        let patches = self.patches();
        let maps = self.photos.maps;
        let pooled = self.pool.output;
        let parts = PARTS.min(batch);
        // The last patch is read with what lies behind its row. What follows begins a cache line, as its vectors do.
        let row = (patches.padded.width * COLOURS + ROW).next_multiple_of(ROW);
        let (all_sums, own) = machine.scratch.get(parts * maps * KERNEL, row + patches.elements())?;
        let set = machine.set;
        let winners = &self.winners[..];
        machine.pool.install(|| {
            all_sums.par_chunks_exact_mut(maps * KERNEL).enumerate().for_each(|(part, sums)| {
                // SAFETY: one call in a task without parallel work.
                let (row, memory) = unsafe { own.own() }.split_at_mut(row);
                memory[patches.zeros()..].fill(0.0);
                sums.fill(0.0);
                let elements = pooled * pooled * maps;
                for n in batch * part / parts..batch * (part + 1) / parts {
                    let stored = patches.padded.stored();
                    set.run(Spread {
                        patches,
                        photo: &input[n * stored..][..stored],
                        row: &mut *row,
                        to: &mut *memory,
                    });
                    let image = n * elements..(n + 1) * elements;
                    run_on_vectors(
                        set,
                        Sum {
                            patches: &*memory,
                            row: patches.row(),
                            pooled,
                            maps,
                            winners: &winners[image.clone()],
                            gradients: &output_gradient[image],
                            sums: &mut *sums,
                        },
                    );
                }
            });
        });
        let (all, others) = all_sums.split_at_mut(maps * KERNEL);
        machine.pool.install(|| {
            all.par_chunks_exact_mut(KERNEL).enumerate().for_each(|(map, kernel)| {
                for sums in others.chunks_exact(maps * KERNEL) {
                    let sums = &sums[map * KERNEL..][..KERNEL];
                    kernel.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
                }
            });
        });
        for (map, kernel) in all.chunks_exact(KERNEL).enumerate() {
            bias_gradient[map] = kernel[RUN];
            for (i, gradient) in weights_gradient[map..].iter_mut().step_by(maps).enumerate() {
                *gradient = kernel[i / RUN * ROW + i % RUN];
            }
        }
        Ok(())
    }
}

/// The patches of a photo: for each row of the padded photo, and each column of windows in it, a kernel's row. Behind them are
/// zeros: the patch of what has no gradient.
#[derive(Clone, Copy)]
struct Patches {
    padded: Padded,
    /// Windows of a row.
    columns: usize,
}

impl Patches {
    /// Numbers of a row of the photo.
    fn row(&self) -> usize {
        self.columns * ROW
    }

    /// Where the zeros begin.
    fn zeros(&self) -> usize {
        self.padded.width * self.row()
    }

    fn elements(&self) -> usize {
        self.zeros() + SIZE * self.row()
    }

    /// Where the patch of a window begins; its rows are a row of the photo apart.
    #[inline(always)]
    fn offset(&self, y: usize, x: usize) -> u32 {
        (y * self.row() + x * ROW) as u32
    }
}

/// Copies a photo's patches, but for the zeros.
struct Spread<'a> {
    patches: Patches,
    photo: &'a [f32],
    /// Memory for a row of the padded photo.
    row: &'a mut [f32],
    to: &'a mut [f32],
}

impl Work for Spread<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { patches, photo, row, to } = self;
        let width = patches.padded.width * COLOURS;
        for (y, to) in to.chunks_exact_mut(patches.row()).take(patches.padded.width).enumerate() {
            patches.padded.copy(photo, y, &mut row[..width]);
            let windows = row.windows(ROW).step_by(COLOURS);
            for (to, from) in to.as_chunks_mut::<ROW>().0.iter_mut().zip(windows) {
                to.copy_from_slice(from);
                to[RUN] = 1.0;
            }
        }
    }
}

/// Finds the largest of each window.
struct Largest<'a> {
    patches: Patches,
    pool: Window,
    maps: usize,
    /// Rows of the pool's output.
    rows: Range<usize>,
    /// First row of `between`.
    first: usize,
    between: &'a [f32],
    output: &'a mut [f32],
    winners: &'a mut [f32],
    /// What all are compared with: a window without a larger one has no winner.
    least: f32,
}

impl Work for Largest<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { patches, pool, maps, rows, first, between, output, winners, least } = self;
        let none = patches.zeros() as u32;
        for (i, out) in output.chunks_exact_mut(maps).enumerate() {
            let ys = covered(&pool, rows.start + i / pool.output);
            let xs = covered(&pool, i % pool.output);
            for map in (0..maps).step_by(CHUNK) {
                let count = CHUNK.min(maps - map);
                let mut largest = [least; CHUNK];
                let mut winner = [none; CHUNK];
                for y in ys.clone() {
                    for x in xs.clone() {
                        let offset = patches.offset(y, x);
                        let values = &between[((y - first) * pool.input + x) * maps + map..][..count];
                        // Masks of bits are computed on vectors, where branches are not.
                        let mut one = |c: usize, value: f32| {
                            let larger = u32::from(value > largest[c]).wrapping_neg();
                            largest[c] = if value > largest[c] { value } else { largest[c] };
                            winner[c] = winner[c] & !larger | offset & larger;
                        };
                        match <&[f32; CHUNK]>::try_from(values) {
                            Ok(values) => (0..CHUNK).for_each(|c| one(c, values[c])),
                            Err(_) => (0..count).for_each(|c| one(c, values[c])),
                        }
                    }
                }
                store(largest, &mut out[map..][..count]);
                store(winner.map(f32::from_bits), &mut winners[i * maps + map..][..count]);
            }
        }
    }
}

/// Stores what there is room for, at once where that is all: a copy of unknown length is a call.
#[inline(always)]
fn store(values: [f32; CHUNK], to: &mut [f32]) {
    match <&mut [f32; CHUNK]>::try_from(&mut *to) {
        Ok(to) => *to = values,
        Err(_) => to.copy_from_slice(&values[..to.len()]),
    }
}

/// Adds an image's patches to the sums of all maps.
struct Sum<'a> {
    patches: &'a [f32],
    /// From a row of patches to the next.
    row: usize,
    /// Side of the pooled maps.
    pooled: usize,
    maps: usize,
    winners: &'a [f32],
    gradients: &'a [f32],
    sums: &'a mut [f32],
}

impl VectorWork for Sum<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { patches, row, pooled, maps, winners, gradients, sums } = self;
        let last = patches.len() - (SIZE - 1) * row - ROW;
        let band = pooled * maps;
        for (winners, gradients) in winners.chunks_exact(band).zip(gradients.chunks_exact(band)) {
            for (map, sums) in sums.chunks_exact_mut(KERNEL).enumerate() {
                // SAFETY: on a processor that has `V`; all rows of a patch lie in `patches`, as checked.
                unsafe {
                    let mut kernel = [[V::splat(0.0); ROW / 4]; SIZE];
                    for (y, kernel) in kernel.iter_mut().enumerate() {
                        for (v, vector) in kernel[..ROW / V::LANES].iter_mut().enumerate() {
                            *vector = V::load(sums.as_ptr().add(y * ROW + v * V::LANES));
                        }
                    }
                    for x in 0..pooled {
                        let offset = winners.get_unchecked(x * maps + map).to_bits() as usize;
                        let gradient = V::splat(*gradients.get_unchecked(x * maps + map));
                        let patch = patches.as_ptr().add(offset.min(last));
                        for (y, kernel) in kernel.iter_mut().enumerate() {
                            for (v, vector) in kernel[..ROW / V::LANES].iter_mut().enumerate() {
                                let numbers = V::load(patch.add(y * row + v * V::LANES));
                                *vector = vector.add_product(gradient, numbers);
                            }
                        }
                    }
                    for (y, kernel) in kernel.iter().enumerate() {
                        for (v, vector) in kernel[..ROW / V::LANES].iter().enumerate() {
                            vector.store(sums.as_mut_ptr().add(y * ROW + v * V::LANES));
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ilsvrc_network::{Layer, Net, Use, examples};

    fn is_pooled(net: &Net, use_: Use) -> bool {
        let plan = Plan::new(net, 2, use_).unwrap();
        Pooled::of(&plan, 0, Convolution::Automatic).unwrap().is_some()
    }

    #[test]
    fn only_what_nobody_else_reads_is_not_stored() {
        let nets = [examples::cifar_80sec(), examples::cifar_18pct(), examples::cifar_11pct()];
        assert!(nets.iter().all(|net| is_pooled(net, Use::Training)));
        assert!(
            !nets.iter().any(|net| is_pooled(net, Use::Inference)),
            "the photos are gone when the pool writes"
        );
        assert!(!is_pooled(&examples::alexnet(), Use::Training), "another size, and a norm between");
        let changed = |change: fn(&mut Vec<Layer>)| {
            let mut net = examples::cifar_80sec();
            change(&mut net.layers);
            is_pooled(&net, Use::Training)
        };
        assert!(changed(|_| ()));
        assert!(!changed(|layers| layers.insert(1, Layer::Tanh)));
        assert!(!changed(|layers| layers.insert(1, examples::lrn())));
        assert!(!changed(|layers| layers[1] = Layer::AvgPool { size: 3, stride: 2 }));
        let another = |layers: &mut Vec<Layer>| layers.insert(0, examples::conv("conv0", 3, 5, 1, 2, 0.0));
        assert!(!changed(another), "its input has a gradient too");
        assert!(!changed(|layers| layers[0] = examples::conv("conv1", 32, 7, 1, 3, 0.0)));
    }
}
