//! WebDataset shards: archives of samples, each `key.jpg` with its label in `key.cls` or `key.json`. A key is a path up to
//! the first dot of its last part.

use ilsvrc_diagnostics::Result;

use super::{Layout, View};
use crate::assignment::{Assignment, Split};
use crate::formats::sample::{self, Label};
use crate::formats::{Rect, in_file};
use crate::listing::{Entry, Kind, Reader, Store};
use crate::names;
use crate::split::belongs_to_validation;

/// Shards in a folder or named one by one. Their names say the split; where none is for validation, a tenth is.
pub(super) struct WebDataset;

impl Layout for WebDataset {
    fn name(&self) -> &'static str {
        "webdataset"
    }

    fn description(&self) -> &'static str {
        "WebDataset shards: <key>.jpg with <key>.cls or <key>.json"
    }

    fn recognise(&self, view: &View<'_>) -> bool {
        let is_tar = |entry: &Entry| archive_name(view, entry).is_some();
        view.texts().any(|(_, entry)| entry.file_name().ends_with(b".cls"))
            || samples(view).any(|sample| {
                sample.image().is_some_and(|(_, entry)| is_tar(entry)) && sample.text(b".json").is_some()
            })
    }

    fn assign(&self, view: &View<'_>, assignment: &mut Assignment) -> Result<()> {
        let names = view.request.names.as_deref().map(names::given).transpose()?;
        let validation = [Named::Val, Named::Test].into_iter().find(|&named| {
            samples(view)
                .any(|sample| sample.image().is_some_and(|(_, entry)| named_split(view, entry) == named))
        });
        let mut reader = view.reader();
        for sample in samples(view) {
            for (_, entry) in sample.images().skip(1) {
                assignment.reject("", entry.shown(), "a second image of its sample");
            }
            let Some((number, entry)) = sample.image() else { continue };
            let split = match (named_split(view, entry), validation) {
                (named, Some(validation)) if named == validation => Split::Val,
                (Named::Test, Some(_)) => {
                    assignment.ignore("in a shard that is neither for training nor for validation");
                    continue;
                }
                (_, Some(_)) => Split::Train,
                (_, None) if belongs_to_validation(sample.name(), view.request.seed) => Split::Val,
                (_, None) => Split::Train,
            };
            let labelled = sample.label(&mut reader)?;
            let keyed = labelled.and_then(|(label, boxes)| Ok((key_of(label, names.as_deref())?, boxes)));
            match keyed {
                Ok((key, boxes)) => assignment.keep(split, number, &key, boxes),
                Err(reason) => assignment.reject(split.name(), entry.shown(), reason),
            }
        }
        if let Some(names) = names {
            assignment.words = names
                .into_iter()
                .map(|(key, words)| (key, names::first_synonym(&words).to_owned()))
                .collect();
            assignment.class_order = "lines of the file of names".to_owned();
        } else {
            let all_numbers = assignment.pad_numbers();
            assignment.class_order =
                if all_numbers { "numbers of the labels" } else { "names of the labels" }.to_owned();
        }
        Ok(())
    }
}

/// The class of a label: its line in the file of names, or the number or name itself.
fn key_of(label: Label, names: Option<&[(String, String)]>) -> std::result::Result<String, String> {
    match (label, names) {
        (Label::Name(name), _) => Ok(name),
        (Label::Number(number), None) => Ok(number.to_string()),
        (Label::Number(number), Some(names)) => {
            let line = names.get(number as usize).map(|(key, _)| key.clone());
            line.ok_or_else(|| format!("label {number}, but the file of names has {} lines", names.len()))
        }
    }
}

/// What a shard is for by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Train,
    Val,
    Test,
}

fn archive_name<'a>(view: &View<'a>, entry: &Entry) -> Option<&'a [u8]> {
    let Store::Source { source, .. } = view.listing.stores[entry.store as usize] else { return None };
    let source = &view.listing.sources[source as usize];
    let is_tar = source.kind == ilsvrc_images::SourceKind::Tar;
    source.path.file_name().filter(|_| is_tar).map(|name| name.as_encoded_bytes())
}

fn named_split(view: &View<'_>, entry: &Entry) -> Named {
    let holds =
        |name: &[u8], word: &[u8]| name.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    let folders = &entry.bytes()[..entry.bytes().len() - entry.file_name().len()];
    let archive = archive_name(view, entry).unwrap_or_default();
    let any = |word: &[u8]| holds(archive, word) || holds(folders, word);
    if any(b"train") {
        Named::Train
    } else if any(b"val") {
        Named::Val
    } else if any(b"test") {
        Named::Test
    } else {
        Named::Train
    }
}

/// The files that share a key; they follow each other in the listing.
struct Sample<'a>(Vec<(usize, &'a Entry)>);

impl<'a> Sample<'a> {
    fn images(&self) -> impl Iterator<Item = (usize, &'a Entry)> {
        self.0.iter().copied().filter(|(_, entry)| entry.kind == Kind::Image)
    }

    fn image(&self) -> Option<(usize, &'a Entry)> {
        self.images().next()
    }

    fn text(&self, ending: &[u8]) -> Option<&'a Entry> {
        self.0.iter().map(|(_, entry)| *entry).find(|entry| entry.file_name().ends_with(ending))
    }

    /// The last part of its key.
    fn name(&self) -> &'a [u8] {
        self.0.first().map_or(b"", |(_, entry)| name_in_key(entry))
    }

    /// Label and boxes, or the reason why there are none.
    fn label(&self, reader: &mut Reader<'_>) -> Result<std::result::Result<(Label, Vec<Rect>), String>> {
        let (cls, json) = (self.text(b".cls"), self.text(b".json"));
        let parsed = match (cls, json) {
            (Some(cls), json) => {
                let label = sample::cls(&reader.read(cls)?).map_err(in_file(cls.shown()));
                let boxes = match json {
                    Some(json) => sample::json_boxes(&reader.read(json)?).map_err(in_file(json.shown())),
                    None => Ok(Vec::new()),
                };
                label.and_then(|label| Ok((Label::Number(label), boxes?)))
            }
            (None, Some(json)) => {
                let sample = sample::json(&reader.read(json)?).map_err(in_file(json.shown()));
                sample.map(|sample| (sample.label, sample.boxes))
            }
            (None, None) => return Ok(Err("no label beside it: neither .cls nor .json".to_owned())),
        };
        Ok(parsed.map_err(|error| error.message))
    }
}

fn name_in_key(entry: &Entry) -> &[u8] {
    let name = entry.file_name();
    &name[..name.iter().position(|&byte| byte == b'.').unwrap_or(name.len())]
}

fn key(entry: &Entry) -> (u32, &[u8]) {
    let behind = entry.file_name().len() - name_in_key(entry).len();
    (entry.store, &entry.bytes()[..entry.bytes().len() - behind])
}

fn samples<'a>(view: &View<'a>) -> impl Iterator<Item = Sample<'a>> + use<'a> {
    let mut entries = view.entries().peekable();
    std::iter::from_fn(move || {
        let first = entries.next()?;
        let mut files = vec![first];
        while let Some(next) = entries.next_if(|(_, entry)| key(entry) == key(first.1)) {
            files.push(next);
        }
        Some(Sample(files))
    })
}

#[cfg(test)]
#[path = "webdataset_tests.rs"]
mod tests;
