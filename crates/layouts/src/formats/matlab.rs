//! The classes of ImageNet's development kits: the struct array `synsets` of `data/meta.mat`.
//! 2012 (`ILSVRC2012_ID`) and 2010 (`ILSVRC2010_ID`) have the same fields; leaves are the classes that images are of.

use std::collections::HashSet;

use ilsvrc_diagnostics::Result;

use super::mat5::{Array, Structs, Variable};
use super::{MAX_CLASSES, malformed, shown};

/// A node of the hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synset {
    /// The number of the ground truth files and of submissions, from 1: unique.
    pub id: u32,
    /// The WordNet ID, for example `n01440764`: unique.
    pub wnid: String,
    /// The synonyms, with commas between.
    pub words: String,
    /// What it means; empty where the file does not say.
    pub gloss: String,
    /// How many nodes are right below; 0 for the classes that images are of.
    pub num_children: u32,
    /// How many training images it has; 0 where the file does not say.
    pub num_train_images: u32,
}

/// The nodes of a `meta.mat`, in its order.
pub fn synsets(file: &[u8]) -> Result<Vec<Synset>> {
    let variable = Variable::find(file, "synsets").map_err(malformed)?;
    let variable =
        variable.ok_or_else(|| malformed("no variable synsets; meta.mat of a development kit has it"))?;
    let in_variable = |reason| malformed(format!("synsets: {reason}"));
    let mut structs = variable.array().and_then(|array| array.structs()).map_err(in_variable)?;
    if structs.count > MAX_CLASSES as usize {
        return Err(in_variable(format!("{} elements; at most {MAX_CLASSES} are read", structs.count)));
    }
    let columns = Columns::of(&structs).map_err(in_variable)?;
    let (mut ids, mut wnids) = (HashSet::new(), HashSet::new());
    let mut synsets = Vec::with_capacity(structs.count);
    for element in 1..=structs.count {
        let synset = columns
            .read(&mut structs)
            .map_err(|reason| in_variable(format!("element {element}, {reason}")))?;
        if synset.id == 0 || !ids.insert(synset.id) {
            let reason = format!("element {element}: ID {}; IDs are unique and start at 1", synset.id);
            return Err(in_variable(reason));
        }
        if synset.wnid.is_empty() || !wnids.insert(synset.wnid.clone()) {
            let seen = shown(synset.wnid.as_bytes());
            return Err(in_variable(format!(
                "element {element}: WNID {seen}; WNIDs are unique and not empty"
            )));
        }
        synsets.push(synset);
    }
    Ok(synsets)
}

/// What a field of the struct is to us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Id,
    Wnid,
    Words,
    Gloss,
    NumChildren,
    NumTrainImages,
    Other,
}

struct Columns(Vec<(Column, String)>);

impl Columns {
    fn of(structs: &Structs<'_>) -> Result<Self, String> {
        let columns: Vec<_> = structs
            .names
            .iter()
            .map(|name| {
                let column = match name.as_slice() {
                    b"WNID" => Column::Wnid,
                    b"words" => Column::Words,
                    b"gloss" => Column::Gloss,
                    b"num_children" => Column::NumChildren,
                    b"num_train_images" => Column::NumTrainImages,
                    name if name.ends_with(b"_ID") => Column::Id,
                    _ => Column::Other,
                };
                (column, String::from_utf8_lossy(name).into_owned())
            })
            .collect();
        let count = |column| columns.iter().filter(|(c, _)| *c == column).count();
        let required = [
            (Column::Id, "*_ID"),
            (Column::Wnid, "WNID"),
            (Column::Words, "words"),
            (Column::NumChildren, "num_children"),
        ];
        for (column, name) in required {
            if count(column) != 1 {
                return Err(format!("{} fields named {name}; one is due", count(column)));
            }
        }
        Ok(Self(columns))
    }

    /// The next element.
    fn read(&self, structs: &mut Structs<'_>) -> Result<Synset, String> {
        let (mut id, mut num_children, mut num_train_images) = (0, 0, 0);
        let (mut wnid, mut words, mut gloss) = (String::new(), String::new(), String::new());
        for (column, name) in &self.0 {
            let mut store = |array: Array<'_>| {
                match column {
                    Column::Id => id = array.whole_number()?,
                    Column::Wnid => wnid = array.text()?,
                    Column::Words => words = array.text()?,
                    Column::Gloss => gloss = array.text()?,
                    Column::NumChildren => num_children = array.whole_number()?,
                    Column::NumTrainImages => num_train_images = array.whole_number()?,
                    Column::Other => {}
                }
                Ok(())
            };
            structs
                .value()
                .and_then(&mut store)
                .map_err(|reason: String| format!("field {name}: {reason}"))?;
        }
        Ok(Synset { id, wnid, words, gloss, num_children, num_train_images })
    }
}

#[cfg(test)]
#[path = "matlab_tests.rs"]
mod tests;
