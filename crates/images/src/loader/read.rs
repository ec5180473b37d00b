//! The thread that reads compressed images, batch after batch.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Instant;

use ilsvrc_diagnostics::{Error, Result, SHARD_CORRUPT, SHARD_SHORT};

use super::Work;
use super::queue::Job;
use crate::ImageRef;

/// Shards kept open. Systems allow 1024 files or more for a process by default.
const OPEN_SHARDS: usize = 256;

pub(super) fn run(work: &Work) {
    let mut shards = Shards { paths: work.dataset.shard_paths(&work.options.split), open: HashMap::new() };
    for number in work.queue.first()..work.batches() {
        let Some(mut buffers) = work.queue.buffers(number) else { return };
        let begin = Instant::now();
        buffers.bytes.clear();
        buffers.ends.clear();
        let read = work.dataset.images(&work.options.split).and_then(|images| {
            work.batch(number).iter().try_for_each(|&index| {
                shards.read(&images[index as usize], &mut buffers.bytes)?;
                buffers.ends.push(buffers.bytes.len());
                Ok(())
            })
        });
        match read {
            Ok(()) => {
                let job = Job { number, bytes: buffers.bytes, ends: buffers.ends, batch: buffers.batch };
                work.queue.push(job, begin.elapsed().as_secs_f64());
            }
            Err(error) => return work.queue.finish(number, Err(error)),
        }
    }
    work.queue.end();
}

struct Shards {
    paths: Vec<PathBuf>,
    open: HashMap<u32, File>,
}

impl Shards {
    /// Appends the JPEG of `image` to `bytes`.
    fn read(&mut self, image: &ImageRef, bytes: &mut Vec<u8>) -> Result<()> {
        self.try_read(image, bytes).map_err(|error| {
            let path = &self.paths[image.shard as usize];
            let hint = crate::index::check_hint(path.parent().unwrap_or(path));
            let error = if error.kind() == io::ErrorKind::UnexpectedEof {
                Error::new(SHARD_SHORT, format!("{} ends before {}.jpg", path.display(), image.key))
                    .info("it was cut short after the data set was opened")
            } else {
                Error::io(SHARD_CORRUPT, "read", path, &error)
            };
            error.hint(hint)
        })
    }

    fn try_read(&mut self, image: &ImageRef, bytes: &mut Vec<u8>) -> io::Result<()> {
        if self.open.len() >= OPEN_SHARDS && !self.open.contains_key(&image.shard) {
            self.open.clear();
        }
        let file = match self.open.entry(image.shard) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(File::open(&self.paths[image.shard as usize])?)
            }
        };
        file.seek(SeekFrom::Start(image.offset))?;
        let start = bytes.len();
        // The length was checked against the shard's when the data set was opened.
        bytes.resize(start + image.length as usize, 0);
        file.read_exact(&mut bytes[start..])
    }
}
