//! From shards to a data set: the list of what was left out, mean image, colour statistics and the manifest, written last.

use std::fs;
use std::io::Write;
use std::path::Path;

use ilsvrc_diagnostics::{Error, INTERNAL, Result, SHARD_CORRUPT, SOURCE_EMPTY, TOO_MANY_REJECTED};

use super::output::{self, Kept};
use super::plan::{About, Rejected};
use super::shard::{Files, json};
use super::statistics::{ColourSums, PixelSums};
use crate::atomic::write_atomically;
use crate::dataset::{MANIFEST, MEAN, Manifest, NO_CHECKSUM, Preprocessing, REJECTED, Shard, Split};
use crate::index::{VERSION, sha256};
use crate::npy;

/// What the shards' indexes say together.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) kept: u64,
    pub(super) rejected: Vec<Rejected>,
    pub(super) warnings: u64,
    pub(super) rotations: u64,
    pub(super) colours: ColourSums,
}

/// Writes what the data set has beside the shards, of which `records` are in the order of `kept.files`.
pub(super) fn finish(out: &Path, kept: &Kept, records: &[Shard]) -> Result<Manifest> {
    let files = kept.files(out);
    let totals = totals(kept, &files, records)?;
    let splits = kept.splits.iter().enumerate().map(|(number, (name, _))| {
        let of_split = files.iter().zip(records).filter(|((split, _), _)| *split == number);
        let shards: Vec<Shard> = of_split.map(|(_, record)| record.clone()).collect();
        Split { name: name.clone(), images: shards.iter().map(|shard| shard.images).sum(), shards }
    });
    account(out, kept, &totals)?;
    let mean = mean(out, kept, &files, &totals.colours)?;
    let manifest = write_manifest(out, kept, splits.collect(), &totals, &mean)?;
    output::close(out)?;
    Ok(manifest)
}

/// Writes `rejected.jsonl`; an error when there are too many in it.
pub(super) fn account(out: &Path, kept: &Kept, totals: &Totals) -> Result<()> {
    let text = rejected(&totals.rejected)?;
    write_atomically(&out.join(REJECTED), |file| file.write_all(&text))?;
    check_rejected(out, &kept.about, totals)
}

/// Writes the mean, and the manifest last.
pub(super) fn write_manifest(
    out: &Path,
    kept: &Kept,
    splits: Vec<Split>,
    totals: &Totals,
    mean: &[u8],
) -> Result<Manifest> {
    let rejected_sha256 = sha256(&rejected(&totals.rejected)?);
    write_atomically(&out.join(MEAN), |file| file.write_all(mean))?;
    let manifest = Manifest { rejected_sha256, ..manifest(kept, splits, totals, mean) };
    let text = manifest.to_text()?;
    write_atomically(&out.join(MANIFEST), |file| file.write_all(text.as_bytes()))?;
    Ok(manifest)
}

pub(super) fn totals(kept: &Kept, files: &[(usize, Files)], records: &[Shard]) -> Result<Totals> {
    let mut totals = Totals { rejected: kept.about.rejected.clone(), ..Totals::default() };
    for ((_, files), record) in files.iter().zip(records) {
        let index = files.read_index(record)?;
        totals.kept += index.images.len() as u64;
        totals.rejected.extend(index.rejected);
        totals.warnings += index.warnings;
        totals.rotations += index.rotations;
        if let Some(colours) = &index.colours {
            totals.colours.add(colours);
        }
    }
    Ok(totals)
}

/// The text of `rejected.jsonl`.
pub(super) fn rejected(rejected: &[Rejected]) -> Result<Vec<u8>> {
    Ok(rejected.iter().map(json).collect::<Result<Vec<_>>>()?.concat())
}

fn check_rejected(out: &Path, about: &About, totals: &Totals) -> Result<()> {
    let (rejected, images) = (totals.rejected.len(), totals.kept + totals.rejected.len() as u64);
    let share = rejected as f64 / images as f64;
    let Some(first) = totals.rejected.first().filter(|_| share > about.max_rejected) else { return Ok(()) };
    let list = out.join(REJECTED);
    Err(Error::new(
        TOO_MANY_REJECTED,
        format!(
            "{rejected} of {images} images ({:.1} %) cannot be used; at most {:.1} % are allowed",
            share * 100.0,
            about.max_rejected * 100.0
        ),
    )
    .info(format!("for example {}: {}; all are listed in {}", first.path, first.reason, list.display()))
    .hint("mend them and run again, or allow more with --max-rejected"))
}

/// The mean image as a file.
pub(super) fn mean(
    out: &Path,
    kept: &Kept,
    files: &[(usize, Files)],
    colours: &ColourSums,
) -> Result<Vec<u8>> {
    if let Ok(mean) = fs::read(output::kept_mean(out)) {
        return Ok(mean);
    }
    let side = kept.about.settings.size;
    let images = colours.count / (side * side) as u64;
    if images == 0 {
        let name = &kept.splits[kept.statistics].0;
        return Err(Error::new(SOURCE_EMPTY, format!("no image of the split {name} can be used")));
    }
    let mut pixels = vec![0u64; side * side * 3];
    for (_, files) in files.iter().filter(|(split, _)| *split == kept.statistics) {
        let bytes = fs::read(&files.sums).map_err(|error| error.to_string());
        bytes.and_then(|bytes| PixelSums::add_to(&mut pixels, &bytes)).map_err(|reason| {
            Error::new(SHARD_CORRUPT, format!("{} is damaged", files.sums.display()))
                .info(reason)
                .hint("run again with --force")
        })?;
    }
    mean_file(side, &pixels, colours)
}

/// The mean image as a file, of the sums of all images.
pub(super) fn mean_file(side: usize, pixels: &[u64], colours: &ColourSums) -> Result<Vec<u8>> {
    let images = (colours.count / (side * side).max(1) as u64).max(1) as f64;
    let mean: Vec<f32> = pixels.iter().map(|&sum| (sum as f64 / images) as f32).collect();
    let mut file = Vec::new();
    npy::write(&mut file, &[side, side, 3], &mean)
        .map_err(|error| Error::new(INTERNAL, "cannot write the mean image").info(error.to_string()))?;
    Ok(file)
}

fn manifest(kept: &Kept, splits: Vec<Split>, totals: &Totals, mean: &[u8]) -> Manifest {
    let Kept { hash, about, statistics, .. } = kept;
    let settings = &about.settings;
    Manifest {
        version: VERSION,
        checksum: NO_CHECKSUM.to_owned(),
        name: about.name.clone(),
        size: settings.size,
        classes: about.classes.clone(),
        splits,
        rejected: totals.rejected.len() as u64,
        warnings: totals.warnings,
        rotations: totals.rotations,
        ignored: about.ignored.clone(),
        statistics_of: kept.splits[*statistics].0.clone(),
        channel_mean: totals.colours.mean(),
        pca: totals.colours.pca(),
        mean_sha256: sha256(mean),
        rejected_sha256: String::new(),
        preprocessing: Preprocessing {
            resize: settings.resize,
            filter: crate::resize::FILTER.to_owned(),
            decoder: crate::photo::DECODER.to_owned(),
            exif_rotate: settings.exif_rotate,
            quality: settings.quality,
            subsampling: "4:2:0".to_owned(),
            seed: settings.seed,
            shard_images: settings.shard_images,
            layout: about.layout.clone(),
            class_order: about.class_order.clone(),
            sources: about.sources.clone(),
        },
        request: about.request.clone(),
        plan: hash.clone(),
    }
}

impl Manifest {
    /// What the plan said beside its images, as far as a later run compares it.
    pub(super) fn about(&self) -> About {
        let Preprocessing { resize, exif_rotate, quality, seed, shard_images, .. } = self.preprocessing;
        About {
            name: self.name.clone(),
            settings: super::plan::Settings {
                size: self.size,
                resize,
                exif_rotate,
                quality,
                seed,
                shard_images,
            },
            max_rejected: 0.0,
            layout: self.preprocessing.layout.clone(),
            class_order: self.preprocessing.class_order.clone(),
            sources: self.preprocessing.sources.clone(),
            classes: self.classes.clone(),
            rejected: Vec::new(),
            ignored: self.ignored.clone(),
            request: self.request.clone(),
        }
    }
}
