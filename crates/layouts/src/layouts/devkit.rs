//! What ImageNet's development kits say: the classes of `meta.mat` with their numbers, and the validation images' classes.

use std::collections::{BTreeMap, HashMap};

use ilsvrc_diagnostics::Result;

use super::View;
use crate::assignment::Assignment;
use crate::formats::{in_file, lists, matlab};
use crate::names::first_synonym;

/// The classes of a kit.
pub(super) struct Devkit {
    /// WNID and words of each class that images are of, by `ILSVRC2012_ID` (or `ILSVRC2010_ID`).
    pub(super) classes: BTreeMap<u32, (String, String)>,
}

impl Devkit {
    /// The kit among the files of `view`, if there is one.
    pub(super) fn find(view: &View<'_>) -> Result<Option<Self>> {
        let Some(entry) = view.text("meta.mat") else { return Ok(None) };
        let synsets = matlab::synsets(&view.reader().read(entry)?).map_err(in_file(entry.shown()))?;
        let leaves = synsets.into_iter().filter(|synset| synset.num_children == 0);
        Ok(Some(Self { classes: leaves.map(|leaf| (leaf.id, (leaf.wnid, leaf.words))).collect() }))
    }

    /// The WNID of each validation image, the image of number 1 first; nothing where the kit has no ground truth.
    pub(super) fn ground_truth(&self, view: &View<'_>, year: &str) -> Result<Option<Vec<&str>>> {
        let Some(entry) = view.text(&ground_truth_name(year)) else { return Ok(None) };
        let highest = self.classes.keys().next_back().copied().unwrap_or(0);
        let numbers =
            lists::ground_truth(&view.reader().read(entry)?, highest).map_err(in_file(entry.shown()))?;
        // A gap in the IDs of leaves would be a class without a name: its images are rejected by the empty one.
        let wnid = |id: &u32| self.classes.get(id).map_or("", |(wnid, _)| wnid.as_str());
        Ok(Some(numbers.iter().map(wnid).collect()))
    }

    /// Hands the classes' numbers and names on.
    pub(super) fn tell(&self, assignment: &mut Assignment) {
        let classes = || self.classes.iter();
        assignment.devkit_ids = classes().map(|(&id, (wnid, _))| (wnid.clone(), id)).collect();
        let named = classes().map(|(_, (wnid, words))| (wnid.clone(), first_synonym(words).to_owned()));
        assignment.words = named.filter(|(_, name)| !name.is_empty()).collect::<HashMap<_, _>>();
    }
}

/// The file of the validation images' classes.
pub(super) fn ground_truth_name(year: &str) -> String {
    format!("ILSVRC{year}_validation_ground_truth.txt")
}
