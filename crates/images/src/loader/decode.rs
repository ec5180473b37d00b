//! The threads that decode and cut, a batch each.

use std::time::Instant;

use ilsvrc_diagnostics::{Error, Result, SHARD_CORRUPT};

use super::queue::Job;
use super::{Batch, LoadMode, Work};
use crate::Decoder;
use crate::cache::Block;

pub(super) fn run(work: &Work) {
    let mut decoder = Decoder::new();
    while let Some(mut job) = work.queue.pop() {
        let begin = Instant::now();
        let batch = std::mem::take(&mut job.batch);
        let result = decode(work, &job, batch, &mut decoder);
        let seconds = begin.elapsed().as_secs_f64();
        work.queue.return_compressed(job.compressed, seconds);
        match result {
            Ok(None) => return,
            Ok(Some(batch)) => work.queue.finish(job.number, Ok(batch)),
            Err(error) => work.queue.finish(job.number, Err(error)),
        }
    }
}

/// Images of the largest batch.
fn most(work: &Work) -> usize {
    let whole = work.options.batch.min(work.order.images.len());
    whole.div_ceil(work.options.part.1)
}

/// Fills `batch`; nothing when the loader was stopped meanwhile.
fn decode(work: &Work, job: &Job, mut batch: Batch, decoder: &mut Decoder) -> Result<Option<Batch>> {
    let (images, side, indices) = (work.images(), work.side(), work.batch(job.number));
    batch.n = indices.len();
    batch.side = side;
    let image = side * side * 3;
    batch.pixels.resize(batch.n * image, most(work) * image, &work.memory)?;
    batch.indices.clear();
    batch.indices.extend_from_slice(indices);
    batch.labels.clear();
    batch.labels.extend(indices.iter().map(|&index| images[index as usize].class));
    batch.views.clear();
    batch.views.extend(indices.iter().map(|&index| work.view(index)));
    let missing = indices.iter().filter(|&&index| !work.is_cached(index)).count();
    let mut block = work.cache.as_ref().map(|cache| cache.reserve(missing));
    for (i, pixels) in batch.pixels.chunks_exact_mut(image).enumerate() {
        if work.queue.is_stopped() {
            return Ok(None);
        }
        let corner = match work.options.mode {
            LoadMode::Train { .. } => batch.views[i].mean.map(usize::from),
            LoadMode::Whole => [0, 0],
        };
        let jpeg = &job.compressed.bytes[job.compressed.spans[i].clone()];
        fill(work, indices[i], jpeg, corner, decoder, block.as_mut(), pixels)
            .map_err(|error| undecodable(work, indices[i], error))?;
    }
    if let Some(block) = block {
        block.keep(&work.options.split);
    }
    Ok(Some(batch))
}

/// Puts the part of image `index` at `corner` into `pixels`: from the cache, by way of the cache, or from the JPEG alone.
fn fill(
    work: &Work,
    index: u32,
    jpeg: &[u8],
    corner: [usize; 2],
    decoder: &mut Decoder,
    block: Option<&mut Block>,
    pixels: &mut [u8],
) -> Result<()> {
    let (size, side) = (work.dataset.manifest().size, work.side());
    if let Some(whole) = work.cached(index) {
        cut(whole, size, corner, pixels, side);
        return Ok(());
    }
    if let Some(whole) = block.and_then(|block| block.place(index)) {
        decoder.decode_square(jpeg, size, whole)?;
        cut(whole, size, corner, pixels, side);
        return Ok(());
    }
    decoder.decode_crop(jpeg, size, corner, side, pixels)
}

/// The error for an image of a shard that does not decode.
fn undecodable(work: &Work, index: u32, error: Error) -> Error {
    let image = &work.images()[index as usize];
    let shard = &work.dataset.shard_paths(&work.options.split)[image.shard as usize];
    let folder = shard.parent().unwrap_or(shard);
    Error::new(SHARD_CORRUPT, format!("{}.jpg of {} cannot be decoded", image.key, shard.display()))
        .info(error.message)
        .hint(crate::index::check_hint(folder))
}

/// Copies the `side` x `side` pixels at (`top`, `left`).
fn cut(whole: &[u8], size: usize, [top, left]: [usize; 2], out: &mut [u8], side: usize) {
    for (row, line) in out.chunks_exact_mut(side * 3).enumerate() {
        let start = ((top + row) * size + left) * 3;
        line.copy_from_slice(&whole[start..start + side * 3]);
    }
}
