//! Whether a file comes from the disk or from memory: making the system forget it, and asking what was really read.

use std::fs::File;
use std::path::Path;

/// Asks the system to forget what it holds of a file. That is advice: [`read_from_disk`] tells whether it was taken.
pub(crate) fn forget(path: &Path) -> std::io::Result<()> {
    forget_open(&File::open(path)?)
}

/// The same for a file that is open.
#[cfg(target_os = "linux")]
pub(crate) fn forget_open(file: &File) -> std::io::Result<()> {
    Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
}

/// Elsewhere a process cannot ask for it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn forget_open(_: &File) -> std::io::Result<()> {
    Ok(())
}

/// Bytes that storage has delivered to this process so far, as `/proc/self/io` counts them; nothing where it does not exist.
pub(crate) fn read_from_disk() -> Option<u64> {
    let counters = std::fs::read_to_string("/proc/self/io").ok()?;
    counters.lines().find_map(|line| line.strip_prefix("read_bytes: "))?.parse().ok()
}
