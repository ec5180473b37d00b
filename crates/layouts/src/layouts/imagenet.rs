//! ImageNet as it is published: an archive of one archive a WNID to learn from, a flat one of numbered images to validate,
//! and a development kit with their classes; or the same unpacked.

use ilsvrc_diagnostics::{Error, LAYOUT_UNKNOWN, Result};

use super::devkit::{Devkit, ground_truth_name};
use super::{Layout, View, is_wnid};
use crate::assignment::{Assignment, Split};
use crate::listing::Entry;
use crate::objects::Objects;

/// The archives, in place, or unpacked with the validation images still in one folder.
pub(super) struct ImageNet;

impl Layout for ImageNet {
    fn name(&self) -> &'static str {
        "imagenet"
    }

    fn description(&self) -> &'static str {
        "ImageNet's archives: train/<wnid>/, numbered validation images, development kit"
    }

    fn recognise(&self, view: &View<'_>) -> bool {
        let is_official = |name: &[u8]| name.starts_with(b"ILSVRC20");
        let archives = view.listing.sources.iter().filter_map(|source| source.path.file_name());
        archives.map(|name| name.as_encoded_bytes()).any(|name| is_official(name) && name.ends_with(b".tar"))
            || (view.images().any(|(_, entry)| matches!(role(entry), Role::Val { .. }))
                // A few of them among other photos do not make it ImageNet.
                && (view.text("meta.mat").is_some()
                    || view.images().any(|(_, entry)| matches!(role(entry), Role::Train(_)))))
    }

    fn assign(&self, view: &View<'_>, assignment: &mut Assignment) -> Result<()> {
        let year = complete(view)?;
        let kit = Devkit::find(view)?;
        let mut truth = Vec::new();
        if let Some(year) = &year {
            let kit = kit.as_ref().ok_or_else(|| missing("the classes' numbers", "data/meta.mat", year))?;
            let found = kit.ground_truth(view, year)?;
            truth = found
                .ok_or_else(|| missing("the validation images' classes", &ground_truth_name(year), year))?;
        }
        let mut objects = Objects::by_name(view);
        for (number, entry) in view.images() {
            let (split, wnid) = match role(entry) {
                Role::Train(wnid) => (Split::Train, wnid),
                Role::Sorted(wnid) => (Split::Val, wnid),
                Role::Val { number: image, .. } => match image.checked_sub(1).and_then(|i| truth.get(i)) {
                    Some(wnid) if !wnid.is_empty() => (Split::Val, wnid.as_bytes()),
                    _ => {
                        let reason = format!("the development kit has no class for image {image}");
                        assignment.reject("val", entry.shown(), reason);
                        continue;
                    }
                },
                Role::Test => {
                    assignment.ignore("a test image: it has no label");
                    continue;
                }
                Role::None => {
                    assignment.ignore("neither a training nor a validation image");
                    continue;
                }
            };
            let boxes = objects.boxes(entry, wnid, assignment)?;
            assignment.keep_in_folder(split, number, entry, wnid, boxes);
        }
        if let Some(kit) = &kit {
            kit.tell(assignment);
        }
        assignment.class_order = match year {
            Some(year) => format!("ILSVRC{year}_ID of the devkit"),
            None => "sorted WNID".to_owned(),
        };
        Ok(())
    }
}

/// What an image is by its path.
enum Role<'a> {
    Train(&'a [u8]),
    Val {
        year: &'a [u8],
        number: usize,
    },
    /// A validation image in a folder of its class.
    Sorted(&'a [u8]),
    Test,
    None,
}

fn role(entry: &Entry) -> Role<'_> {
    let stem = entry.stem();
    // ILSVRC2012_val_00000001
    if let Some((year, rest)) = stem.strip_prefix(b"ILSVRC").and_then(|rest| rest.split_at_checked(4)) {
        let digits = rest.strip_prefix(b"_val_").and_then(|digits| std::str::from_utf8(digits).ok());
        return match digits.and_then(|digits| digits.parse().ok()) {
            // Sorted into folders already, as many do.
            Some(_) if is_wnid(entry.folder_name()) => Role::Sorted(entry.folder_name()),
            Some(number) => Role::Val { year, number },
            None if rest.starts_with(b"_test_") => Role::Test,
            None => Role::None,
        };
    }
    if is_wnid(entry.folder_name()) { Role::Train(entry.folder_name()) } else { Role::None }
}

/// The year of the validation images that a kit must tell the classes of. Refuses a source without images of both splits.
fn complete(view: &View<'_>) -> Result<Option<String>> {
    let mut has_train = false;
    let (mut year, mut is_sorted) = (None, false);
    for (_, entry) in view.images() {
        match role(entry) {
            Role::Train(_) => has_train = true,
            Role::Val { year: own, .. } => year = year.or(std::str::from_utf8(own).ok()),
            Role::Sorted(_) => is_sorted = true,
            Role::Test | Role::None => {}
        }
    }
    let archives = |year: &str| match year {
        "2010" => ("ILSVRC2010_images_train.tar", "ILSVRC2010_images_val.tar"),
        _ => ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"),
    };
    match year {
        Some(year) if has_train => Ok(Some(year.to_owned())),
        Some(year) => Err(missing("the training images", archives(year).0, year)),
        None if is_sorted && has_train => Ok(None),
        None => Err(missing("the validation images", archives("2012").1, "2012")
            .info("to split a tenth of the training images off instead, add --layout classes")),
    }
}

fn missing(what: &str, file: &str, year: &str) -> Error {
    let kit = if year == "2010" { "ILSVRC2010_devkit-1.0.tar.gz" } else { "ILSVRC2012_devkit_t12.tar.gz" };
    let hint = if file.ends_with(".tar") {
        format!("name {file} as well, or put all archives into one folder")
    } else {
        format!("name {kit} as well (or the folder that it unpacks to), or put it into the archives' folder")
    };
    Error::new(LAYOUT_UNKNOWN, format!("{what} of ImageNet {year} are missing: there is no {file}"))
        .hint(hint)
}

#[cfg(test)]
#[path = "imagenet_tests.rs"]
mod tests;
