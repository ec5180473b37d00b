//! The thread that reads compressed images, batch after batch.

use std::sync::mpsc::sync_channel;
use std::time::Instant;

use ilsvrc_diagnostics::Result;

use super::Work;
use super::queue::{Compressed, Job};
use super::scattered::Scattered;
use super::windows::{self, Memory, Windows};

pub(super) fn run(work: &Work) {
    if work.order.windows.is_empty() {
        let mut scattered = Scattered::new(work.dataset.shard_paths(&work.options.split));
        batches(work, |number, out| {
            let begin = Instant::now();
            let batch = work.batch(number);
            scattered.read(work.images(), batch, |index| !work.is_cached(index), out)?;
            work.queue.count_read(batch.len(), begin.elapsed().as_secs_f64());
            Ok(true)
        });
        return;
    }
    let (give_back, empty) = sync_channel(windows::WINDOWS);
    let (fetched, full) = sync_channel(windows::WINDOWS);
    for _ in 0..windows::WINDOWS {
        // The channel has room for them.
        let _ = give_back.send(Memory::default());
    }
    // When either side ends, its channels close and the other ends too.
    std::thread::scope(|scope| {
        scope.spawn(move || windows::fetch(work, &empty, &fetched));
        let mut windows = Windows::new(&work.order.windows, give_back, full);
        batches(work, |number, out| {
            let batch = (work.places(number).start, work.batch(number));
            windows.read(work.images(), batch, |index| !work.is_cached(index), out)
        });
    });
}

/// Reads the batches in their order by `read`, which says false when it was stopped.
fn batches(work: &Work, mut read: impl FnMut(usize, &mut Compressed) -> Result<bool>) {
    for number in work.queue.first()..work.batches() {
        let Some((mut compressed, batch)) = work.queue.buffers(number) else { return };
        match read(number, &mut compressed) {
            Ok(true) => work.queue.push(Job { number, compressed, batch }),
            Ok(false) => return,
            Err(error) => return work.queue.finish(number, Err(error)),
        }
    }
    work.queue.end();
}
