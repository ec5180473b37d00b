//! Single images of a prepared data set: what is known of each, and where its JPEG lies. Pictures and result files name
//! images by this.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use ilsvrc_diagnostics::{Error, Result, SHARD_CORRUPT, SPLIT_EMPTY};
use serde::{Deserialize, Serialize};

use crate::dataset::Shard;
use crate::index::{Row, check_hint};
use crate::{Manifest, ShardIndex, tar};

/// What is known of an image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImageRow {
    /// Its number in the split.
    pub number: u64,
    /// The shard's file name.
    pub shard: String,
    /// See [`Row`].
    #[serde(flatten)]
    pub row: NamedRow,
    /// Columns and rows of the photo before it was prepared; known of images with boxes.
    pub source: Option<[u32; 2]>,
}

/// [`Row`], its fields by their names.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct NamedRow {
    pub key: String,
    pub offset: u64,
    pub length: u64,
    pub class: u32,
    pub path: String,
    pub boxes: Vec<[f32; 4]>,
}

impl From<Row> for NamedRow {
    fn from(Row { key, offset, length, class, path, boxes, .. }: Row) -> Self {
        Self { key, offset, length, class, path, boxes }
    }
}

/// What `<key>.json` says beside the boxes.
#[derive(Deserialize)]
struct Objects {
    width: u32,
    height: u32,
}

/// The images `numbers` of `split` in the data set `folder`, in the order asked for; all of them without numbers.
///
/// # Errors
/// Those of the manifest and of the indexes; `SPLIT_EMPTY` where the split is not there or has no such image.
pub fn image_rows(folder: &Path, split: &str, numbers: Option<&[u64]>) -> Result<Vec<ImageRow>> {
    let manifest = Manifest::read(folder)?;
    let absent = |what: String| Error::new(SPLIT_EMPTY, format!("{} has no {what}", folder.display()));
    let split = manifest
        .splits
        .iter()
        .find(|known| known.name == split)
        .ok_or_else(|| absent(format!("split {split:?}")))?;
    let mut wanted: Vec<(u64, usize)> = match numbers {
        Some(numbers) => numbers.iter().copied().zip(0..).collect(),
        None => (0..split.images).zip(0..).collect(),
    };
    wanted.sort_unstable();
    if let Some((number, _)) = wanted.last().filter(|(number, _)| *number >= split.images) {
        return Err(absent(format!(
            "image {number} in the split {}, which has {}",
            split.name, split.images
        )));
    }
    let mut found = Vec::with_capacity(wanted.len());
    let (mut wanted, mut first) = (wanted.into_iter().peekable(), 0);
    for shard in &split.shards {
        let end = first + shard.images;
        let in_shard: Vec<(u64, usize)> =
            std::iter::from_fn(|| wanted.next_if(|(number, _)| *number < end)).collect();
        if !in_shard.is_empty() {
            let rows = ShardIndex::read(folder, &shard.file, &shard.index_sha256)?.images;
            for (number, place) in in_shard {
                found.push((place, image_row(folder, shard, &rows, number, (number - first) as usize)?));
            }
        }
        first = end;
    }
    found.sort_unstable_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, row)| row).collect())
}

fn image_row(folder: &Path, shard: &Shard, rows: &[Row], number: u64, place: usize) -> Result<ImageRow> {
    let damaged = |info: String| {
        Error::new(SHARD_CORRUPT, format!("{} of {} is damaged", shard.file, folder.display()))
            .info(info)
            .hint(check_hint(folder))
    };
    let row = rows.get(place).ok_or_else(|| damaged(format!("its index has {} images", rows.len())))?;
    if row.offset.checked_add(row.length).is_none_or(|end| end > shard.bytes) {
        return Err(damaged(format!("{} lies outside", row.key)));
    }
    // What lies between the image before and this one: its class and, where it has boxes, the photo's size.
    let start = place.checked_sub(1).map_or(0, |before| {
        let Row { offset, length, .. } = &rows[before];
        offset.saturating_add(*length).next_multiple_of(512)
    });
    let source = if row.boxes.is_empty() || start >= row.offset {
        None
    } else {
        let path = folder.join(&shard.file);
        source_size(&path, start, row.offset).map_err(|error| damaged(error.to_string()))?
    };
    Ok(ImageRow { number, shard: shard.file.clone(), row: row.clone().into(), source })
}

/// More than the members before an image take is not read.
const MOST: u64 = 1 << 20;

/// The size in the `.json` member between two places of a shard.
fn source_size(shard: &Path, start: u64, end: u64) -> std::io::Result<Option<[u32; 2]>> {
    let mut bytes = vec![0; (end - start).min(MOST) as usize];
    let mut file = File::open(shard)?;
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut bytes)?;
    // The header of the image itself is the last block: it makes way for the end of an archive.
    bytes.truncate(bytes.len().saturating_sub(512));
    bytes.resize(bytes.len() + 1024, 0);
    let length = bytes.len() as u64;
    let members = tar::scan_from(Cursor::new(&bytes), length, shard, &AtomicBool::new(false), &|_| {});
    let Ok(contents) = members else { return Ok(None) };
    let json = contents.members.iter().find(|member| member.name.extension().is_some_and(|e| e == "json"));
    Ok(json.and_then(|member| {
        let place =
            usize::try_from(member.offset).ok()?..usize::try_from(member.offset + member.size).ok()?;
        let Objects { width, height } = serde_json::from_slice(bytes.get(place)?).ok()?;
        Some([width, height])
    }))
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
