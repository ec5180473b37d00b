//! Reads the images of a batch from anywhere in the shards. What is not in memory is asked for all at once, in the order of
//! the disk, before the first is waited for: an SSD or a network mount then works on the whole batch at the same time.

use std::fs::File;
use std::io;

use ilsvrc_diagnostics::Result;

use super::queue::Compressed;
use super::shards::Shards;
use crate::ImageRef;

/// Images of a shard that lie no farther apart are read as one; between neighbours are their labels and tar headers.
const GAP: u64 = 8 << 10;

pub(super) struct Scattered {
    shards: Shards,
    /// Places in the batch, in the order of the disk.
    places: Vec<u32>,
    requests: Vec<Request>,
}

/// A part of a shard.
struct Request {
    shard: u32,
    offset: u64,
    length: usize,
    /// Where it goes in the buffer.
    start: usize,
    /// Bytes that are there.
    read: usize,
    /// The number of its last image, to be named where the shard ends before.
    last: u32,
}

impl Scattered {
    pub(super) fn new(paths: Vec<std::path::PathBuf>) -> Self {
        Self { shards: Shards::new(paths, system::expect_random), places: Vec::new(), requests: Vec::new() }
    }

    /// Reads those images of `batch` that are `wanted`.
    pub(super) fn read(
        &mut self,
        images: &[ImageRef],
        batch: &[u32],
        wanted: impl Fn(u32) -> bool,
        out: &mut Compressed,
    ) -> Result<()> {
        let total = self.plan(images, batch, wanted, out);
        if out.bytes.len() < total {
            out.bytes.resize(total, 0);
        }
        let bytes = &mut out.bytes;
        self.attempt(images, |shards, request| {
            let target = &mut bytes[request.start..][..request.length];
            request.read = system::read_or_ask(shards.file(request.shard)?, request.offset, target);
            Ok(())
        })?;
        self.attempt(images, |shards, request| {
            let rest = &mut bytes[request.start..][request.read..request.length];
            match rest.len() {
                0 => Ok(()),
                _ => shards.read(request.shard, request.offset + request.read as u64, rest),
            }
        })
    }

    /// Makes the requests, and the spans of the images in the buffer; returns its length. The lengths of images were
    /// checked against their shards' when the data set was opened.
    fn plan(
        &mut self,
        images: &[ImageRef],
        batch: &[u32],
        wanted: impl Fn(u32) -> bool,
        out: &mut Compressed,
    ) -> usize {
        let image_at = |place: u32| &images[batch[place as usize] as usize];
        self.places.clear();
        self.places.extend((0..batch.len() as u32).filter(|&place| wanted(batch[place as usize])));
        self.places.sort_unstable_by_key(|&place| (image_at(place).shard, image_at(place).offset));
        self.requests.clear();
        out.spans.clear();
        out.spans.resize(batch.len(), 0..0);
        let mut total = 0;
        for &place in &self.places {
            let (image, last) = (image_at(place), batch[place as usize]);
            let (shard, offset, length) = (image.shard, image.offset, image.length as usize);
            let near = |request: &&mut Request| {
                request.shard == shard && offset <= request.offset + request.length as u64 + GAP
            };
            let request = match self.requests.last_mut().filter(near) {
                Some(request) => request,
                None => {
                    self.requests.push(Request { shard, offset, length: 0, start: total, read: 0, last });
                    let end = self.requests.len() - 1;
                    &mut self.requests[end]
                }
            };
            let at = (offset - request.offset) as usize;
            if at + length > request.length {
                request.length = at + length;
                request.last = last;
            }
            total = request.start + request.length;
            out.spans[place as usize] = request.start + at..request.start + at + length;
        }
        total
    }

    fn attempt(
        &mut self,
        images: &[ImageRef],
        mut act: impl FnMut(&mut Shards, &mut Request) -> io::Result<()>,
    ) -> Result<()> {
        for request in &mut self.requests {
            act(&mut self.shards, request).map_err(|error| {
                let end = format!("{}.jpg", images[request.last as usize].key);
                self.shards.failed(request.shard, &end, &error)
            })?;
        }
        Ok(())
    }
}

/// Linux reads without waiting, and takes hints.
#[cfg(target_os = "linux")]
mod system {
    use super::{File, io};
    use rustix::fs::{Advice, fadvise};
    use rustix::io::{ReadWriteFlags, preadv2};
    use std::num::NonZeroU64;

    /// What is read will be exactly what is asked for: no guesses of what may come next.
    pub(super) fn expect_random(file: &File) {
        // Advice: where a file system takes none, nothing is lost.
        let _ = fadvise(file, 0, None, Advice::Random);
    }

    /// Reads what is in memory and asks for the rest without waiting; returns the bytes read. An error is left for the
    /// read that waits: it comes there again, or did not matter (some file systems have no reading without waiting).
    pub(super) fn read_or_ask(file: &File, offset: u64, bytes: &mut [u8]) -> usize {
        let slices = &mut [io::IoSliceMut::new(bytes)];
        let read = preadv2(file, slices, offset, ReadWriteFlags::NOWAIT).unwrap_or(0);
        if let Some(rest) = NonZeroU64::new((bytes.len() - read) as u64) {
            let _ = fadvise(file, offset + read as u64, Some(rest), Advice::WillNeed);
        }
        read
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::File;

    pub(super) fn expect_random(_: &File) {}

    pub(super) fn read_or_ask(_: &File, _: u64, _: &mut [u8]) -> usize {
        0
    }
}
