//! Boxes of images from VOC files in the listing.

use std::collections::HashMap;

use ilsvrc_diagnostics::Result;

use crate::assignment::Assignment;
use crate::formats::{Rect, voc};
use crate::layouts::View;
use crate::listing::{Entry, Reader, stem};

/// How an image and its VOC file find each other.
type Key = fn(&Entry) -> Vec<u8>;

/// The VOC files of a view.
pub(crate) struct Objects<'a> {
    files: HashMap<Vec<u8>, &'a Entry>,
    key: Key,
    /// Files by name alone, where one image and one file have it.
    unique: HashMap<&'a [u8], &'a Entry>,
    reader: Reader<'a>,
}

impl<'a> Objects<'a> {
    /// Files beside their images, or under the same path below a folder `Annotations`, or all in one folder where names
    /// tell which image is meant.
    pub(crate) fn beside(view: &View<'a>) -> Self {
        let objects = Self::keyed(view, without_annotations);
        if objects.files.is_empty() {
            return objects;
        }
        let mut images: HashMap<&[u8], u32> = HashMap::new();
        view.images().for_each(|(_, entry)| *images.entry(entry.stem()).or_default() += 1);
        let mut names: HashMap<&[u8], u32> = HashMap::new();
        objects.files.values().for_each(|file| *names.entry(file.stem()).or_default() += 1);
        let is_unique = |name: &[u8]| images.get(name) == Some(&1) && names.get(name) == Some(&1);
        let unique = objects.files.values().filter(|file| is_unique(file.stem()));
        let unique = unique.map(|&file| (file.stem(), file)).collect();
        Self { unique, ..objects }
    }

    /// Files of the same name, wherever they lie: ImageNet's names are unique.
    pub(crate) fn by_name(view: &View<'a>) -> Self {
        Self::keyed(view, |entry| entry.stem().to_vec())
    }

    fn keyed(view: &View<'a>, key: Key) -> Self {
        let files = view.texts().filter(|(_, entry)| entry.file_name().ends_with(b".xml"));
        let files = files.map(|(_, entry)| (key(entry), entry)).collect();
        Self { files, key, unique: HashMap::new(), reader: view.reader() }
    }

    /// The boxes around objects of `class` in an image; where none is named like the class, around all objects.
    /// A file that cannot be understood is rejected; the image is kept without boxes.
    pub(crate) fn boxes(
        &mut self,
        image: &Entry,
        class: &[u8],
        assignment: &mut Assignment,
    ) -> Result<Vec<Rect>> {
        if self.files.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.files.get(&(self.key)(image)).or_else(|| self.unique.get(image.stem()));
        let Some(&file) = found else { return Ok(Vec::new()) };
        let annotation = match voc::annotation(&self.reader.read(file)?) {
            Ok(annotation) => annotation,
            Err(error) => {
                assignment.rejected_texts += 1;
                assignment.reject("", file.shown(), error.message);
                return Ok(Vec::new());
            }
        };
        let all = annotation.objects.iter();
        let own: Vec<_> = all.clone().filter(|object| object.name.as_bytes() == class).collect();
        let chosen = if own.is_empty() { all.collect() } else { own };
        Ok(chosen.into_iter().map(|object| [object.left, object.top, object.right, object.bottom]).collect())
    }
}

fn without_annotations(entry: &Entry) -> Vec<u8> {
    let mut key = Vec::new();
    let mut parts: Vec<&[u8]> =
        entry.parts().filter(|part| !part.eq_ignore_ascii_case(b"annotations")).collect();
    if let Some(file) = parts.last_mut() {
        *file = stem(file);
    }
    for part in parts {
        key.extend_from_slice(part);
        key.push(b'/');
    }
    key
}
