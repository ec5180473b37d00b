//! One shard's files: tar, index, sums of pixels, and the record that says they are whole.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ilsvrc_diagnostics::{Error, INTERNAL, Result, WRITE_FAILED};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::convert::Stored;
use super::plan::{Item, PrepPlan, Rejected, ShardPlan};
use super::statistics::{ColourSums, PixelSums};
use crate::atomic::{AtomicFile, write_atomically};
use crate::dataset::Shard;
use crate::index::{self, Row, ShardIndex, VERSION};
use crate::tar;

/// The folder below the output that holds plan, records and sums until the data set is complete.
pub(super) const UNFINISHED: &str = ".prep";

/// Paths of a shard's files.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) name: String,
    pub(super) tar: PathBuf,
    pub(super) index: PathBuf,
    pub(super) record: PathBuf,
    pub(super) sums: PathBuf,
}

impl Files {
    pub(super) fn new(out: &Path, split: &str, number: usize) -> Self {
        let stem = format!("{split}-{number:06}");
        let name = format!("{stem}.tar");
        let unfinished = out.join(UNFINISHED);
        Self {
            tar: out.join(&name),
            index: out.join(index::file_name(&name)),
            record: unfinished.join(format!("{stem}.json")),
            sums: unfinished.join(format!("{stem}.sums")),
            name,
        }
    }

    pub(super) fn of(plan: &PrepPlan, shard: &ShardPlan) -> Self {
        Self::new(&plan.out, &plan.splits[shard.split].name, shard.number)
    }

    /// The record of a finished shard. It is written last, so its files are whole.
    pub(super) fn finished(&self) -> Option<Shard> {
        let shard: Shard = serde_json::from_slice(&std::fs::read(&self.record).ok()?).ok()?;
        let length = std::fs::metadata(&self.tar).ok()?.len();
        (length == shard.bytes && shard.file == self.name).then_some(shard)
    }

    /// [`Files::finished`], if it was made of what `plan` says and left the sums that statistics need.
    pub(super) fn finished_as(&self, plan: &str, with_sums: bool) -> Option<Shard> {
        let shard = self.finished()?;
        let index = self.read_index(&shard).ok()?;
        let whole = index.plan == plan && (!with_sums || self.sums.is_file());
        whole.then_some(shard)
    }

    pub(super) fn read_index(&self, shard: &Shard) -> Result<ShardIndex> {
        let folder = self.tar.parent().unwrap_or(Path::new("."));
        ShardIndex::read(folder, &shard.file, &shard.index_sha256)
    }

    /// Says that the shard's files are whole.
    pub(super) fn write_record(&self, shard: &Shard) -> Result<()> {
        let text = json(shard)?;
        write_atomically(&self.record, |file| file.write_all(&text))
    }
}

/// Writes one shard, image after image.
pub(super) struct ShardWriter {
    files: Files,
    split: String,
    first: usize,
    archive: tar::Writer<Hashed>,
    index: ShardIndex,
}

impl ShardWriter {
    pub(super) fn create(plan: &PrepPlan, shard: &ShardPlan, with_sums: bool) -> Result<Self> {
        let files = Files::of(plan, shard);
        let file = AtomicFile::create(&files.tar)?;
        let index = ShardIndex {
            version: VERSION,
            shard: files.name.clone(),
            plan: shard.hash.clone(),
            images: Vec::with_capacity(shard.items.len()),
            rejected: Vec::new(),
            warnings: 0,
            rotations: 0,
            colours: with_sums.then(ColourSums::default),
        };
        Ok(Self {
            files,
            split: plan.splits[shard.split].name.clone(),
            first: shard.first,
            archive: tar::Writer::new(Hashed { file, hash: Sha256::new() }),
            index,
        })
    }

    /// Adds the image at `place` of the shard.
    pub(super) fn add(&mut self, place: usize, item: &Item, stored: &Stored) -> Result<()> {
        let key = key(self.first + place, &item.path);
        let offset = self.append(&key, item.class, stored);
        let offset = offset.map_err(|error| Error::io(WRITE_FAILED, "write", &self.files.tar, &error))?;
        self.index.images.push(Row {
            key,
            offset,
            length: stored.jpeg.len() as u64,
            class: item.class,
            path: item.path.to_string_lossy().into_owned(),
            size: item.size,
            boxes: stored.boxes.clone(),
        });
        self.index.warnings += u64::from(stored.warned);
        self.index.rotations += u64::from(stored.rotation);
        if let Some(colours) = &mut self.index.colours {
            colours.add(&stored.colours);
        }
        Ok(())
    }

    fn append(&mut self, key: &str, class: u32, stored: &Stored) -> io::Result<u64> {
        self.archive.append(&format!("{key}.cls"), class.to_string().as_bytes())?;
        if !stored.boxes.is_empty() {
            #[derive(Serialize)]
            struct Objects<'a> {
                boxes: &'a [[f32; 4]],
                /// Of the photo before it was prepared.
                width: usize,
                height: usize,
            }
            let [width, height] = stored.photo;
            let text = serde_json::to_vec(&Objects { boxes: &stored.boxes, width, height })?;
            self.archive.append(&format!("{key}.json"), &text)?;
        }
        self.archive.append(&format!("{key}.jpg"), &stored.jpeg)
    }

    /// Notes that an image is left out.
    pub(super) fn reject(&mut self, item: &Item, reason: String) {
        let path = item.path.to_string_lossy().into_owned();
        self.index.rejected.push(Rejected { split: self.split.clone(), path, reason });
    }

    /// Makes the shard appear, flushed to the disk: tar, index, sums, and the record last.
    pub(super) fn commit(self, sums: Option<&[u32]>) -> Result<Shard> {
        let Self { files, archive, index, .. } = self;
        let failed = |error: io::Error| Error::io(WRITE_FAILED, "write", &files.tar, &error);
        let (Hashed { file, hash }, bytes) = archive.finish().map_err(failed)?;
        file.commit()?;
        let text = json(&index)?;
        write_atomically(&files.index, |file| file.write_all(&text))?;
        if let Some(sums) = sums {
            write_atomically(&files.sums, |file| PixelSums::write(sums, file))?;
        }
        let shard = Shard {
            file: files.name.clone(),
            images: index.images.len() as u64,
            bytes,
            sha256: index::hex(&hash.finalize()),
            index_sha256: index::sha256(&text),
        };
        files.write_record(&shard)?;
        Ok(shard)
    }
}

/// `<place in the split>-<file name>`: unique, in order, and it tells which photo it was. WebDataset ends keys at a dot.
fn key(place: usize, path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
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
