//! Names of classes: `n01440764 tench, Tinca tinca`, one a line, as in ImageNet's and Tiny ImageNet's files.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use ilsvrc_diagnostics::{Error, Result, SOURCE_UNREADABLE};

use crate::formats::{in_file, lists};
use crate::layouts::View;

/// Files that hold such lines, the preferred one first.
const WELL_KNOWN: [&str; 3] = ["LOC_synset_mapping.txt", "synset_words.txt", "words.txt"];

/// The lines of a file of names that the user gave: keys and all words.
pub(crate) fn given(path: &Path) -> Result<Vec<(String, String)>> {
    let bytes = fs::read(path).map_err(|error| {
        Error::new(SOURCE_UNREADABLE, format!("cannot read the class names in {}", path.display()))
            .info(error.to_string())
    })?;
    lists::names(&bytes).map_err(in_file(path.display()))
}

/// Names by key from the file that the user gave, else from a well-known one in the sources, else none.
pub(crate) fn find(view: &View<'_>) -> Result<HashMap<String, String>> {
    if let Some(path) = &view.request.names {
        return Ok(first_synonyms(given(path)?));
    }
    for name in WELL_KNOWN {
        if let Some(entry) = view.text(name) {
            let bytes = view.reader().read(entry)?;
            return Ok(first_synonyms(lists::names(&bytes).map_err(in_file(entry.shown()))?));
        }
    }
    Ok(HashMap::new())
}

fn first_synonyms(lines: Vec<(String, String)>) -> HashMap<String, String> {
    lines.into_iter().map(|(key, words)| (key, first_synonym(&words).to_owned())).collect()
}

/// `tench` of `tench, Tinca tinca`.
pub(crate) fn first_synonym(words: &str) -> &str {
    words.split(',').next().unwrap_or_default().trim()
}
