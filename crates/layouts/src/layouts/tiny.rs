//! Tiny ImageNet: `train/<wnid>/images/` with `<wnid>_boxes.txt`, `val/images/` with `val_annotations.txt`.

use std::collections::HashMap;

use ilsvrc_diagnostics::Result;

use super::{Layout, View};
use crate::assignment::{Assignment, Split};
use crate::formats::{Rect, in_file, tiny};
use crate::listing::Entry;

const ANNOTATIONS: &str = "val_annotations.txt";

/// The folder, or one around it.
pub(super) struct Tiny;

impl Layout for Tiny {
    fn name(&self) -> &'static str {
        "tiny"
    }

    fn description(&self) -> &'static str {
        "Tiny ImageNet: train/<wnid>/images/, val/val_annotations.txt"
    }

    fn recognise(&self, view: &View<'_>) -> bool {
        view.text(ANNOTATIONS).is_some()
            && view.images().any(|(_, entry)| matches!(role(entry), Role::Train(_)))
    }

    fn assign(&self, view: &View<'_>, assignment: &mut Assignment) -> Result<()> {
        let mut labels = HashMap::new();
        if let Some(entry) = view.text(ANNOTATIONS) {
            let rows = tiny::annotations(&view.reader().read(entry)?).map_err(in_file(entry.shown()))?;
            labels.extend(rows.into_iter().map(|row| (row.file.into_bytes(), (row.wnid, row.bounds))));
        }
        let mut boxes = training_boxes(view)?;
        for (number, entry) in view.images() {
            match role(entry) {
                Role::Train(wnid) => {
                    let boxes = boxes.remove(entry.file_name()).unwrap_or_default();
                    assignment.keep_in_folder(Split::Train, number, entry, wnid, boxes);
                }
                Role::Val => match labels.get(entry.file_name()) {
                    Some((wnid, bounds)) => {
                        assignment.keep(Split::Val, number, wnid, bounds.iter().copied().collect());
                    }
                    None => assignment.reject("val", entry.shown(), format!("it is not in {ANNOTATIONS}")),
                },
                Role::Test => assignment.ignore("a test image: it has no label"),
                Role::None => assignment.ignore("neither a training nor a validation image"),
            }
        }
        assignment.class_order = "sorted WNID".to_owned();
        Ok(())
    }
}

/// Boxes by the image's file name, which begins with its WNID.
fn training_boxes(view: &View<'_>) -> Result<HashMap<Vec<u8>, Vec<Rect>>> {
    let mut boxes: HashMap<Vec<u8>, Vec<Rect>> = HashMap::new();
    let mut reader = view.reader();
    for (_, entry) in view.texts().filter(|(_, entry)| entry.file_name().ends_with(b"_boxes.txt")) {
        let rows = tiny::boxes(&reader.read(entry)?).map_err(in_file(entry.shown()))?;
        for (file, bounds) in rows {
            boxes.entry(file.into_bytes()).or_default().extend(bounds);
        }
    }
    Ok(boxes)
}

enum Role<'a> {
    Train(&'a [u8]),
    Val,
    Test,
    None,
}

fn role(entry: &Entry) -> Role<'_> {
    let mut above = entry.parts().rev().skip(1);
    match (above.next(), above.next(), above.next()) {
        (Some(b"images"), Some(wnid), Some(b"train")) => Role::Train(wnid),
        (Some(b"images"), Some(b"val"), _) => Role::Val,
        (Some(b"images"), Some(b"test"), _) => Role::Test,
        _ => Role::None,
    }
}

#[cfg(test)]
#[path = "tiny_tests.rs"]
mod tests;
