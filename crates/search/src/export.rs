//! Vectors for other programs: NumPy's `.npy` (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>)
//! and safetensors (<https://github.com/huggingface/safetensors>).

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ilsvrc_diagnostics::{Error, Result, WRITE_FAILED};
use serde_json::json;

use crate::meta::Precision;
use crate::store::Store;

/// A format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `count x dimension` numbers.
    Npy,
    /// The same as `features`, and beside them `labels`, `u32`.
    Safetensors,
}

/// Writes all full vectors of a store in their order, as precise as they are kept; `path` is replaced whole.
///
/// # Errors
/// `WRITE_FAILED`; `STORE_CORRUPT` where a label cannot be read.
pub fn export(store: &Store, format: Format, path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.ilsvrc-tmp", std::process::id()));
    let failed = |error: io::Error| Error::io(WRITE_FAILED, "write", path, &error);
    let written = File::create(&temporary)
        .map_err(failed)
        .and_then(|file| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            match format {
                Format::Npy => {
                    { out.write_all(&npy_header(store)).and_then(|()| out.write_all(store.raw_vectors())) }
                        .map_err(failed)?
                }
                Format::Safetensors => {
                    out.write_all(&safetensors_header(store))
                        .and_then(|()| out.write_all(store.raw_vectors()))
                        .map_err(failed)?;
                    for row in 0..store.meta().count {
                        out.write_all(&store.id(row)?.class.to_le_bytes()).map_err(failed)?;
                    }
                }
            }
            out.flush().and_then(|()| out.get_ref().sync_all()).map_err(failed)
        })
        .and_then(|()| fs::rename(&temporary, path).map_err(failed));
    if written.is_err() {
        // It may not exist: the error that matters is the first.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn npy_header(store: &Store) -> Vec<u8> {
    let meta = store.meta();
    let descr = match meta.precision {
        Precision::F32 => "<f4",
        Precision::F16 => "<f2",
    };
    let (count, dimension) = (meta.count, meta.dimension);
    let dictionary =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({count}, {dimension}), }}");
    // Magic, version 1.0, length, dictionary, spaces and a line's end: a multiple of 64.
    let length = (10 + dictionary.len() + 1).next_multiple_of(64) - 10;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((length as u16).to_le_bytes());
    header.extend(format!("{dictionary:<0$}\n", length - 1).bytes());
    header
}

fn safetensors_header(store: &Store) -> Vec<u8> {
    let meta = store.meta();
    let dtype = match meta.precision {
        Precision::F32 => "F32",
        Precision::F16 => "F16",
    };
    let end = store.raw_vectors().len();
    let header = json!({
        "__metadata__": { "layer": meta.about.layer, "split": meta.about.split, "model": meta.about.model },
        "features": { "dtype": dtype, "shape": [meta.count, meta.dimension], "data_offsets": [0, end] },
        "labels": { "dtype": "U32", "shape": [meta.count], "data_offsets": [end, end + 4 * meta.count] },
    });
    let mut json = header.to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    [&(json.len() as u64).to_le_bytes()[..], &json].concat()
}
