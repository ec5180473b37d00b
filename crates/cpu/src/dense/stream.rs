//! Dense layers of few images: the weights come from memory once, in the order in which they lie there.

use super::Shape;
use crate::backend::Machine;
use crate::isa::Work;
use ilsvrc_diagnostics::Result;
use ilsvrc_network::Activation;
use rayon::prelude::*;

/// Rows of weights of a task: 0.5 MiB of a layer of 2048 outputs.
const STREAMED_ROWS: usize = 64;

/// Outputs of a task that adds shares.
const SUMMED_OUTPUTS: usize = 256;

/// As [`super::forward`]. A task reads some rows of the weights from end to end, as a memory likes it best, and
/// leaves their share of all outputs; shares are added in the order of the rows.
pub(super) fn forward(
    machine: &mut Machine,
    shape: Shape,
    batch: usize,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    activation: Activation,
    output: &mut [f32],
) -> Result<()> {
    let Shape { inputs, outputs } = shape;
    let set = machine.set;
    let (shares, _) = machine.scratch.get(inputs.div_ceil(STREAMED_ROWS) * batch * outputs, 0)?;
    machine.pool.install(|| {
        let tasks =
            shares.par_chunks_exact_mut(batch * outputs).zip(weights.par_chunks(STREAMED_ROWS * outputs));
        tasks.enumerate().for_each(|(i, (shares, weights))| {
            set.run(StreamedRows { input: &input[i * STREAMED_ROWS..], inputs, weights, outputs, shares });
        });
        output.par_chunks_mut(SUMMED_OUTPUTS).enumerate().for_each(|(i, sums)| {
            set.run(AddShares { shares, first: i * SUMMED_OUTPUTS, total: batch * outputs, sums });
        });
    });
    for output in output.chunks_exact_mut(outputs) {
        output.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
    }
    crate::elementwise::activate(machine, activation, output);
    Ok(())
}

/// `shares = input * weights` for a few rows of weights.
struct StreamedRows<'a> {
    /// The first image's inputs, from the first row's on.
    input: &'a [f32],
    /// Elements between images.
    inputs: usize,
    weights: &'a [f32],
    outputs: usize,
    shares: &'a mut [f32],
}

impl Work for StreamedRows<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { input, inputs, weights, outputs, shares } = self;
        shares.fill(0.0);
        for (rows, first) in weights.chunks(4 * outputs).zip((0..).step_by(4)) {
            for (image, sums) in shares.chunks_exact_mut(outputs).enumerate() {
                let x = &input[image * inputs + first..];
                if let [x0, x1, x2, x3, ..] = *x
                    && rows.len() == 4 * outputs
                {
                    let (a, rest) = rows.split_at(outputs);
                    let (b, rest) = rest.split_at(outputs);
                    let (c, d) = rest.split_at(outputs);
                    let rows = a.iter().zip(b).zip(c.iter().zip(d));
                    for (sum, ((a, b), (c, d))) in sums.iter_mut().zip(rows) {
                        *sum += (x0 * a + x1 * b) + (x2 * c + x3 * d);
                    }
                } else {
                    for (x, row) in x.iter().zip(rows.chunks_exact(outputs)) {
                        sums.iter_mut().zip(row).for_each(|(sum, w)| *sum += x * w);
                    }
                }
            }
        }
    }
}

/// `sums[i]` = the sum of element `first + i` of all shares of `total` elements.
struct AddShares<'a> {
    shares: &'a [f32],
    first: usize,
    total: usize,
    sums: &'a mut [f32],
}

impl Work for AddShares<'_> {
    #[inline(always)]
    fn run(self) {
        self.sums.fill(0.0);
        for share in self.shares.chunks_exact(self.total) {
            self.sums.iter_mut().zip(&share[self.first..]).for_each(|(sum, share)| *sum += share);
        }
    }
}
