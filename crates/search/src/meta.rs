//! `meta.json`: what a store holds and where it came from. Everything in it is checked before a size is believed.

use std::path::Path;

use ilsvrc_diagnostics::{Error, Result, STORE_CORRUPT, STORE_FOREIGN};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::code::{ALIGNMENT, MAX_DIMENSION, ROW_FIELDS};

/// The version of the store that this program writes and reads.
const VERSION: u64 = 1;

/// The name of the file; it is written last, so a folder with one is whole.
pub(crate) const META: &str = "meta.json";
/// Coded vectors, `count` rows of `stride` bytes.
pub(crate) const CODES: &str = "vectors.u8";
/// Five `f32` for each row: scale, zero, sum, norm, error.
pub(crate) const ROWS: &str = "rows.f32";
/// Who the rows are: a line of JSON each.
pub(crate) const IDS: &str = "ids.jsonl";
/// The mean, and then the components, as rows of `source_dimension` `f32`.
pub(crate) const PCA: &str = "pca.f32";

/// All files that a store may have; the last ones are what another search engine made of it.
pub(crate) const FILES: [&str; 10] = [
    META,
    CODES,
    ROWS,
    "vectors.f32",
    "vectors.f16",
    IDS,
    PCA,
    "usearch.index",
    "usearch.index.tmp",
    "usearch.json",
];

/// The numbers that vectors are compared with exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As the net computes them.
    F32,
    /// Half of the disk, three digits.
    F16,
}

impl Precision {
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::F32 => "vectors.f32",
            Self::F16 => "vectors.f16",
        }
    }
}

/// A class of the data set; its number is its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Its WordNet id, or folder.
    pub wnid: String,
    /// For people.
    pub name: String,
}

/// Where the vectors came from: a store that says something else than what is asked for is stale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The layer whose values they are.
    pub layer: String,
    /// The split of the data set.
    pub split: String,
    /// The checksum of the model file.
    pub model: String,
    /// The hash of the data set's plan.
    pub data: String,
    /// How the photos became the net's input, as the model says.
    pub preprocessing: Value,
    /// The data set's classes.
    pub classes: Vec<Class>,
}

/// Principal components that vectors were projected on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// Rows that they were computed from: the first ones.
    pub sample: usize,
    /// The share of the sample's variance that they keep.
    pub explained: f64,
}

/// `meta.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Of the format.
    pub version: u64,
    /// Vectors.
    pub count: usize,
    /// Elements of a vector as it is stored.
    pub dimension: usize,
    /// Elements of a vector of the layer: of a query.
    pub source_dimension: usize,
    /// Bytes of a coded vector.
    pub stride: usize,
    /// What is kept beside the codes.
    pub precision: Precision,
    /// Length of `ids.jsonl`.
    pub ids_bytes: u64,
    /// Where `source_dimension` and `dimension` differ.
    pub pca: Option<Fitted>,
    /// Where they came from.
    #[serde(flatten)]
    pub about: About,
}

impl Meta {
    /// The description of `count` vectors of `dimension` elements.
    pub(crate) fn new(about: About, dimension: usize, source_dimension: usize, precision: Precision) -> Self {
        Self {
            version: VERSION,
            count: 0,
            dimension,
            source_dimension,
            stride: dimension.next_multiple_of(ALIGNMENT),
            precision,
            ids_bytes: 0,
            pca: None,
            about,
        }
    }

    /// Reads the content of a `meta.json`; `path` is for the message.
    ///
    /// # Errors
    /// `STORE_FOREIGN` where it is of another version or program, `STORE_CORRUPT` where it contradicts itself.
    pub fn parse(json: &[u8], path: &Path) -> Result<Self> {
        let foreign = |why: String| {
            Error::new(STORE_FOREIGN, format!("{} is not of a feature store of this version", path.display()))
                .info(why)
        };
        let value: Value = serde_json::from_slice(json).map_err(|error| {
            Error::new(STORE_CORRUPT, format!("{} is damaged", path.display())).info(error.to_string())
        })?;
        match value.get("version") {
            Some(found) if found.as_u64() == Some(VERSION) => {}
            Some(found) => {
                return Err(foreign(format!("it has version {found}, this program reads {VERSION}")));
            }
            None => return Err(foreign("it has no version".into())),
        }
        let meta: Self = serde_json::from_value(value).map_err(|error| foreign(error.to_string()))?;
        meta.check().map_err(|why| {
            Error::new(STORE_CORRUPT, format!("{} contradicts itself", path.display())).info(why)
        })?;
        Ok(meta)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let range = 1..=MAX_DIMENSION;
        if !range.contains(&self.dimension) || !range.contains(&self.source_dimension) {
            return Err(format!(
                "vectors have {} elements; 1 to {MAX_DIMENSION} are possible",
                self.dimension
            ));
        }
        if self.stride != self.dimension.next_multiple_of(ALIGNMENT) {
            return Err(format!("{} bytes a row do not fit {} elements", self.stride, self.dimension));
        }
        if self.count == 0 || self.count > u32::MAX as usize {
            return Err(format!("it holds {} vectors; 1 to {} are possible", self.count, u32::MAX));
        }
        match self.pca {
            None if self.dimension != self.source_dimension => {
                Err("it has fewer elements than its source, and no components".into())
            }
            Some(_) if self.dimension > self.source_dimension => {
                Err("it has more components than its source has elements".into())
            }
            _ => Ok(()),
        }
    }

    /// Each file of the store and its length. The largest store has 2^32 rows of 2^18 bytes: nothing overflows.
    pub(crate) fn files(&self) -> Vec<(&'static str, u64)> {
        let (count, dimension) = (self.count as u64, self.dimension as u64);
        let mut files = vec![
            (CODES, count * self.stride as u64),
            (ROWS, count * 4 * ROW_FIELDS as u64),
            (self.precision.file(), count * dimension * self.precision.bytes()),
            (IDS, self.ids_bytes),
        ];
        if self.pca.is_some() {
            files.push((PCA, (dimension + 1) * self.source_dimension as u64 * 4));
        }
        files
    }

    /// Bytes of all files but this one.
    pub fn bytes(&self) -> u64 {
        self.files().iter().map(|(_, length)| length).sum()
    }
}
