//! Caffe's lists: `train.txt` and `val.txt` with a path and a number a line, and `synset_words.txt` with the classes.

use std::collections::HashMap;

use ilsvrc_diagnostics::{Error, LAYOUT_UNKNOWN, Result};

use super::devkit::Devkit;
use super::numbering::Evidence;
use super::{Layout, View, is_wnid};
use crate::assignment::{Assignment, Split};
use crate::formats::{in_file, lists};
use crate::listing::{Entry, Store, stem};
use crate::names;

const LISTS: [(Split, &str); 2] = [(Split::Train, "train.txt"), (Split::Val, "val.txt")];
/// The longest path whose first folders are dropped, one after another.
const MAX_PARTS: usize = 16;

/// Lists in any folder; images beside them, below, or in another source.
pub(super) struct Lists;

impl Layout for Lists {
    fn name(&self) -> &'static str {
        "lists"
    }

    fn description(&self) -> &'static str {
        "Caffe's lists: train.txt and val.txt with a path and a number a line"
    }

    fn recognise(&self, view: &View<'_>) -> bool {
        let first_is_labelled = |entry: &Entry| {
            let bytes = view.reader().read(entry).unwrap_or_default();
            lists::caffe(&bytes).next().is_some_and(|line| line.is_ok_and(|(path, _)| path.contains(&b'.')))
        };
        LISTS.iter().any(|(_, name)| view.text(name).is_some_and(first_is_labelled))
    }

    fn assign(&self, view: &View<'_>, assignment: &mut Assignment) -> Result<()> {
        let listed = Listed::read(view, assignment)?;
        let kit = Devkit::find(view)?;
        let classes = class_names(view)?;
        let keys: Option<Vec<String>> = classes.map(|lines| lines.into_iter().map(|(key, _)| key).collect());
        let numbering = listed.evidence.numbering(keys.as_deref(), kit.as_ref())?;
        if let Some(kit) = kit {
            kit.tell(assignment);
        }
        let mut taken = vec![false; view.listing.entries.len()];
        for (split, number, label) in listed.images {
            if std::mem::replace(&mut taken[number as usize], true) {
                let path = view.listing.entries[number as usize].shown();
                assignment.reject(split.name(), path, "listed twice");
                continue;
            }
            match numbering.keys.get(&label) {
                Some(key) => assignment.keep(split, number as usize, key, Vec::new()),
                None => {
                    let path = view.listing.entries[number as usize].shown();
                    assignment.reject(split.name(), path, format!("label {label} is that of no class"));
                }
            }
        }
        view.images().filter(|(number, _)| !taken[*number]).for_each(|_| assignment.ignore("not listed"));
        assignment.pad_numbers();
        assignment.class_order = numbering.order;
        Ok(())
    }
}

/// The classes in the order of the user's file of names or of `synset_words.txt`.
fn class_names(view: &View<'_>) -> Result<Option<Vec<(String, String)>>> {
    if let Some(path) = &view.request.names {
        return names::given(path).map(Some);
    }
    let Some(entry) = view.text("synset_words.txt") else { return Ok(None) };
    lists::names(&view.reader().read(entry)?).map(Some).map_err(in_file(entry.shown()))
}

/// What the lists say.
struct Listed {
    /// Split, entry and label of each image that is there.
    images: Vec<(Split, u32, u32)>,
    evidence: Evidence,
}

impl Listed {
    /// Reads both lists. Images that are not there are rejected.
    fn read(view: &View<'_>, assignment: &mut Assignment) -> Result<Self> {
        let mut listed = Self { images: Vec::new(), evidence: Evidence::default() };
        for (split, name) in LISTS {
            let list = view.text(name).ok_or_else(|| {
                Error::new(LAYOUT_UNKNOWN, format!("there is no {name} in {}", view.shown()))
                    .hint("both train.txt and val.txt are needed, with a path and a number a line")
            })?;
            let bytes = view.reader().read(list)?;
            let mut finder = Finder::new(view, list);
            for line in lists::caffe(&bytes) {
                let (path, label) = line.map_err(in_file(list.shown()))?;
                listed.evidence.add(label, wnid_of(path)).map_err(in_file(list.shown()))?;
                match finder.find(path) {
                    Some(number) => listed.images.push((split, number as u32, label)),
                    None => {
                        let path = String::from_utf8_lossy(path).into_owned();
                        assignment.reject(split.name(), path, format!("listed in {name} but not there"));
                    }
                }
            }
        }
        Ok(listed)
    }
}

/// The WNID that a path holds: a folder, or the beginning of the file's name.
fn wnid_of(path: &[u8]) -> Option<&str> {
    let slash = |&byte: &u8| byte == b'/';
    let folder = path.split(slash).rev().skip(1).find(|part| is_wnid(part));
    let name = path.split(slash).next_back().and_then(|name| stem(name).split(|&byte| byte == b'_').next());
    folder.or(name.filter(|name| is_wnid(name))).and_then(|wnid| std::str::from_utf8(wnid).ok())
}

/// Finds listed images: below the list's folder, at the top, in `train/`, `val/` or `images/`, in an archive, or in another
/// source.
struct Finder<'a> {
    view: View<'a>,
    /// Where to look, the place where the last one was found first.
    places: Vec<(usize, Vec<u8>)>,
    /// What paths from another machine began with when the last one was found.
    dropped: usize,
}

impl<'a> Finder<'a> {
    fn new(view: &View<'a>, list: &Entry) -> Self {
        let folder = &list.bytes()[..list.bytes().len() - list.file_name().len()];
        let mut archives: HashMap<u32, &[u8]> = HashMap::new();
        for (_, entry) in view.images() {
            if let Store::Source { prefix, .. } = view.listing.stores[entry.store as usize] {
                archives.entry(entry.store).or_insert(&entry.bytes()[..prefix]);
            }
        }
        let mut bases: Vec<&[u8]> = archives.into_values().chain([folder, b""]).collect();
        bases.sort_unstable_by_key(|base| (*base != folder, *base));
        bases.dedup();
        let mut places = Vec::new();
        for root in view.roots.clone() {
            for below in [&b""[..], b"train/", b"val/", b"images/"] {
                places.extend(bases.iter().map(|base| (root, [base, below].concat())));
            }
        }
        Self { view: view.clone(), places, dropped: 0 }
    }

    fn find(&mut self, path: &[u8]) -> Option<usize> {
        let parts: Vec<&[u8]> =
            path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
        let from = self.dropped.min(parts.len().saturating_sub(1));
        let tries = (from..=from).chain(0..parts.len().min(MAX_PARTS));
        for dropped in tries {
            if let Some(number) = self.find_plain(&parts[dropped..].join(&b'/')) {
                self.dropped = dropped;
                return Some(number);
            }
            // Only paths from elsewhere begin with folders that are not here.
            if !path.starts_with(b"/") {
                break;
            }
        }
        None
    }

    fn find_plain(&mut self, path: &[u8]) -> Option<usize> {
        let listing = self.view.listing;
        let look = |(root, base): &(usize, Vec<u8>)| listing.find(*root, &[base, path].concat());
        let (at, number) = self.places.iter().enumerate().find_map(|(at, place)| Some((at, look(place)?)))?;
        self.places[..=at].rotate_right(1);
        Some(number)
    }
}

#[cfg(test)]
#[path = "lists_tests.rs"]
mod tests;
