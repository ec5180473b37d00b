//! `builtin.json`: says which set a folder holds and whether it is complete, so that a folder of ours is told from
//! somebody else's and a finished one is not drawn again.

use crate::{Options, Summary};
use ilsvrc_diagnostics::{Error, OUTPUT_DIFFERS, Result, WRITE_FAILED};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Goes up whenever the same options give other files.
const VERSION: u32 = 2;

const NAME: &str = "builtin.json";

/// The folder of the boxes.
pub(crate) const ANNOTATIONS: &str = "annotations";

/// The contents of the file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Marker {
    version: u32,
    seed: u64,
    images: usize,
    classes: Vec<String>,
    /// What was written; absent until everything is.
    summary: Option<Summary>,
}

impl Marker {
    /// The marker of a set that is being drawn.
    fn started(options: &Options) -> Self {
        let classes = crate::class_names().map(str::to_owned).collect();
        Self { version: VERSION, seed: options.seed, images: options.images, classes, summary: None }
    }

    fn write(&self, out: &Path) -> Result<()> {
        let path = out.join(NAME);
        let draft = out.join("builtin.json.part");
        let text = serde_json::to_string_pretty(self).expect("plain data") + "\n";
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, &path))
            .map_err(|error| Error::io(WRITE_FAILED, "write", &path, &error))
    }
}

/// Makes `out` ready for drawing: an empty set with an unfinished marker. Returns the summary instead when the folder
/// holds the set already. A folder with images that we did not write is refused.
pub(crate) fn begin(options: &Options) -> Result<Option<Summary>> {
    let out = &options.out;
    let wanted = Marker::started(options);
    let found = fs::read(out.join(NAME)).ok();
    let found: Option<Marker> = found.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let splits = splits(out);
    match found {
        Some(mut found) => {
            let summary = found.summary.take();
            if found == wanted && summary.is_some() {
                return Ok(summary);
            }
            let annotations = out.join(ANNOTATIONS);
            for folder in splits.iter().chain([&annotations]).filter(|folder| folder.exists()) {
                fs::remove_dir_all(folder)
                    .map_err(|error| Error::io(WRITE_FAILED, "clear", folder, &error))?;
            }
        }
        None => {
            if let Some(split) = splits.iter().find(|split| split.exists()) {
                return Err(Error::new(
                    OUTPUT_DIFFERS,
                    format!("{} exists and is not the built-in data set's", split.display()),
                )
                .info(format!("{} has no valid {NAME}", out.display()))
                .hint("choose an empty folder"));
            }
        }
    }
    let roots = splits.into_iter().chain(self::splits(&out.join(ANNOTATIONS)));
    for folder in roots.flat_map(|split| crate::class_names().map(move |class| split.join(class))) {
        fs::create_dir_all(&folder).map_err(|error| Error::io(WRITE_FAILED, "create", &folder, &error))?;
    }
    wanted.write(out)?;
    Ok(None)
}

/// Records that everything is written.
pub(crate) fn finish(options: &Options, summary: Summary) -> Result<()> {
    Marker { summary: Some(summary), ..Marker::started(options) }.write(&options.out)
}

fn splits(out: &Path) -> [PathBuf; 2] {
    ["train", "val"].map(|split| out.join(split))
}
