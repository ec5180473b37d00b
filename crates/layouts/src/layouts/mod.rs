//! The layouts of photos that `prep` knows, recognised by content. To add one, write a [`Layout`] in a file here and put
//! it into a table, the more particular ones first.

mod devkit;
mod folders;
mod imagenet;
mod kaggle;
mod lists;
mod numbering;
mod tiny;
mod webdataset;

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use ilsvrc_diagnostics::{Error, LAYOUT_UNKNOWN, Result};
use serde::Serialize;

use crate::assignment::Assignment;
use crate::listing::{Entry, Kind, Listing, Reader};
use crate::request::Request;

/// A way of arranging photos.
pub trait Layout: Sync {
    /// What `--layout` calls it.
    fn name(&self) -> &'static str;
    /// What the user is told.
    fn description(&self) -> &'static str;
    /// Whether the files look like this one.
    fn recognise(&self, view: &View<'_>) -> bool;
    /// Assigns every image.
    fn assign(&self, view: &View<'_>, assignment: &mut Assignment) -> Result<()>;
}

/// Layouts whose parts may be several sources (archives of images, labels), tried first.
const JOINT: [&dyn Layout; 5] =
    [&kaggle::Kaggle, &tiny::Tiny, &webdataset::WebDataset, &lists::Lists, &imagenet::ImageNet];

/// Layouts of a source by itself; each source may have another.
const SINGLE: [&dyn Layout; 2] = [&folders::SplitFolders, &folders::ClassFolders];

/// A layout that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LayoutName {
    /// What `--layout` takes.
    pub name: &'static str,
    /// What the user is told.
    pub description: &'static str,
}

/// All layouts.
pub fn layout_names() -> Vec<LayoutName> {
    let named = |layout: &&dyn Layout| LayoutName { name: layout.name(), description: layout.description() };
    JOINT.iter().chain(&SINGLE).map(named).collect()
}

/// What the user is told of the layout of that name.
pub(crate) fn description(name: &str) -> Option<&'static str> {
    JOINT.iter().chain(&SINGLE).find(|layout| layout.name() == name).map(|layout| layout.description())
}

/// The files that a layout looks at.
#[derive(Clone)]
pub struct View<'a> {
    /// All files.
    pub listing: &'a Listing,
    /// Which of the listing's roots.
    pub roots: Range<usize>,
    /// What the user asked for.
    pub request: &'a Request,
    /// Stops the reading of annotations.
    pub cancel: &'a AtomicBool,
}

impl<'a> View<'a> {
    /// The entries of this view with their numbers.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (usize, &'a Entry)> + use<'a> {
        let roots = &self.listing.roots[self.roots.clone()];
        let start = roots.first().map_or(0, |root| root.entries.start);
        let end = roots.last().map_or(0, |root| root.entries.end);
        self.listing.entries[start..end].iter().enumerate().map(move |(i, entry)| (start + i, entry))
    }

    /// Those that are images by their names.
    pub fn images(&self) -> impl DoubleEndedIterator<Item = (usize, &'a Entry)> + use<'a> {
        self.entries().filter(|(_, entry)| entry.kind == Kind::Image)
    }

    /// Those that hold text.
    pub fn texts(&self) -> impl DoubleEndedIterator<Item = (usize, &'a Entry)> + use<'a> {
        self.entries().filter(|(_, entry)| entry.kind == Kind::Text)
    }

    /// The text whose file has that name, the one nearest to the top.
    pub fn text(&self, name: &str) -> Option<&'a Entry> {
        let named = self.texts().filter(|(_, entry)| entry.file_name() == name.as_bytes());
        named.map(|(_, entry)| entry).min_by_key(|entry| entry.parts().count())
    }

    /// Reads texts.
    pub fn reader(&self) -> Reader<'a> {
        Reader::new(self.listing, self.cancel)
    }

    /// The sources as messages name them.
    pub fn shown(&self) -> String {
        let roots = self.listing.roots[self.roots.clone()].iter();
        roots.map(|root| root.path.display().to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// The layouts of a request's sources: one of all together, or one of each.
pub fn recognise<'a>(whole: &View<'a>) -> Result<Vec<(&'static dyn Layout, View<'a>)>> {
    let each = || whole.roots.clone().map(|root| View { roots: root..root + 1, ..whole.clone() });
    if let Some(name) = &whole.request.layout {
        if let Some(layout) = JOINT.into_iter().find(|layout| layout.name() == name) {
            return Ok(vec![(layout, whole.clone())]);
        }
        let layout = SINGLE.into_iter().find(|layout| layout.name() == name).ok_or_else(|| {
            Error::new(LAYOUT_UNKNOWN, format!("there is no layout {name:?}")).info(format!(
                "known: {}",
                layout_names().iter().map(|it| it.name).collect::<Vec<_>>().join(", ")
            ))
        })?;
        return Ok(each().map(|view| (layout, view)).collect());
    }
    if let Some(layout) = JOINT.into_iter().find(|layout| layout.recognise(whole)) {
        return Ok(vec![(layout, whole.clone())]);
    }
    each()
        .map(|view| match SINGLE.into_iter().find(|layout| layout.recognise(&view)) {
            Some(layout) => Ok((layout, view)),
            None => Err(unknown(&view)),
        })
        .collect()
}

fn unknown(view: &View<'_>) -> Error {
    let first = view.images().next().map_or("none".to_owned(), |(_, entry)| entry.shown());
    Error::new(LAYOUT_UNKNOWN, format!("cannot tell the classes of the images in {}", view.shown()))
        .info(format!(
            "its {} images are in no folder that could name a class; the first is {first}",
            view.images().count()
        ))
        .hint("sort them into a folder a class (cats/1.jpg, dogs/2.jpg), or into train/<class>/ and val/<class>/")
}

/// A WordNet ID: `n` and eight digits.
pub(crate) fn is_wnid(name: &[u8]) -> bool {
    name.len() == 9 && name[0] == b'n' && name[1..].iter().all(u8::is_ascii_digit)
}
