//! One shard: photos in, tar and index and sums out. What is written depends on nothing but the plan and the photos.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ilsvrc_diagnostics::{Error, INTERNAL, INTERRUPTED, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::plan::{Item, PrepPlan, ShardPlan};
use super::source::Reader;
use super::statistics::{ColourSums, ShardSums};
use crate::atomic::{AtomicFile, write_atomically};
use crate::dataset::Shard;
use crate::index::{self, Row, ShardIndex, VERSION};
use crate::jpeg::{Colour, Decoded, Decoder, Encoder};
use crate::resize::Resizer;
use crate::tar;

/// What is kept of a finished shard until all are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) shard: Shard,
    pub(super) warnings: u64,
    pub(super) rejected: Vec<Rejected>,
    /// Of shards of the split that statistics are taken of; the sums of the pixels are in a file beside the record.
    pub(super) colours: Option<ColourSums>,
}

/// A line of `rejected.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rejected {
    pub(super) split: String,
    pub(super) path: String,
    pub(super) reason: String,
}

/// Paths of a shard's files.
pub(super) struct Files {
    pub(super) name: String,
    pub(super) tar: PathBuf,
    pub(super) index: PathBuf,
    pub(super) record: PathBuf,
    pub(super) sums: PathBuf,
}

impl Files {
    pub(super) fn new(plan: &PrepPlan, unfinished: &Path, shard: &ShardPlan) -> Self {
        let stem = format!("{}-{:06}", plan.splits[shard.split].name, shard.number);
        let name = format!("{stem}.tar");
        Self {
            tar: plan.out.join(&name),
            index: plan.out.join(index::file_name(&name)),
            record: unfinished.join(format!("{stem}.json")),
            sums: unfinished.join(format!("{stem}.sums")),
            name,
        }
    }

    /// The record of a shard that an earlier run finished. It is written last, so its files are whole.
    pub(super) fn finished(&self) -> Option<Record> {
        let record: Record = serde_json::from_slice(&std::fs::read(&self.record).ok()?).ok()?;
        let length = std::fs::metadata(&self.tar).ok()?.len();
        let sums_there = record.colours.is_none() || self.sums.is_file();
        (length == record.shard.bytes && self.index.is_file() && sums_there).then_some(record)
    }
}

/// The tools of one thread.
pub(super) struct Worker<'a> {
    plan: &'a PrepPlan,
    cancel: &'a AtomicBool,
    reader: Reader<'a>,
    decoder: Decoder,
    resizer: Resizer,
    encoder: Encoder,
    file: Vec<u8>,
}

/// A photo as it is stored.
struct Stored {
    jpeg: Vec<u8>,
    /// What training will see of it.
    pixels: Vec<u8>,
    warned: bool,
}

impl<'a> Worker<'a> {
    pub(super) fn new(plan: &'a PrepPlan, cancel: &'a AtomicBool) -> Self {
        Self {
            plan,
            cancel,
            reader: Reader::new(&plan.sources),
            decoder: Decoder::new(),
            resizer: Resizer::default(),
            encoder: Encoder::new(plan.quality),
            file: Vec::new(),
        }
    }

    /// Writes a shard; `seen(kept)` is called after each image.
    pub(super) fn write(&mut self, shard: &ShardPlan, files: &Files, seen: &dyn Fn(bool)) -> Result<Record> {
        let split = &self.plan.splits[shard.split];
        let mut sums = (shard.split == self.plan.statistics_split()).then(|| ShardSums::new(self.plan.size));
        let mut archive =
            tar::Writer::new(Hashed { file: AtomicFile::create(&files.tar)?, hash: Sha256::new() });
        let (mut rows, mut rejected, mut warnings) = (Vec::new(), Vec::new(), 0);
        for (i, &number) in shard.items.iter().enumerate() {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Error::new(INTERRUPTED, "prep was stopped")
                    .hint("run the same command again: it goes on where it stopped"));
            }
            let item = &split.items[number as usize];
            match self.convert(item, sums.is_some())? {
                Ok(stored) => {
                    let key = key(shard.first + i, &item.path);
                    let offset = archive
                        .append(&format!("{key}.cls"), item.class.to_string().as_bytes())
                        .and_then(|_| archive.append(&format!("{key}.jpg"), &stored.jpeg))
                        .map_err(|error| {
                            Error::io(ilsvrc_diagnostics::WRITE_FAILED, "write", &files.tar, &error)
                        })?;
                    rows.push(Row(key, offset, stored.jpeg.len() as u64, item.class));
                    warnings += u64::from(stored.warned);
                    if let Some(sums) = &mut sums {
                        sums.add(&stored.pixels);
                    }
                    seen(true);
                }
                Err(reason) => {
                    rejected.push(Rejected { split: split.name.clone(), path: item.path.clone(), reason });
                    seen(false);
                }
            }
        }
        let images = rows.len() as u64;
        let (Hashed { file, hash }, bytes) = archive
            .finish()
            .map_err(|error| Error::io(ilsvrc_diagnostics::WRITE_FAILED, "write", &files.tar, &error))?;
        file.commit()?;
        let index = json(&ShardIndex { version: VERSION, shard: files.name.clone(), images: rows })?;
        write_atomically(&files.index, |file| file.write_all(&index))?;
        if let Some(sums) = &sums {
            write_atomically(&files.sums, |file| {
                sums.pixels.iter().try_for_each(|sum| file.write_all(&sum.to_le_bytes()))
            })?;
        }
        let shard = Shard {
            file: files.name.clone(),
            images,
            bytes,
            sha256: index::hex(&hash.finalize()),
            index_sha256: index::sha256(&index),
        };
        let record = Record { shard, warnings, rejected, colours: sums.map(|sums| sums.colours) };
        let text = json(&record)?;
        write_atomically(&files.record, |file| file.write_all(&text))?;
        Ok(record)
    }

    /// A photo at the size wanted, or the reason for which it is left out.
    fn convert(&mut self, item: &Item, with_pixels: bool) -> Result<std::result::Result<Stored, String>> {
        if let Err(reason) = self.reader.read(item, &mut self.file)? {
            return Ok(Err(reason));
        }
        let Decoded { image, header, warned } = match self.decoder.decode(&self.file) {
            Ok(decoded) => decoded,
            Err(error) => return Ok(Err(error.message)),
        };
        let size = self.plan.size;
        // A photo of the right size is not compressed a second time.
        if (image.width, image.height) == (size, size) && header.colour != Colour::Cmyk && !warned {
            return Ok(Ok(Stored { jpeg: self.file.clone(), pixels: image.pixels, warned }));
        }
        let square = self.resizer.resize(&image, size, self.plan.resize);
        let jpeg = self.encoder.encode(&square)?;
        // Statistics are of what training will see: the stored JPEG, not the pixels it was made of.
        let pixels = if with_pixels { self.decoder.decode(&jpeg)?.image.pixels } else { square.pixels };
        Ok(Ok(Stored { jpeg, pixels, warned }))
    }
}

/// `<place in the split>-<file name>`: unique, in order, and it tells which photo it was. WebDataset ends keys at a dot.
fn key(place: usize, path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let plain = stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' });
    format!("{place:08}-{}", plain.take(80).collect::<String>())
}

/// Counts towards the hash what is written.
struct Hashed {
    file: AtomicFile,
    hash: Sha256,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// One line of JSON.
pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec(value)
        .map_err(|error| Error::new(INTERNAL, "cannot write JSON").info(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}
