//! `<shard>.index.json`: where each image of a shard lies, so that any image can be read without reading the shard.
//!
//! `{"version": 1, "shard": "train-000000.tar", "images": [["00000000-cat_1", 2048, 15321, 3], ...]}`; a row is key, offset
//! of the JPEG's first byte in the shard, its length, its class.

use std::fs;
use std::io::Read;
use std::path::Path;

use ilsvrc_diagnostics::{Error, Result, SHARD_CORRUPT};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The version of this file and of `dataset.json`.
pub const VERSION: u32 = 1;

/// The index of a shard.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardIndex {
    /// [`VERSION`].
    pub version: u32,
    /// The shard's file name.
    pub shard: String,
    /// Its images in their order.
    pub images: Vec<Row>,
}

/// Key, offset, length, class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row(pub String, pub u64, pub u64, pub u32);

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
