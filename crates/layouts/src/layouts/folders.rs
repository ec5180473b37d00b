//! A folder for each class: `train/<class>/…` with `val/<class>/…`, or `<class>/…` alone. Boxes are in VOC files beside the
//! images or below a folder `Annotations`.

use ilsvrc_diagnostics::Result;

use super::{Layout, View, is_wnid};
use crate::assignment::{Assignment, Split};
use crate::listing::Entry;
use crate::objects::Objects;
use crate::split::belongs_to_validation;

/// Names of the folder of validation images, the preferred one first.
const VALIDATION: [&[u8]; 4] = [b"val", b"valid", b"validation", b"test"];

/// `train/<class>/…` with `val/<class>/…` (or `test/`). Without the latter, a tenth of `train` is for validation.
pub(super) struct SplitFolders;

impl Layout for SplitFolders {
    fn name(&self) -> &'static str {
        "folders"
    }

    fn description(&self) -> &'static str {
        "image folder: train/<class>/, val/<class>/"
    }

    fn recognise(&self, view: &View<'_>) -> bool {
        let skip = wrappers(view);
        view.images().any(|(_, entry)| matches!(placed(entry, skip), Some((b"train", _))))
    }

    fn assign(&self, view: &View<'_>, assignment: &mut Assignment) -> Result<()> {
        let skip = wrappers(view);
        let holds = |name: &[u8]| {
            view.images().any(|(_, entry)| placed(entry, skip).is_some_and(|(split, _)| split == name))
        };
        let validation = VALIDATION.into_iter().find(|name| holds(name));
        let mut objects = Objects::beside(view);
        for (number, entry) in view.images() {
            let split = match placed(entry, skip) {
                None => None,
                Some((split, class)) if Some(split) == validation => Some((Split::Val, class)),
                Some((b"train", class)) if validation.is_some() => Some((Split::Train, class)),
                Some((b"train", class)) => Some((by_hash(entry, view), class)),
                Some(_) => None,
            };
            match split {
                Some((split, class)) => {
                    let boxes = objects.boxes(entry, class, assignment)?;
                    assignment.keep_in_folder(split, number, entry, class, boxes);
                }
                None => assignment.ignore("in no class of train/ or val/"),
            }
        }
        assignment.class_order = order_of(assignment);
        Ok(())
    }
}

/// `<class>/*.jpg`: a tenth of the images, chosen by their names, is for validation.
pub(super) struct ClassFolders;

impl Layout for ClassFolders {
    fn name(&self) -> &'static str {
        "classes"
    }

    fn description(&self) -> &'static str {
        "class folders: <class>/, a tenth split off for validation"
    }

    fn recognise(&self, view: &View<'_>) -> bool {
        let skip = wrappers(view);
        view.images().any(|(_, entry)| rooted(entry, skip).count() >= 2)
    }

    fn assign(&self, view: &View<'_>, assignment: &mut Assignment) -> Result<()> {
        let skip = wrappers(view);
        let mut objects = Objects::beside(view);
        for (number, entry) in view.images() {
            let mut parts = rooted(entry, skip);
            match (parts.next(), parts.next()) {
                (Some(class), Some(_)) => {
                    let boxes = objects.boxes(entry, class, assignment)?;
                    assignment.keep_in_folder(by_hash(entry, view), number, entry, class, boxes);
                }
                _ => assignment.ignore("in no folder of a class"),
            }
        }
        assignment.class_order = order_of(assignment);
        Ok(())
    }
}

fn by_hash(entry: &Entry, view: &View<'_>) -> Split {
    if belongs_to_validation(entry.file_name(), view.request.seed) { Split::Val } else { Split::Train }
}

/// Folder names are in the same order as the keys of the classes, which are made of them.
fn order_of(assignment: &Assignment) -> String {
    let all_wnids = assignment.keys.iter().all(|key| is_wnid(key.as_bytes()));
    if all_wnids { "sorted WNID" } else { "folder names" }.to_owned()
}

/// The split and the class of `<split>/<class>/…`.
fn placed(entry: &Entry, skip: usize) -> Option<(&[u8], &[u8])> {
    let mut parts = rooted(entry, skip);
    let (split, class) = (parts.next()?, parts.next()?);
    parts.next().map(|_| (split, class))
}

/// The parts of a path without the folders that only wrap everything. Images above those have no part to skip.
fn rooted(entry: &Entry, skip: usize) -> impl Iterator<Item = &[u8]> {
    let skip = skip.min(entry.parts().count() - 1);
    entry.parts().skip(skip)
}

/// How many folders only wrap everything (as `imagenette/train/…`). A wrapper is the only folder of its level, has
/// folders below it that could be classes, and is not itself `train`.
fn wrappers(view: &View<'_>) -> usize {
    let mut skip = 0;
    loop {
        let nested =
            || view.images().map(|(_, entry)| entry).filter(move |entry| entry.parts().count() >= skip + 2);
        let Some(top) = nested().next().and_then(|entry| entry.parts().nth(skip)) else { return skip };
        let wraps = top != b"train"
            && nested()
                .all(|entry| entry.parts().count() >= skip + 3 && entry.parts().nth(skip) == Some(top));
        if !wraps {
            return skip;
        }
        skip += 1;
    }
}

#[cfg(test)]
#[path = "folders_tests.rs"]
mod tests;
