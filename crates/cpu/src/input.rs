//! From the loader's pixels to the net's input.

use ilsvrc_network::{Input, View};
use rayon::ThreadPool;
use rayon::prelude::*;

/// Channels of a pixel.
const CHANNELS: usize = 3;

/// Writes the views of an input (which `ilsvrc_network::Executor` has checked) to `out`, `crop x crop x 3` each.
pub(crate) fn load(pool: &ThreadPool, input: &Input, crop: usize, out: &mut [f32]) {
    let image = input.side * input.side * CHANNELS;
    pool.install(|| {
        out.par_chunks_exact_mut(crop * crop * CHANNELS).zip(input.views).for_each(|(out, view)| {
            let pixels = &input.pixels[view.image as usize * image..][..image];
            write(input, view, pixels, crop, out);
        });
    });
}

fn write(input: &Input, view: &View, pixels: &[u8], crop: usize, out: &mut [f32]) {
    for (y, out) in out.chunks_exact_mut(crop * CHANNELS).enumerate() {
        let start = |corner: [u16; 2], side: usize| {
            ((usize::from(corner[0]) + y) * side + usize::from(corner[1])) * CHANNELS
        };
        let pixels = &pixels[start(view.crop, input.side)..][..crop * CHANNELS];
        let mean = &input.mean[start(view.mean, input.mean_side)..][..crop * CHANNELS];
        let (pixels, mean) = (pixels.as_chunks::<CHANNELS>().0, mean.as_chunks::<CHANNELS>().0);
        let row = out.as_chunks_mut::<CHANNELS>().0;
        let see = |out: &mut [f32; CHANNELS], pixel: &[u8; CHANNELS], mean: &[f32; CHANNELS]| {
            *out = std::array::from_fn(|c| f32::from(pixel[c]) - mean[c] + view.colour[c]);
        };
        let sources = pixels.iter().zip(mean);
        if view.mirror {
            row.iter_mut().rev().zip(sources).for_each(|(out, (pixel, mean))| see(out, pixel, mean));
        } else {
            row.iter_mut().zip(sources).for_each(|(out, (pixel, mean))| see(out, pixel, mean));
        }
    }
}
