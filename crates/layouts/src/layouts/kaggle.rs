//! ImageNet as Kaggle has it: `ILSVRC/Data/CLS-LOC/{train/<wnid>,val,test}`, the validation images' classes in
//! `LOC_val_solution.csv`, boxes in it, in `LOC_train_solution.csv` and in VOC files below `ILSVRC/Annotations`.

use std::collections::HashMap;

use ilsvrc_diagnostics::{Error, LAYOUT_UNKNOWN, Result};

use super::{Layout, View};
use crate::assignment::{Assignment, Split};
use crate::formats::{Rect, csv, in_file};
use crate::listing::Entry;
use crate::objects::Objects;

const CLASSES: &str = "LOC_val_solution.csv";

/// The folder above `ILSVRC`, or `ILSVRC` with the CSV files in it.
pub(super) struct Kaggle;

impl Layout for Kaggle {
    fn name(&self) -> &'static str {
        "kaggle"
    }

    fn description(&self) -> &'static str {
        "Kaggle's ImageNet: ILSVRC/Data/CLS-LOC/, LOC_val_solution.csv"
    }

    fn recognise(&self, view: &View<'_>) -> bool {
        view.images().any(|(_, entry)| entry.parts().any(|part| part == b"CLS-LOC"))
            || view.text(CLASSES).is_some()
    }

    fn assign(&self, view: &View<'_>, assignment: &mut Assignment) -> Result<()> {
        let labels = validation(view)?;
        let mut objects = Objects::by_name(view);
        let mut train_boxes = training_boxes(view)?;
        for (number, entry) in view.images() {
            match placed(entry) {
                Some((b"train", Some(wnid))) => {
                    // The CSV has the same boxes as half a million VOC files, and is one file.
                    let boxes = match train_boxes.remove(&number) {
                        Some(boxes) => boxes.into(),
                        None => objects.boxes(entry, wnid, assignment)?,
                    };
                    assignment.keep_in_folder(Split::Train, number, entry, wnid, boxes);
                }
                Some((b"val", Some(wnid))) => {
                    let boxes = objects.boxes(entry, wnid, assignment)?;
                    assignment.keep_in_folder(Split::Val, number, entry, wnid, boxes);
                }
                Some((b"val", None)) => match labels.get(entry.stem()) {
                    Some((wnid, boxes)) if boxes.is_empty() => {
                        let boxes = objects.boxes(entry, wnid.as_bytes(), assignment)?;
                        assignment.keep(Split::Val, number, wnid, boxes);
                    }
                    Some((wnid, boxes)) => assignment.keep(Split::Val, number, wnid, boxes.clone()),
                    None => assignment.reject("val", entry.shown(), format!("it is not in {CLASSES}")),
                },
                Some((b"test", _)) => assignment.ignore("a test image: it has no label"),
                _ => assignment.ignore("neither a training nor a validation image"),
            }
        }
        assignment.class_order = "sorted WNID".to_owned();
        Ok(())
    }
}

/// The split of an image, and the folder in it.
fn placed(entry: &Entry) -> Option<(&[u8], Option<&[u8]>)> {
    let is_split = |part: &&[u8]| matches!(*part, b"train" | b"val" | b"test");
    let base = entry.parts().position(|part| part == b"CLS-LOC").map_or(0, |at| at + 1);
    let mut parts = entry.parts().skip(base).skip_while(|part| !is_split(part));
    let (split, first) = (parts.next()?, parts.next()?);
    Some((split, parts.next().map(|_| first)))
}

type Labels = HashMap<Vec<u8>, (String, Vec<Rect>)>;

/// Class and boxes of each validation image by its name.
fn validation(view: &View<'_>) -> Result<Labels> {
    let mut labels = Labels::new();
    let Some(entry) = view.text(CLASSES) else {
        let flat = view.images().any(|(_, entry)| matches!(placed(entry), Some((b"val", None))));
        return match flat {
            false => Ok(labels),
            true => Err(Error::new(
                LAYOUT_UNKNOWN,
                format!(
                    "the validation images' classes are missing: there is no {CLASSES} in {}",
                    view.shown()
                ),
            )
            .hint("it comes with Kaggle's download; give the folder above ILSVRC, where it lies")),
        };
    };
    let bytes = view.reader().read(entry)?;
    csv::solution(&bytes[..], |image, wnid, boxes| {
        labels.insert(image.as_bytes().to_vec(), (wnid.to_owned(), boxes.to_vec()));
        Ok(())
    })
    .map_err(in_file(entry.shown()))?;
    Ok(labels)
}

/// The boxes of training images by entry; found by path, as half a million names would take much memory.
fn training_boxes(view: &View<'_>) -> Result<HashMap<usize, Box<[Rect]>>> {
    let mut found = HashMap::new();
    let Some(entry) = view.text("LOC_train_solution.csv") else { return Ok(found) };
    let mut folders = Vec::new();
    for root in view.roots.clone() {
        let mut images =
            view.images().filter(|(number, _)| view.listing.roots[root].entries.contains(number));
        let first = images.find(|(_, entry)| matches!(placed(entry), Some((b"train", Some(_)))));
        if let Some((_, entry)) = first {
            let (folder, name) = (entry.folder_name(), entry.file_name());
            let ending = name[entry.stem().len()..].to_vec();
            let base = entry.bytes().len() - folder.len() - name.len() - 1;
            folders.push((root, entry.bytes()[..base].to_vec(), ending));
        }
    }
    let bytes = view.reader().read(entry)?;
    csv::solution(&bytes[..], |image, wnid, boxes| {
        for (root, base, ending) in &folders {
            let path = [base, wnid.as_bytes(), b"/", image.as_bytes(), ending].concat();
            if let Some(number) = view.listing.find(*root, &path).filter(|_| !boxes.is_empty()) {
                found.insert(number, boxes.into());
            }
        }
        Ok(())
    })
    .map_err(in_file(entry.shown()))?;
    Ok(found)
}

#[cfg(test)]
#[path = "kaggle_tests.rs"]
mod tests;
