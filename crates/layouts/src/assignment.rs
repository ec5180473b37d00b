//! What a layout says of the files of a listing: each is an image of a split, rejected, or ignored for a reason.

use std::collections::{BTreeMap, HashMap};

use ilsvrc_images::Rejected;

use crate::formats::Rect;
use crate::listing::{Entry, count_up};

/// Where images go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// To learn from.
    Train,
    /// To measure with.
    Val,
}

impl Split {
    /// Its name in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
        }
    }
}

/// An image of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// Its number among the listing's entries.
    pub entry: u32,
    /// The number of its key among [`Assignment::keys`].
    pub class: u32,
    /// Boxes around objects of its class, in pixels of the photo.
    pub boxes: Box<[Rect]>,
}

/// What becomes of each file.
#[derive(Debug, Default)]
pub struct Assignment {
    /// The classes' keys (WNIDs or folder names), in the order in which they were met.
    pub keys: Vec<String>,
    numbers: HashMap<String, u32>,
    /// Images to learn from.
    pub train: Vec<Labelled>,
    /// Images to measure with.
    pub val: Vec<Labelled>,
    /// Files that cannot be used.
    pub rejected: Vec<Rejected>,
    /// Rejected ones that are no images by their names.
    pub rejected_texts: u64,
    /// Images that belong to no split, by reason.
    pub ignored: BTreeMap<String, u64>,
    /// How the source orders its classes.
    pub class_order: String,
    /// `ILSVRC2012_ID` by key, where the source has them.
    pub devkit_ids: HashMap<String, u32>,
    /// Names by key that the layout itself knows.
    pub words: HashMap<String, String>,
}

impl Assignment {
    /// The number of the class with that key.
    pub fn class(&mut self, key: &str) -> u32 {
        if let Some(&number) = self.numbers.get(key) {
            return number;
        }
        let number = self.keys.len() as u32;
        self.keys.push(key.to_owned());
        self.numbers.insert(key.to_owned(), number);
        number
    }

    /// Where all keys are numbers, fills them up with zeros: sorted as text they are then in the order of the numbers. The
    /// names stay as they were. Says whether they are.
    pub fn pad_numbers(&mut self) -> bool {
        let is_number = |key: &String| key.bytes().all(|byte| byte.is_ascii_digit());
        if !self.keys.iter().all(is_number) {
            return false;
        }
        let width = self.keys.iter().map(String::len).max().unwrap_or(0);
        for key in &mut self.keys {
            let padded = format!("{key:0>width$}");
            self.words.insert(padded.clone(), std::mem::replace(key, padded));
        }
        let numbered = self.keys.iter().cloned().zip(0..);
        self.numbers = numbered.collect();
        true
    }

    /// Puts an image into a split.
    pub fn keep(&mut self, split: Split, entry: usize, key: &str, boxes: Vec<Rect>) {
        let labelled = Labelled { entry: entry as u32, class: self.class(key), boxes: boxes.into() };
        match split {
            Split::Train => self.train.push(labelled),
            Split::Val => self.val.push(labelled),
        }
    }

    /// The same for a class named by a folder, whose name may be no text.
    pub fn keep_in_folder(
        &mut self,
        split: Split,
        number: usize,
        entry: &Entry,
        folder: &[u8],
        boxes: Vec<Rect>,
    ) {
        match std::str::from_utf8(folder) {
            Ok(key) => self.keep(split, number, key, boxes),
            Err(_) => self.reject(split.name(), entry.shown(), "the name of its class's folder is not UTF-8"),
        }
    }

    /// Leaves a file out.
    pub fn reject(&mut self, split: &str, path: String, reason: impl Into<String>) {
        self.rejected.push(Rejected { split: split.to_owned(), path, reason: reason.into() });
    }

    /// Passes an image over.
    pub fn ignore(&mut self, reason: &str) {
        count_up(&mut self.ignored, reason, 1);
    }
}
