//! A store that is open: mapped files whose lengths are those that its description asks for.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ilsvrc_diagnostics::{Error, FEATURES_UNUSABLE, Result, STORE_CORRUPT, STORE_STALE, STORE_UNREADABLE};
use memmap2::{Advice, Mmap};

use crate::code::{ROW_FIELDS, Row, is_usable};
use crate::half;
use crate::ids::{self, Id};
use crate::meta::{About, CODES, IDS, META, Meta, PCA, Precision, ROWS};
use crate::pca::Pca;

/// The longest `meta.json` that is read: a thousand times what ImageNet's classes take.
const MAX_META: u64 = 64 << 20;

/// A store open for searching.
pub struct Store {
    folder: PathBuf,
    meta: Meta,
    codes: Mmap,
    rows: Mmap,
    vectors: Mmap,
    ids: Mmap,
    lines: Vec<u64>,
    pca: Option<Pca>,
}

impl Store {
    /// Opens a store; none where there is nothing of that name, or an empty folder.
    ///
    /// # Errors
    /// `STORE_UNREADABLE`, `STORE_FOREIGN`, `STORE_CORRUPT`.
    pub fn find(folder: &Path) -> Result<Option<Self>> {
        let is_absent = match std::fs::read_dir(folder) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_absent { Ok(None) } else { Self::open(folder).map(Some) }
    }

    /// Opens a store.
    ///
    /// # Errors
    /// As [`Store::find`].
    pub fn open(folder: &Path) -> Result<Self> {
        let meta = read_meta(folder)?;
        for (name, length) in meta.files() {
            let path = folder.join(name);
            let found = path.metadata().map_err(|error| unreadable(&path, &error))?.len();
            if found != length {
                return Err(Error::new(STORE_CORRUPT, format!("{} is damaged", folder.display()))
                    .info(format!("{name} has {found} bytes, and should have {length}")));
            }
        }
        let codes = map(&folder.join(CODES))?;
        let ids = map(&folder.join(IDS))?;
        let lines = ids::lines(&ids, meta.count)?;
        let pca = match meta.pca {
            Some(_) => Some(Pca::from_bytes(&map(&folder.join(PCA))?, meta.source_dimension, meta.dimension)),
            None => None,
        };
        let rows = map(&folder.join(ROWS))?;
        // A search would leave such rows out, and never be certain that it has found all.
        if rows.as_chunks().0.iter().any(|&field| !f32::from_le_bytes(field).is_finite()) {
            return Err(Error::new(STORE_CORRUPT, format!("{} is damaged", folder.display()))
                .info(format!("{ROWS} has numbers that are not finite")));
        }
        let vectors = map(&folder.join(meta.precision.file()))?;
        #[cfg(unix)]
        {
            // Advice: whoever does not take it is slower the first time.
            let _ = codes.advise(Advice::Sequential).and(vectors.advise(Advice::Random));
        }
        Ok(Self { folder: folder.to_owned(), meta, codes, rows, vectors, ids, lines, pca })
    }

    /// Its description.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Fails unless it came from the model, layer and split that `about` names.
    ///
    /// # Errors
    /// `STORE_STALE`.
    pub fn expect(&self, about: &About) -> Result<()> {
        let found = &self.meta.about;
        let differs = if found.model != about.model {
            "it was made with another model, or the model was trained on"
        } else if found.data != about.data {
            "the data set was prepared once more since, or it is another one"
        } else if found.layer != about.layer || found.split != about.split {
            "it holds another layer or another split"
        } else if found.preprocessing != about.preprocessing {
            "its photos were prepared in another way"
        } else {
            return Ok(());
        };
        Err(Error::new(STORE_STALE, format!("{} is stale", self.folder.display())).info(differs))
    }

    /// Who row `row` is.
    ///
    /// # Errors
    /// `STORE_CORRUPT` where its line is not one.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn id(&self, row: usize) -> Result<Id> {
        let line = &self.ids[self.lines[row] as usize..self.lines[row + 1] as usize];
        Id::parse(line, self.meta.about.classes.len())
    }

    /// Full values of some rows, one after the other.
    ///
    /// # Panics
    /// Where there are no such rows.
    pub fn vectors(&self, rows: Range<usize>) -> Vec<f32> {
        let mut values = vec![0.0; rows.len() * self.meta.dimension];
        for (row, vector) in rows.zip(values.chunks_exact_mut(self.meta.dimension)) {
            self.vector(row, vector);
        }
        values
    }

    /// Full values of a row into `vector`.
    pub(crate) fn vector(&self, row: usize, vector: &mut [f32]) {
        let bytes = self.meta.dimension * self.meta.precision.bytes() as usize;
        let bytes = &self.vectors[row * bytes..][..bytes];
        match self.meta.precision {
            Precision::F32 => {
                for (x, bytes) in vector.iter_mut().zip(bytes.as_chunks().0) {
                    *x = f32::from_le_bytes(*bytes);
                }
            }
            Precision::F16 => {
                for (x, bytes) in vector.iter_mut().zip(bytes.as_chunks().0) {
                    *x = half::to_f32(u16::from_le_bytes(*bytes));
                }
            }
        }
    }

    /// Full values of all rows as they are on the disk.
    pub(crate) fn raw_vectors(&self) -> &[u8] {
        &self.vectors
    }

    /// Codes of some rows.
    pub fn codes(&self, rows: Range<usize>) -> &[u8] {
        &self.codes[rows.start * self.meta.stride..rows.end * self.meta.stride]
    }

    /// What is known of a coded row.
    #[inline]
    pub(crate) fn row(&self, row: usize) -> Row {
        let fields = &self.rows.as_chunks().0[row * ROW_FIELDS..][..ROW_FIELDS];
        Row::of(&std::array::from_fn(|field| f32::from_le_bytes(fields[field])))
    }

    /// Queries as the store's rows are: projected where those are.
    ///
    /// # Errors
    /// `FEATURES_UNUSABLE` where they are not whole vectors of usable numbers.
    pub fn project<'a>(&self, queries: &'a [f32]) -> Result<Cow<'a, [f32]>> {
        let dimension = self.meta.source_dimension;
        if !queries.len().is_multiple_of(dimension) || !queries.iter().all(is_usable) {
            return Err(Error::new(FEATURES_UNUSABLE, "the queries cannot be compared with the store").info(
                format!(
                    "they are {} numbers; vectors of {dimension} finite ones, up to 1e16, are needed",
                    queries.len()
                ),
            ));
        }
        Ok(match &self.pca {
            Some(pca) => pca.project(queries).into(),
            None => queries.into(),
        })
    }
}

fn read_meta(folder: &Path) -> Result<Meta> {
    let path = folder.join(META);
    let length = match path.metadata() {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::new(STORE_UNREADABLE, format!("{} is not a feature store", folder.display()))
                .info(format!("it has no {META}")));
        }
        Err(error) => return Err(unreadable(&path, &error)),
    };
    if length > MAX_META {
        return Err(Error::new(STORE_CORRUPT, format!("{} is damaged", path.display()))
            .info(format!("it has {length} bytes; at most {MAX_META} are read")));
    }
    let json = std::fs::read(&path).map_err(|error| unreadable(&path, &error))?;
    Meta::parse(&json, &path)
}

fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    // SAFETY: stores are replaced by renaming and never changed in place, so the bytes do not change under the map.
    unsafe { Mmap::map(&file) }.map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::io(STORE_UNREADABLE, "read", path, error)
}
