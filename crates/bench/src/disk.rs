//! How fast the disk below a folder takes and gives a file: a look that takes seconds, not a benchmark of it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ilsvrc_diagnostics::{Error, INTERRUPTED, Result, WRITE_FAILED};
use ilsvrc_random::{Purpose, Stream};
use serde::Serialize;

use crate::page_cache::{forget_open, read_from_disk};

/// The file is no longer than this, and shorter where the disk is slow.
const MOST_BYTES: usize = 128 << 20;
/// Nothing is written after this time.
const MOST_TIME: Duration = Duration::from_secs(2);
const PIECE: usize = 4 << 20;

/// What a disk did.
#[derive(Clone, Debug, Serialize)]
pub struct DiskSpeed {
    /// Length of the file.
    pub bytes: usize,
    /// With flushing it to the disk.
    pub write_bytes_per_second: f64,
    /// From its beginning to its end.
    pub read_bytes_per_second: f64,
    /// It was read from the disk and not from memory.
    pub cold: bool,
}

/// Writes a file without a name into `folder`, flushes it, and reads it back after asking the system to forget it. Such a file is gone
/// when this returns or the process dies.
///
/// # Errors
/// `WRITE_FAILED` where the folder takes no file, `INTERRUPTED`.
pub fn disk_speed(folder: &Path, cancel: &AtomicBool) -> Result<DiskSpeed> {
    let failed = |error: std::io::Error| Error::io(WRITE_FAILED, "write a file into", folder, &error);
    let mut file = tempfile::tempfile_in(folder).map_err(failed)?;
    let mut piece = noise();
    let begin = Instant::now();
    let mut bytes = 0;
    while bytes < MOST_BYTES && begin.elapsed() < MOST_TIME {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::new(INTERRUPTED, "interrupted"));
        }
        // Disks that know what they have would store equal pieces once.
        piece[..8].copy_from_slice(&bytes.to_le_bytes());
        piece.rotate_right(8);
        file.write_all(&piece).map_err(failed)?;
        bytes += PIECE;
    }
    file.sync_data().map_err(failed)?;
    let written = begin.elapsed();

    forget_open(&file).map_err(failed)?;
    let before = read_from_disk();
    let read = read_back(&mut file, &mut piece).map_err(failed)?;
    // A few pages may be in memory all the same.
    let cold =
        before.zip(read_from_disk()).is_some_and(|(before, after)| after - before >= bytes as u64 * 9 / 10);
    let rate = |time: Duration| bytes as f64 / time.as_secs_f64();
    Ok(DiskSpeed { bytes, write_bytes_per_second: rate(written), read_bytes_per_second: rate(read), cold })
}

fn read_back(file: &mut File, piece: &mut [u8]) -> std::io::Result<Duration> {
    let begin = Instant::now();
    file.seek(SeekFrom::Start(0))?;
    while file.read(piece)? > 0 {}
    Ok(begin.elapsed())
}

/// Bytes that no disk can compress.
fn noise() -> Vec<u8> {
    let stream = Stream::new(0, Purpose::Drawing, 0, 0);
    (0..PIECE as u32 / 16).flat_map(|block| stream.block(block)).flat_map(u32::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_measured_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let speed = disk_speed(folder.path(), &AtomicBool::new(false)).unwrap();
        assert!(speed.bytes >= PIECE && speed.bytes <= MOST_BYTES);
        assert!(speed.write_bytes_per_second > 0.0 && speed.read_bytes_per_second > 0.0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_written_to_is_an_error_and_a_signal_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent");
        assert_eq!(disk_speed(&absent, &AtomicBool::new(false)).unwrap_err().code, WRITE_FAILED);
        assert_eq!(disk_speed(folder.path(), &AtomicBool::new(true)).unwrap_err().code, INTERRUPTED);
    }
}
