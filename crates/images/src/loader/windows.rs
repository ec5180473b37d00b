//! Reads the shards of windows from end to end, a window ahead of use. They go to memory of our own rather than to be warmed
//! in the system's: its size is known (two windows), nothing can push it out before it is used, and mounts that the
//! system does not cache are read once.

use std::collections::HashMap;
use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;

use ilsvrc_diagnostics::{Error, OUT_OF_MEMORY, Result};

use super::Work;
use super::order::Window;
use super::queue::Compressed;
use super::shards::Shards;
use crate::ImageRef;

/// Bytes of a read. Large enough for any disk and mount; between two, the thread sees that it is to stop.
const BLOCK: usize = 4 << 20;

/// Windows in memory: one in use, one being read.
pub(super) const WINDOWS: usize = 2;

/// The shards of a window.
#[derive(Default)]
pub(super) struct Memory {
    bytes: Vec<u8>,
    /// Where each shard begins.
    starts: HashMap<u32, usize>,
}

/// Refuses windows that do not fit into `available` bytes.
pub(super) fn check(windows: &[Window], shard_bytes: &[u64], available: Option<u64>) -> Result<()> {
    let size = |window: &Window| {
        window.shards.iter().fold(0u64, |sum, &shard| sum.saturating_add(shard_bytes[shard as usize]))
    };
    let needed = windows.iter().map(size).max().unwrap_or(0).saturating_mul(WINDOWS as u64);
    match available {
        Some(available) if needed > available => Err(too_large(needed, Some(available))),
        _ => Ok(()),
    }
}

fn too_large(needed: u64, available: Option<u64>) -> Error {
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    let error = Error::new(
        OUT_OF_MEMORY,
        format!("{WINDOWS} windows of shards take {} MB of memory", megabytes(needed)),
    )
    .hint("take fewer shards: `--shuffle window:1` has the smallest windows, `--shuffle full` has none");
    match available {
        Some(available) => error.info(format!("{} MB are available", megabytes(available))),
        None => error,
    }
}

/// The thread that reads: fills memories from `empty` and passes them on, one for each window that is needed.
pub(super) fn fetch(work: &Work, empty: &Receiver<Memory>, full: &SyncSender<Result<Memory>>) {
    let mut shards = Shards::new(work.dataset.shard_paths(&work.options.split), system::expect_sequential);
    for window in work.order.windows.iter().filter(|window| work.needs(window)) {
        // Whoever would use them is gone when a channel is closed.
        let Ok(mut memory) = empty.recv() else { return };
        let begin = Instant::now();
        match fill(work, window, &mut shards, &mut memory) {
            Ok(false) => return,
            Ok(true) => {
                work.queue.count_read(window.places.len(), begin.elapsed().as_secs_f64());
                if full.send(Ok(memory)).is_err() {
                    return;
                }
            }
            Err(error) => {
                let _ = full.send(Err(error));
                return;
            }
        }
    }
}

/// Reads a window; false when the loader was stopped meanwhile.
fn fill(work: &Work, window: &Window, shards: &mut Shards, memory: &mut Memory) -> Result<bool> {
    let images = work.images();
    memory.starts.clear();
    let mut total = 0;
    for &shard in &window.shards {
        // Shards of which all images are cached are not needed: what was cached stays so.
        let mut indices = work.order.images[window.places.clone()].iter();
        if indices.any(|&index| images[index as usize].shard == shard && !work.is_cached(index)) {
            memory.starts.insert(shard, total);
            total += work.shard_bytes[shard as usize] as usize;
        }
    }
    let missing = total.saturating_sub(memory.bytes.len());
    memory.bytes.try_reserve_exact(missing).map_err(|_| too_large(total as u64 * WINDOWS as u64, None))?;
    memory.bytes.resize(memory.bytes.len().max(total), 0);
    for &shard in &window.shards {
        let Some(&start) = memory.starts.get(&shard) else { continue };
        let bytes = &mut memory.bytes[start..][..work.shard_bytes[shard as usize] as usize];
        for (number, block) in bytes.chunks_mut(BLOCK).enumerate() {
            if work.queue.is_stopped() {
                return Ok(false);
            }
            let read = shards.read(shard, (number * BLOCK) as u64, block);
            read.map_err(|error| shards.failed(shard, "its end mark", &error))?;
        }
    }
    Ok(true)
}

/// The reader's side: cuts batches out of windows.
pub(super) struct Windows<'a> {
    windows: &'a [Window],
    /// The window in use: its number and its shards.
    current: Option<(usize, Memory)>,
    empty: SyncSender<Memory>,
    full: Receiver<Result<Memory>>,
}

impl<'a> Windows<'a> {
    /// Takes windows that [`fetch`] fills.
    pub(super) fn new(
        windows: &'a [Window],
        empty: SyncSender<Memory>,
        full: Receiver<Result<Memory>>,
    ) -> Self {
        Self { windows, current: None, empty, full }
    }

    /// Copies the `wanted` images of `batch`, whose first place in the epoch is `start`; false when the loader was stopped.
    pub(super) fn read(
        &mut self,
        images: &[ImageRef],
        (start, batch): (usize, &[u32]),
        wanted: impl Fn(u32) -> bool,
        out: &mut Compressed,
    ) -> Result<bool> {
        out.bytes.clear();
        out.spans.clear();
        for (place, &index) in (start..).zip(batch) {
            let Some(memory) = self.window_of(place)? else { return Ok(false) };
            let image = &images[index as usize];
            let from = out.bytes.len();
            if let Some(&shard) = memory.starts.get(&image.shard)
                && wanted(index)
            {
                let bytes = &memory.bytes[shard + image.offset as usize..][..image.length as usize];
                out.bytes.extend_from_slice(bytes);
            }
            out.spans.push(from..out.bytes.len());
        }
        Ok(true)
    }

    /// The window that has `place`; windows before it are given back.
    fn window_of(&mut self, place: usize) -> Result<Option<&Memory>> {
        let in_use = self.current.as_ref().map(|(number, _)| *number);
        if in_use.is_none_or(|number| place >= self.windows[number].places.end) {
            if let Some((_, memory)) = self.current.take() {
                // Nobody needs it after the last window.
                let _ = self.empty.send(memory);
            }
            let number = self.windows.partition_point(|window| window.places.end <= place);
            let Ok(memory) = self.full.recv() else { return Ok(None) };
            self.current = Some((number, memory?));
        }
        Ok(self.current.as_ref().map(|(_, memory)| memory))
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::File;
    use rustix::fs::{Advice, fadvise};

    /// The system may read ahead twice as far.
    pub(super) fn expect_sequential(file: &File) {
        // Advice: where a file system takes none, nothing is lost.
        let _ = fadvise(file, 0, None, Advice::Sequential);
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::File;

    pub(super) fn expect_sequential(_: &File) {}
}
