//! The threads that decode and cut, a batch each.

use std::time::Instant;

use ilsvrc_diagnostics::{Error, Result, SHARD_CORRUPT};

use super::queue::Job;
use super::{Batch, LoadMode, Work};
use crate::Decoder;

pub(super) fn run(work: &Work) {
    let mut decoder = Decoder::new();
    let size = work.dataset.manifest().size;
    let mut whole = vec![0; size * size * 3];
    while let Some(mut job) = work.queue.pop() {
        let begin = Instant::now();
        let batch = std::mem::take(&mut job.batch);
        let result = decode(work, &job, batch, &mut decoder, &mut whole);
        let seconds = begin.elapsed().as_secs_f64();
        work.queue.return_compressed(job.bytes, job.ends, seconds);
        match result {
            Ok(None) => return,
            Ok(Some(batch)) => work.queue.finish(job.number, Ok(batch)),
            Err(error) => work.queue.finish(job.number, Err(error)),
        }
    }
}

/// Fills `batch`; nothing when the loader was stopped meanwhile.
fn decode(
    work: &Work,
    job: &Job,
    mut batch: Batch,
    decoder: &mut Decoder,
    whole: &mut [u8],
) -> Result<Option<Batch>> {
    let (size, side) = (work.dataset.manifest().size, work.side());
    let images = work.dataset.images(&work.options.split)?;
    let indices = work.batch(job.number);
    batch.n = indices.len();
    batch.side = side;
    let image = side * side * 3;
    batch.pixels.resize(batch.n * image, work.options.batch.min(work.order.len()) * image, &work.memory)?;
    batch.indices.clear();
    batch.indices.extend_from_slice(indices);
    batch.labels.clear();
    batch.labels.extend(indices.iter().map(|&index| images[index as usize].class));
    batch.views.clear();
    batch.views.extend(indices.iter().map(|&index| work.view(index)));
    let mut start = 0;
    for (i, pixels) in batch.pixels.chunks_exact_mut(side * side * 3).enumerate() {
        if work.queue.is_stopped() {
            return Ok(None);
        }
        let jpeg = &job.bytes[start..job.ends[i]];
        start = job.ends[i];
        let target = if side == size { &mut *pixels } else { &mut *whole };
        decoder.decode_square(jpeg, size, target).map_err(|error| {
            let image = &images[indices[i] as usize];
            let shard = &work.dataset.shard_paths(&work.options.split)[image.shard as usize];
            let folder = shard.parent().unwrap_or(shard);
            Error::new(SHARD_CORRUPT, format!("{}.jpg of {} cannot be decoded", image.key, shard.display()))
                .info(error.message)
                .hint(crate::index::check_hint(folder))
        })?;
        if let LoadMode::Train { .. } = work.options.mode
            && side < size
        {
            let [top, left] = batch.views[i].mean.map(usize::from);
            cut(whole, size, top, left, pixels, side);
        }
    }
    Ok(Some(batch))
}

/// Copies the `side` x `side` pixels at (`top`, `left`).
fn cut(whole: &[u8], size: usize, top: usize, left: usize, out: &mut [u8], side: usize) {
    for (row, line) in out.chunks_exact_mut(side * 3).enumerate() {
        let start = ((top + row) * size + left) * 3;
        line.copy_from_slice(&whole[start..start + side * 3]);
    }
}
