//! Writing a store as vectors come: into a hidden folder beside it, flushed, and then renamed.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ilsvrc_diagnostics::{Error, FEATURES_UNUSABLE, OUTPUT_DIFFERS, Result, STORE_BUSY, WRITE_FAILED};

use crate::code::{MAX_DIMENSION, encode, is_usable};
use crate::half;
use crate::ids::Id;
use crate::meta::{About, CODES, FILES, Fitted, IDS, META, Meta, PCA, Precision, ROWS};
use crate::pca::Pca;

/// The ending of what is not finished, as everywhere in this program.
const UNFINISHED: &str = "ilsvrc-tmp";
/// The file that a writer holds locked.
const LOCK: &str = "lock";
/// Rows that principal components are computed from. `prep` has shuffled the images, so the first ones are a sample.
const SAMPLE: usize = 8192;

/// How a store is written.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// What is kept beside the codes.
    pub precision: Precision,
    /// Principal components that vectors are projected on first.
    pub components: Option<usize>,
}

/// A store that is being written. Dropped before [`StoreWriter::finish`] it leaves nothing.
pub struct StoreWriter {
    folder: PathBuf,
    unfinished: Unfinished,
    meta: Meta,
    components: Option<usize>,
    pca: Option<Pca>,
    /// Vectors that wait for the components.
    sample: Vec<f32>,
    files: Files,
}

struct Files {
    codes: BufWriter<File>,
    rows: BufWriter<File>,
    vectors: BufWriter<File>,
    ids: BufWriter<File>,
    /// Bytes of one coded vector.
    code: Vec<u8>,
    /// Bytes of one vector.
    vector: Vec<u8>,
}

impl StoreWriter {
    /// Begins a store of vectors of `dimension` elements in `folder`, which [`StoreWriter::finish`] replaces.
    ///
    /// # Errors
    /// `STORE_BUSY` while another process writes it, `OUTPUT_DIFFERS` where the folder holds something that is no store,
    /// `FEATURES_UNUSABLE` where there are no such vectors, `WRITE_FAILED`.
    pub fn create(folder: &Path, about: About, dimension: usize, options: WriterOptions) -> Result<Self> {
        let kept = options.components.unwrap_or(dimension);
        if dimension == 0 || dimension > MAX_DIMENSION || kept == 0 || kept > dimension {
            return Err(Error::new(
                FEATURES_UNUSABLE,
                format!("{kept} of {dimension} elements cannot be stored"),
            )
            .info(format!("vectors have 1 to {MAX_DIMENSION} elements, and at most as many components")));
        }
        expect_store(folder)?;
        let unfinished = Unfinished::claim(folder)?;
        let create = |name: &str| {
            let path = unfinished.folder.join(name);
            File::create(&path)
                .map(|file| BufWriter::with_capacity(1 << 20, file))
                .map_err(|error| failed(&path, &error))
        };
        let files = Files {
            codes: create(CODES)?,
            rows: create(ROWS)?,
            vectors: create(options.precision.file())?,
            ids: create(IDS)?,
            code: Vec::new(),
            vector: Vec::new(),
        };
        let meta = Meta::new(about, kept, dimension, options.precision);
        let (components, sample, folder) = (options.components, Vec::new(), folder.to_owned());
        Ok(Self { folder, unfinished, meta, components, pca: None, sample, files })
    }

    /// Adds vectors, one after the other, and who they are.
    ///
    /// # Errors
    /// `FEATURES_UNUSABLE` where one is not finite or out of all proportion, or there are too few for the components; `WRITE_FAILED`.
    ///
    /// # Panics
    /// Where there are not as many vectors as ids.
    pub fn append(&mut self, vectors: &[f32], ids: &[Id]) -> Result<()> {
        let dimension = self.meta.source_dimension;
        assert_eq!(vectors.len(), ids.len() * dimension);
        if let Some(at) = vectors.iter().position(|x| !is_usable(x)) {
            let Id { path, .. } = &ids[at / dimension];
            return Err(Error::new(FEATURES_UNUSABLE, format!("the features of {path} cannot be compared"))
                .info("they are not finite, or above 1e16: the model has diverged")
                .hint("evaluate the model first: `ilsvrc eval`"));
        }
        self.write_ids(ids).map_err(|error| failed(&self.folder, &error))?;
        match (self.components, &self.pca) {
            (None, _) => self.write(vectors),
            (Some(_), Some(pca)) => {
                let projected = pca.project(vectors);
                self.write(&projected)
            }
            (Some(_), None) => {
                self.sample.extend_from_slice(vectors);
                if self.sample.len() >= SAMPLE * dimension { self.fit() } else { Ok(()) }
            }
        }
    }

    /// Flushes all and puts the store in its place.
    ///
    /// # Errors
    /// As [`StoreWriter::append`]; `FEATURES_UNUSABLE` where there is no vector.
    pub fn finish(mut self) -> Result<Meta> {
        if self.components.is_some() && self.pca.is_none() {
            self.fit()?;
        }
        if self.meta.count == 0 {
            return Err(Error::new(FEATURES_UNUSABLE, "there is no vector to store"));
        }
        self.files.flush().map_err(|error| failed(&self.folder, &error))?;
        let json = serde_json::to_vec_pretty(&self.meta).expect("it has string keys only");
        let folder = &self.unfinished.folder;
        let replace = || {
            if let Some(pca) = &self.pca {
                write_flushed(&folder.join(PCA), &pca.to_bytes())?;
            }
            write_flushed(&folder.join(META), &json)?;
            fs::remove_file(folder.join(LOCK))?;
            // The old store goes first: a folder is not renamed onto one that holds files.
            match fs::remove_dir_all(&self.folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => fs::rename(folder, &self.folder)?,
            }
            let parent = parent(&self.folder);
            if cfg!(unix) { File::open(parent)?.sync_all() } else { Ok(()) }
        };
        replace().map_err(|error| failed(&self.folder, &error))?;
        Ok(self.meta)
    }

    /// Computes the components and writes what waited for them.
    fn fit(&mut self) -> Result<()> {
        let sample = std::mem::take(&mut self.sample);
        let dimension = self.meta.source_dimension;
        let pca = Pca::fit(&sample, dimension, self.meta.dimension)?;
        self.meta.pca = Some(Fitted { sample: sample.len() / dimension, explained: pca.explained });
        for some in sample.chunks(256 * dimension) {
            self.write(&pca.project(some))?;
        }
        self.pca = Some(pca);
        Ok(())
    }

    fn write_ids(&mut self, ids: &[Id]) -> io::Result<()> {
        for id in ids {
            let mut line = serde_json::to_vec(id)?;
            line.push(b'\n');
            self.meta.ids_bytes += line.len() as u64;
            self.files.ids.write_all(&line)?;
        }
        Ok(())
    }

    fn write(&mut self, vectors: &[f32]) -> Result<()> {
        for vector in vectors.chunks_exact(self.meta.dimension) {
            let written = self.files.write(vector, self.meta.stride, self.meta.precision);
            written.map_err(|error| failed(&self.folder, &error))?;
            self.meta.count += 1;
        }
        Ok(())
    }
}

impl Files {
    fn write(&mut self, vector: &[f32], stride: usize, precision: Precision) -> io::Result<()> {
        self.vector.clear();
        self.code.resize(stride, 0);
        let row = match precision {
            Precision::F32 => {
                self.vector.extend(vector.iter().flat_map(|x| x.to_le_bytes()));
                encode(vector, &mut self.code)
            }
            Precision::F16 => {
                // The code's error is counted from what is kept; larger numbers than a half holds become the largest.
                let halves: Vec<u16> =
                    vector.iter().map(|x| half::from_f32(x.clamp(-65504.0, 65504.0))).collect();
                self.vector.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
                let kept: Vec<f32> = halves.into_iter().map(half::to_f32).collect();
                encode(&kept, &mut self.code)
            }
        };
        self.codes.write_all(&self.code)?;
        self.vectors.write_all(&self.vector)?;
        self.rows.write_all(&row.fields().map(f32::to_le_bytes).concat())
    }

    fn flush(&mut self) -> io::Result<()> {
        for file in [&mut self.codes, &mut self.rows, &mut self.vectors, &mut self.ids] {
            file.flush()?;
            file.get_ref().sync_all()?;
        }
        Ok(())
    }
}

/// The hidden folder; it goes when this is dropped, unless it has been renamed.
struct Unfinished {
    folder: PathBuf,
    /// Locked as long as it is open, so that a killed writer does not keep others out.
    _lock: File,
}

impl Unfinished {
    /// Takes the place beside `folder`, and removes what a killed writer left there.
    fn claim(folder: &Path) -> Result<Self> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = parent(folder).join(format!(".{name}.{UNFINISHED}"));
        let cannot = |error: &io::Error| failed(&unfinished, error);
        fs::create_dir_all(&unfinished).map_err(|error| cannot(&error))?;
        let lock = File::create(unfinished.join(LOCK)).map_err(|error| cannot(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(STORE_BUSY, format!("another process writes {}", folder.display()))
                    .hint("wait for it, or give another folder by --store"));
            }
            Err(TryLockError::Error(error)) => return Err(cannot(&error)),
        }
        for entry in fs::read_dir(&unfinished).map_err(|error| cannot(&error))? {
            let path = entry.map_err(|error| cannot(&error))?.path();
            if path.file_name().is_some_and(|name| name != LOCK) {
                fs::remove_file(&path).map_err(|error| cannot(&error))?;
            }
        }
        Ok(Self { folder: unfinished, _lock: lock })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After renaming it is not there.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Fails where `folder` holds anything that no store has: it is not ours to replace.
fn expect_store(folder: &Path) -> Result<()> {
    let foreign = match fs::read_dir(folder) {
        Ok(mut entries) => entries.find_map(|entry| {
            let name = entry.ok()?.file_name();
            (!FILES.iter().any(|file| name == *file)).then_some(name)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(folder, &error)),
    };
    let Some(name) = foreign else { return Ok(()) };
    Err(Error::new(
        OUTPUT_DIFFERS,
        format!("{} holds something that is not of a feature store", folder.display()),
    )
    .info(format!("`{}`, for example", name.display()))
    .hint("give another folder by --store"))
}

fn write_flushed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn failed(path: &Path, error: &io::Error) -> Error {
    let hint = "free space or choose another disk by --store: nothing of this store was left, and it is built from the beginning";
    Error::io(WRITE_FAILED, "write", path, error).hint(hint)
}
