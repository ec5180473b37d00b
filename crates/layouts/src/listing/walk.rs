//! All files under a folder, with links followed. Loops are cut where a folder's real path is one of those above it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use ilsvrc_diagnostics::{Error, INTERRUPTED, Result, SOURCE_UNREADABLE};

use super::count_up;

/// Folders in folders; real data sets have ten.
const MAX_DEPTH: usize = 64;

/// What a folder holds.
#[derive(Default)]
pub(super) struct Found {
    /// Paths relative to the folder, and sizes in bytes.
    pub(super) files: Vec<(Box<Path>, u64)>,
    /// Whose size cannot be asked for, and why.
    pub(super) refused: Vec<(PathBuf, String)>,
    /// What is no file or not to be seen, by reason.
    pub(super) ignored: BTreeMap<String, u64>,
}

/// A folder still to be read.
struct Pending {
    path: PathBuf,
    above: Option<Rc<Above>>,
}

/// The real paths of the folders above one.
struct Above {
    real: PathBuf,
    depth: usize,
    next: Option<Rc<Above>>,
}

impl Above {
    fn holds(mut this: &Option<Rc<Self>>, real: &Path) -> bool {
        while let Some(above) = this {
            if above.real == real {
                return true;
            }
            this = &above.next;
        }
        false
    }
}

/// Looks through `root`. `progress` gets the number of files found so far.
pub(super) fn walk(root: &Path, cancel: &AtomicBool, progress: &dyn Fn(usize)) -> Result<Found> {
    let mut found = Found::default();
    let mut pending = vec![Pending { path: PathBuf::new(), above: None }];
    while let Some(folder) = pending.pop() {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::new(INTERRUPTED, format!("stopped while reading {}", root.display())));
        }
        let here = root.join(&folder.path);
        let unreadable = |error: std::io::Error| Error::io(SOURCE_UNREADABLE, "read", &here, &error);
        let real = here.canonicalize().map_err(unreadable)?;
        if Above::holds(&folder.above, &real) {
            count_up(&mut found.ignored, "a link back to a folder above", 1);
            continue;
        }
        let depth = folder.above.as_ref().map_or(0, |above| above.depth + 1);
        if depth > MAX_DEPTH {
            found.refused.push((folder.path, format!("more than {MAX_DEPTH} folders deep")));
            continue;
        }
        let above = Some(Rc::new(Above { real, depth, next: folder.above }));
        for child in fs::read_dir(&here).map_err(unreadable)? {
            let child = child.map_err(unreadable)?;
            let path = folder.path.join(child.file_name());
            if let Some(reason) = hidden(child.file_name().as_encoded_bytes()) {
                count_up(&mut found.ignored, reason, 1);
                continue;
            }
            // Follows links, as `child.metadata` would not.
            match fs::metadata(root.join(&path)) {
                Ok(target) if target.is_dir() => pending.push(Pending { path, above: above.clone() }),
                Ok(target) if target.is_file() => found.files.push((path.into(), target.len())),
                Ok(_) => count_up(&mut found.ignored, "a pipe, a socket or a device", 1),
                Err(error) => found.refused.push((path, format!("cannot be read: {error}"))),
            }
        }
        progress(found.files.len());
    }
    Ok(found)
}

/// Why a file or folder of that name is not looked at: hidden ones, and what macOS leaves in folders and archives.
pub(super) fn hidden(name: &[u8]) -> Option<&'static str> {
    if name.starts_with(b"._") || name == b"__MACOSX" {
        Some("left by macOS (AppleDouble)")
    } else {
        name.starts_with(b".").then_some("hidden")
    }
}
