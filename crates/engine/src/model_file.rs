//! Model files and checkpoints: safetensors (<https://github.com/huggingface/safetensors>), f32, weights OIHW.
//!
//! `8 bytes: length of the header, little endian | header, JSON | tensors`. The header's metadata has `ilsvrc.version` and
//! `ilsvrc.checksum`: SHA-256 of all that follows the length, with the checksum's own digits taken as zeros. So a
//! flipped bit is found wherever it is.

use ilsvrc_diagnostics::{Error, MODEL_CORRUPT, MODEL_FOREIGN, MODEL_UNREADABLE, Result, WRITE_FAILED};
use memmap2::Mmap;
use safetensors::SafeTensors;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const VERSION_KEY: &str = "ilsvrc.version";
const VERSION: &str = "1";
pub(crate) const CHECKSUM_KEY: &str = "ilsvrc.checksum";
/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;
/// Bytes of the header's length.
const PREFIX: usize = 8;

/// A tensor to be written. It is read when its turn comes, so that one at a time is in memory.
pub(crate) struct Tensor<'a> {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) read: Box<dyn Fn() -> Result<Vec<f32>> + 'a>,
}

/// Writes a model file.
///
/// # Errors
/// `WRITE_FAILED`, and those of reading tensors.
pub(crate) fn write(path: &Path, metadata: &BTreeMap<String, String>, tensors: &[Tensor]) -> Result<()> {
    let failed = |error: io::Error| Error::io(WRITE_FAILED, "write", path, &error);
    replace(path, |file| write_to(file, metadata, tensors, &failed))
}

/// Writes a file: a temporary one beside it, flushed to the disk, then renamed. `path` holds the old content or the new.
///
/// # Errors
/// `WRITE_FAILED`, and those of `content`.
pub(crate) fn replace(path: &Path, content: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let failed = |error: io::Error| Error::io(WRITE_FAILED, "write", path, &error);
    let temporary = temporary(path);
    let written = File::create(&temporary)
        .map_err(failed)
        .and_then(|file| {
            let mut file = BufWriter::with_capacity(1 << 20, file);
            content(&mut file)?;
            file.flush().and_then(|()| file.get_ref().sync_all()).map_err(failed)
        })
        .and_then(|()| fs::rename(&temporary, path).map_err(failed))
        .and_then(|()| flush_directory(path).map_err(failed));
    if written.is_err() {
        // It may not exist: the error that matters is the first.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A hidden name in the same folder, so that renaming does not cross file systems; what a killed program left there is
/// overwritten.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

fn flush_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn write_to(
    file: &mut BufWriter<File>,
    metadata: &BTreeMap<String, String>,
    tensors: &[Tensor],
    failed: &dyn Fn(io::Error) -> Error,
) -> Result<()> {
    let header = header(metadata, tensors);
    file.write_all(&(header.len() as u64).to_le_bytes())
        .and_then(|()| file.write_all(&header))
        .map_err(failed)?;
    let mut hash = Sha256::new_with_prefix(&header);
    let mut bytes = Vec::new();
    for tensor in tensors {
        bytes.clear();
        bytes.extend((tensor.read)()?.iter().flat_map(|value| value.to_le_bytes()));
        hash.update(&bytes);
        file.write_all(&bytes).map_err(failed)?;
    }
    let place = checksum_place(&header).expect("the header was made with one");
    file.seek(SeekFrom::Start((PREFIX + place) as u64))
        .and_then(|_| file.write_all(hex(hash).as_bytes()))
        .map_err(failed)
}

/// The header with zeros for the checksum, padded with spaces so that tensors are aligned.
fn header(metadata: &BTreeMap<String, String>, tensors: &[Tensor]) -> Vec<u8> {
    let mut metadata: BTreeMap<&str, &str> = metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let zeros = "0".repeat(DIGITS);
    metadata.insert(VERSION_KEY, VERSION);
    metadata.insert(CHECKSUM_KEY, &zeros);
    let mut entries = Map::new();
    entries.insert("__metadata__".into(), json!(metadata));
    let mut end = 0;
    for tensor in tensors {
        let begin = end;
        end += 4 * tensor.shape.iter().product::<usize>();
        let entry = json!({ "dtype": "F32", "shape": tensor.shape, "data_offsets": [begin, end] });
        entries.insert(tensor.name.clone(), entry);
    }
    let mut header = Value::Object(entries).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(PREFIX), b' ');
    header
}

/// Where the checksum's digits are in the header. Keys cannot hold an unescaped quote, so a value cannot be taken for it.
fn checksum_place(header: &[u8]) -> Option<usize> {
    let key = format!("\"{CHECKSUM_KEY}\":\"");
    let place = header.windows(key.len()).position(|window| window == key.as_bytes())? + key.len();
    (place + DIGITS <= header.len()).then_some(place)
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The metadata of a model file or checkpoint, without its tensors.
///
/// # Errors
/// `MODEL_UNREADABLE`, `MODEL_CORRUPT`, `MODEL_FOREIGN`.
pub fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>> {
    ModelFile::open(path).map(|file| file.metadata)
}

/// A file open for reading. Its structure has been checked; [`ModelFile::verify`] checks its content.
pub struct ModelFile {
    path: PathBuf,
    map: Mmap,
    metadata: BTreeMap<String, String>,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl ModelFile {
    /// Opens `path` and checks that it is one of ours and as long as it says.
    ///
    /// # Errors
    /// `MODEL_UNREADABLE`, `MODEL_CORRUPT`, `MODEL_FOREIGN`.
    pub fn open(path: &Path) -> Result<Self> {
        let unreadable = |error: io::Error| {
            Error::io(MODEL_UNREADABLE, "read", path, &error).hint("check the path and its permissions")
        };
        let file = File::open(path).map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(Error::new(MODEL_UNREADABLE, format!("{} is not a file", path.display()))
                .hint("give the model file itself, such as runs/NAME/model.safetensors"));
        }
        // SAFETY: our files are replaced by renaming and never changed in place, so the bytes do not change under the map.
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        let (tensors, metadata) = parse(&map).map_err(|reason| reason.error(path))?;
        let shapes = tensors.into_iter().collect();
        Ok(Self { path: path.to_owned(), map, metadata, shapes })
    }

    /// All strings of the metadata.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Names of the tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.shapes.keys().map(String::as_str)
    }

    /// Compares the checksum.
    ///
    /// # Errors
    /// `MODEL_CORRUPT`.
    pub fn verify(&self) -> Result<()> {
        let damaged = |reason: &str| Err(Reason::Corrupt(reason.into()).error(&self.path));
        let (header, data) = self.map[PREFIX..].split_at(header_length(&self.map));
        let Some(place) = checksum_place(header) else { return damaged("it has no checksum") };
        let digits = place..place + DIGITS;
        let mut hash = Sha256::new_with_prefix(&header[..digits.start]);
        hash.update([b'0'; DIGITS]);
        hash.update(&header[digits.end..]);
        hash.update(data);
        if hex(hash).as_bytes() != &header[digits] {
            return damaged("its content does not match its checksum");
        }
        Ok(())
    }

    /// Fails unless there is a tensor of that name and shape.
    ///
    /// # Errors
    /// `MODEL_FOREIGN`.
    pub fn expect(&self, name: &str, shape: &[usize]) -> Result<()> {
        let other = |what: String| Err(Error::new(MODEL_FOREIGN, format!("{} {what}", self.path.display())));
        match self.shapes.get(name) {
            Some(found) if found == shape => Ok(()),
            Some(found) => other(format!("belongs to another net: `{name}` is {found:?}, not {shape:?}")),
            None => other(format!("has no `{name}`")),
        }
    }

    /// A tensor's values.
    ///
    /// # Errors
    /// `MODEL_FOREIGN` where there is none of that name.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let missing = |_| Error::new(MODEL_FOREIGN, format!("{} has no `{name}`", self.path.display()));
        let tensors = SafeTensors::deserialize(&self.map).map_err(missing)?;
        let bytes = tensors.tensor(name).map_err(missing)?.data();
        Ok(bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect())
    }
}

/// Why a file is refused.
enum Reason {
    Corrupt(String),
    Foreign(String),
}

impl Reason {
    fn error(self, path: &Path) -> Error {
        match self {
            Self::Corrupt(why) => Error::new(MODEL_CORRUPT, format!("{} is damaged", path.display()))
                .info(why)
                .hint("copy it again, or train it again: `ilsvrc train --resume`"),
            Self::Foreign(why) => Error::new(
                MODEL_FOREIGN,
                format!("{} is not a model of this version of ilsvrc", path.display()),
            )
            .info(why),
        }
    }
}

/// Bytes of the header; the file is known to have as many.
fn header_length(file: &[u8]) -> usize {
    file.first_chunk::<PREFIX>().map_or(0, |length| u64::from_le_bytes(*length) as usize)
}

type Parsed = (Vec<(String, Vec<usize>)>, BTreeMap<String, String>);

fn parse(file: &[u8]) -> std::result::Result<Parsed, Reason> {
    let corrupt = |why: String| Err(Reason::Corrupt(why));
    let length = match file.first_chunk::<PREFIX>() {
        None => return corrupt(format!("it has only {} bytes", file.len())),
        Some(length) => u64::from_le_bytes(*length),
    };
    // Every header is a JSON object: other formats are told from damaged files by that.
    if file.get(PREFIX).is_some_and(|first| *first != b'{') {
        return Err(Reason::Foreign("it is not a safetensors file".into()));
    }
    if length > (file.len() - PREFIX) as u64 {
        return corrupt(format!("its header should have {length} bytes, the file has {}", file.len()));
    }
    let (_, header) = SafeTensors::read_metadata(file).map_err(|error| Reason::Corrupt(error.to_string()))?;
    let metadata: BTreeMap<String, String> =
        header.metadata().clone().unwrap_or_default().into_iter().collect();
    match metadata.get(VERSION_KEY).map(String::as_str) {
        Some(VERSION) => {}
        Some(other) => {
            return Err(Reason::Foreign(format!("it has version `{other}`, this program reads `{VERSION}`")));
        }
        None => return Err(Reason::Foreign(format!("its metadata has no `{VERSION_KEY}`"))),
    }
    let tensors = SafeTensors::deserialize(file).map_err(|error| Reason::Corrupt(error.to_string()))?;
    let mut shapes = Vec::new();
    for (name, tensor) in tensors.tensors() {
        if tensor.dtype() != safetensors::Dtype::F32 {
            return Err(Reason::Foreign(format!("`{name}` is {:?}, not F32", tensor.dtype())));
        }
        shapes.push((name, tensor.shape().to_vec()));
    }
    Ok((shapes, metadata))
}
