//! Drawn vectors and stores, for measuring.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use ilsvrc_diagnostics::{Error, Result, WRITE_FAILED};
use ilsvrc_random::{Purpose, Stream};
use rayon::prelude::*;

use crate::code::encode;
use crate::ids::Id;
use crate::meta::{About, CODES, IDS, META, Meta, Precision, ROWS};

/// Directions that drawn vectors mix: real features vary along few.
const RANK: usize = 24;

/// Vectors like those of a layer after its ReLU: mixtures of a few directions and noise, with negative elements (three of
/// four) cut to 0.
pub fn vectors(count: usize, dimension: usize, seed: u64) -> Vec<f32> {
    let normal = |stream: &Stream, i: usize| stream.normal_pair(i as u32)[0];
    let direction = Stream::new(0, Purpose::Drawing, 1, 0);
    let directions: Vec<f32> = (0..RANK * dimension).map(|i| normal(&direction, i)).collect();
    let mut values = vec![0.0; count * dimension];
    values.par_chunks_exact_mut(dimension).enumerate().for_each(|(number, vector)| {
        let stream = Stream::new(seed, Purpose::Drawing, 2, number as u32);
        for (rank, direction) in directions.chunks_exact(dimension).enumerate() {
            let weight = normal(&stream, rank) / (1.0 + rank as f32).sqrt();
            vector.iter_mut().zip(direction).for_each(|(x, d)| *x += weight * d);
        }
        for (element, x) in vector.iter_mut().enumerate() {
            *x = (*x + 0.3 * normal(&stream, RANK + element) - 1.3).max(0.0);
        }
    });
    values
}

/// Different vectors of a drawn store: its rows are these, turned.
const PATTERNS: usize = 256;

/// Writes a store whose codes are drawn. There is nothing behind the codes: full values are a hole in their file, so it
/// is for [`crate::Store::scan`] and not for [`crate::Store::search`]. `dimension` is a multiple of 64.
///
/// # Errors
/// `WRITE_FAILED`.
pub fn draw(folder: &Path, count: usize, dimension: usize) -> Result<()> {
    let failed = |error: std::io::Error| Error::io(WRITE_FAILED, "write", folder, &error);
    let class = crate::Class { wnid: "drawn".into(), name: "drawn".into() };
    let about = About {
        layer: "drawn".into(),
        split: "train".into(),
        model: String::new(),
        data: String::new(),
        preprocessing: serde_json::Value::Null,
        classes: vec![class],
    };
    let mut meta = Meta::new(about, dimension, dimension, Precision::F32);
    meta.count = count;
    let patterns: Vec<_> = vectors(PATTERNS, dimension, 0)
        .chunks_exact(dimension)
        .map(|vector| {
            let mut bytes = vec![0; meta.stride];
            let row = encode(vector, &mut bytes);
            (bytes, row.fields().map(f32::to_le_bytes).concat())
        })
        .collect();
    let mut write = || {
        fs::create_dir_all(folder)?;
        let create =
            |name| File::create(folder.join(name)).map(|file| BufWriter::with_capacity(1 << 20, file));
        let (mut codes, mut rows, mut ids) = (create(CODES)?, create(ROWS)?, create(IDS)?);
        for number in 0..count {
            let (bytes, row) = &patterns[number % PATTERNS];
            let (tail, head) = bytes.split_at(number / PATTERNS % dimension);
            codes.write_all(head)?;
            codes.write_all(tail)?;
            rows.write_all(row)?;
            let mut line =
                serde_json::to_vec(&Id { key: number.to_string(), path: String::new(), class: 0 })?;
            line.push(b'\n');
            meta.ids_bytes += line.len() as u64;
            ids.write_all(&line)?;
        }
        [codes, rows, ids].iter_mut().try_for_each(|file| file.flush())?;
        let hole = File::create(folder.join(meta.precision.file()))?;
        hole.set_len((count * dimension * 4) as u64)?;
        fs::write(folder.join(META), serde_json::to_vec(&meta)?)
    };
    write().map_err(failed)
}
