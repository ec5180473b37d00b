//! From the loader's pixels to the net's input.

use crate::isa::{InstructionSet, Work};
use ilsvrc_network::{Input, View};
use rayon::ThreadPool;
use rayon::prelude::*;

/// Channels of a pixel.
const CHANNELS: usize = 3;

/// Pixels that are worked on together: whole vectors of each of the three channels.
const PIXELS: usize = 16;

/// Writes the views of an input (which `ilsvrc_network::Executor` has checked) to `out`, `crop x crop x 3` each.
pub(crate) fn load(pool: &ThreadPool, set: InstructionSet, input: &Input, crop: usize, out: &mut [f32]) {
    let image = input.side * input.side * CHANNELS;
    pool.install(|| {
        out.par_chunks_exact_mut(crop * CHANNELS).enumerate().for_each(|(row, out)| {
            let (view, y) = (&input.views[row / crop], row % crop);
            let start = |corner: [u16; 2], side: usize| {
                ((usize::from(corner[0]) + y) * side + usize::from(corner[1])) * CHANNELS
            };
            let pixels = &input.pixels[view.image as usize * image..][..image];
            let pixels = &pixels[start(view.crop, input.side)..][..crop * CHANNELS];
            let mean = &input.mean[start(view.mean, input.mean_side)..][..crop * CHANNELS];
            set.run(Row { pixels, mean, view, out });
        });
    });
}

/// A row of a view.
struct Row<'a> {
    pixels: &'a [u8],
    mean: &'a [f32],
    view: &'a View,
    out: &'a mut [f32],
}

impl Work for Row<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { pixels, mean, view, out } = self;
        let colours: [f32; PIXELS * CHANNELS] = std::array::from_fn(|i| view.colour[i % CHANNELS]);
        let sources = pixels.chunks(colours.len()).zip(mean.chunks(colours.len()));
        for (out, (pixels, mean)) in out.chunks_mut(colours.len()).zip(sources) {
            for (((out, pixel), mean), colour) in out.iter_mut().zip(pixels).zip(mean).zip(&colours) {
                *out = f32::from(*pixel) - mean + colour;
            }
        }
        if view.mirror {
            out.as_chunks_mut::<CHANNELS>().0.reverse();
        }
    }
}
