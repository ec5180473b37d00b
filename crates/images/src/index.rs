//! `<shard>.index.json`: where each image of a shard lies, so that any image can be read without reading the shard, and
//! where it came from.
//!
//! `{"version": 2, "shard": "train-000000.tar", "plan": "…", "images": [["00000000-cat_1", 2048, 15321, 3, "cat/1.jpg", 110000,
//! []], …], …}`; the fields of a row are those of [`Row`].

use std::fs;
use std::io::Read;
use std::path::Path;

use ilsvrc_diagnostics::{Error, Result, SHARD_CORRUPT};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::prep::{ColourSums, Rejected};

/// The version of this file and of `dataset.json`.
pub const VERSION: u32 = 2;

/// The index of a shard.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardIndex {
    /// [`VERSION`].
    pub version: u32,
    /// The shard's file name.
    pub shard: String,
    /// Hash of what shaped it; empty for shards of other programs.
    pub plan: String,
    /// Its images in their order.
    pub images: Vec<Row>,
    /// Those that would be here too.
    pub rejected: Vec<Rejected>,
    /// Images kept although libjpeg warned.
    pub warnings: u64,
    /// Photos that carry an EXIF orientation.
    pub rotations: u64,
    /// Sums over all pixels, where statistics are taken of this split.
    pub(crate) colours: Option<ColourSums>,
}

/// An image; an array in the file, in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Columns", into = "Columns")]
pub struct Row {
    /// The name of its members without the ending.
    pub key: String,
    /// Where its JPEG starts in the shard.
    pub offset: u64,
    /// Length of the JPEG.
    pub length: u64,
    /// Its class.
    pub class: u32,
    /// The photo it was made of, as the source names it.
    pub path: String,
    /// Bytes of that photo.
    pub size: u64,
    /// Boxes around objects: left, top, right, bottom in prepared pixels. The crop may have cut them: they may reach outside.
    pub boxes: Vec<[f32; 4]>,
}

type Columns = (String, u64, u64, u32, String, u64, Vec<[f32; 4]>);

impl TryFrom<Columns> for Row {
    type Error = String;

    fn try_from(
        (key, offset, length, class, path, size, boxes): Columns,
    ) -> std::result::Result<Self, String> {
        // What is too large for a number of 32 bits is read as an infinite one.
        match boxes.iter().find(|edges| edges.iter().any(|edge| !edge.is_finite())) {
            Some(edges) => Err(format!("{key} has a box of {edges:?}; edges are numbers of pixels")),
            None => Ok(Self { key, offset, length, class, path, size, boxes }),
        }
    }
}

impl From<Row> for Columns {
    fn from(row: Row) -> Self {
        (row.key, row.offset, row.length, row.class, row.path, row.size, row.boxes)
    }
}

/// The name of the index of `shard` (`train-000000.tar`).
pub fn file_name(shard: &str) -> String {
    format!("{}.index.json", shard.strip_suffix(".tar").unwrap_or(shard))
}

impl ShardIndex {
    /// Reads the index of `shard` in `folder`, which must have the hash that the manifest names.
    pub fn read(folder: &Path, shard: &str, expected_sha256: &str) -> Result<Self> {
        let name = file_name(shard);
        let path = folder.join(&name);
        let damaged = |info: String| {
            Error::new(SHARD_CORRUPT, format!("{} is damaged", path.display()))
                .info(info)
                .hint(check_hint(folder))
        };
        let bytes = fs::read(&path).map_err(|error| damaged(error.to_string()))?;
        if sha256(&bytes) != expected_sha256 {
            return Err(damaged("its SHA-256 is not the one in dataset.json".to_owned()));
        }
        let index: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if index.version != VERSION || index.shard != shard {
            return Err(damaged(format!("it is the index of {} (version {})", index.shard, index.version)));
        }
        Ok(index)
    }
}

impl ShardIndex {
    /// Reads an index that no manifest vouches for; nothing when it cannot be read.
    pub(crate) fn read_unverified(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}

/// The remedy for a damaged data set.
pub(crate) fn check_hint(folder: &Path) -> String {
    format!("ilsvrc prep --check {}", folder.display())
}

/// Lower-case hexadecimal SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of everything that `input` yields; `seen` gets the length of each piece and may stop with an error.
pub(crate) fn sha256_of(
    input: &mut impl Read,
    mut seen: impl FnMut(usize) -> std::io::Result<()>,
) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            n => {
                hash.update(&buffer[..n]);
                seen(n)?;
            }
        }
    }
}
