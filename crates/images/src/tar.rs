//! Tar archives: where each file's bytes lie, and a writer of deterministic archives.
//!
//! Format: POSIX.1-1988 `ustar`, with GNU long names (type `L`) and pax records (`path`, `size`) when reading.
//! Every number in an archive is checked against the length of the file before it is used.

mod header;
mod writer;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ilsvrc_diagnostics::{Error, INTERRUPTED, Result, SOURCE_UNREADABLE, TAR_MALFORMED};
use serde::Serialize;

use header::{Header, Pax, until_zero};
pub use writer::Writer;

const BLOCK: u64 = 512;
/// Longer names and pax headers exist only to take memory.
const MAX_EXTENSION: u64 = 1 << 20;
/// The longest name: no system opens a longer path. That of an archive in the archive stands before each of its members'
/// names, so a short file of a megabyte's name would take gigabytes.
const MAX_NAME: usize = 4096;
/// Members between two reports of progress.
const REPORT_EVERY: usize = 1 << 12;

/// A regular file of an archive. ImageNet's has 1.3 million, so this is kept small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its path with `/`, without a leading `./`: on Unix the archive's bytes, elsewhere as far as they are UTF-8.
    pub name: Box<Path>,
    /// Where its bytes start in the archive.
    pub offset: u64,
    /// How many there are.
    pub size: u64,
    /// The name is empty, absolute or holds `..`: it leads out of the archive.
    pub unsafe_name: bool,
}

/// What an archive holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The regular files, in the archive's order. Links, folders and special files are passed over.
    pub members: Vec<Member>,
    /// Files that a later one of the same name replaces, as `tar x` would.
    pub superseded: u64,
}

/// The files of the archive at `path`; see [`scan_with`].
pub fn scan(path: &Path) -> Result<Vec<Member>> {
    Ok(scan_with(path, &AtomicBool::new(false), &|_| ())?.members)
}

/// The files of the archive at `path`, and those of the archives in it: the members of `n01440764.tar` are called
/// `n01440764/<member>`, with their offsets in the outer file (one level deep). Only headers are read.
///
/// `progress` gets the number of files found so far. Fails with `INTERRUPTED` when `cancel` is set.
pub fn scan_with(path: &Path, cancel: &AtomicBool, progress: &dyn Fn(usize)) -> Result<Contents> {
    let unreadable = |error: &io::Error| Error::io(SOURCE_UNREADABLE, "read", path, error);
    let file = File::open(path).map_err(|e| unreadable(&e))?;
    let length = file.metadata().map_err(|e| unreadable(&e))?.len();
    scan_from(file, length, path, cancel, progress)
}

/// The same of `length` bytes of `input`, which error messages call `path`.
pub fn scan_from(
    input: impl Read + Seek,
    length: u64,
    path: &Path,
    cancel: &AtomicBool,
    progress: &dyn Fn(usize),
) -> Result<Contents> {
    // What follows a header is mostly skipped, so little is read ahead.
    let input = BufReader::with_capacity(4096, input);
    let mut scanner = Scanner { input, end: length, at: 0, members: Vec::new(), cancel, progress };
    scanner.archive(None).map_err(|problem| match problem {
        Problem::Io(error) => Error::io(SOURCE_UNREADABLE, "read", path, &error),
        Problem::Cancelled => Error::new(INTERRUPTED, format!("stopped while reading {}", path.display())),
        Problem::Malformed { at, reason } => {
            Error::new(TAR_MALFORMED, format!("{} is not a complete tar archive", path.display()))
                .info(format!("at byte {at} of {length}: {reason}"))
                .hint("copy or download the archive again")
        }
        Problem::Compressed(with) => {
            Error::new(TAR_MALFORMED, format!("{} is compressed with {with}", path.display()))
                .info("images are read in place, which a compressed archive does not allow")
                .hint(format!("unpack it first: {with} -d {}", path.display()))
        }
    })?;
    let mut members = scanner.members;
    let superseded = remove_superseded(&mut members);
    progress(members.len());
    Ok(Contents { members, superseded })
}

/// Keeps the last of the members that share a name.
fn remove_superseded(members: &mut Vec<Member>) -> u64 {
    let before = members.len();
    members.sort_unstable_by(|a, b| {
        let (x, y) = (a.name.as_os_str().as_encoded_bytes(), b.name.as_os_str().as_encoded_bytes());
        x.cmp(y).then(b.offset.cmp(&a.offset))
    });
    members.dedup_by(|later, kept| later.name.as_os_str() == kept.name.as_os_str());
    members.sort_unstable_by_key(|member| member.offset);
    (before - members.len()) as u64
}

enum Problem {
    Io(io::Error),
    Malformed { at: u64, reason: String },
    Compressed(&'static str),
    Cancelled,
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Scanner<'a, R> {
    input: BufReader<R>,
    at: u64,
    /// Where the archive that is being read ends.
    end: u64,
    members: Vec<Member>,
    cancel: &'a AtomicBool,
    progress: &'a dyn Fn(usize),
}

impl<R: Read + Seek> Scanner<'_, R> {
    /// Reads the archive from `at` to `end`. `inside` is the name of the one around it that it is a member of.
    fn archive(&mut self, inside: Option<&[u8]>) -> std::result::Result<(), Problem> {
        let (mut long_name, mut pax) = (None, Pax::default());
        loop {
            let start = self.at;
            let block = self.block()?;
            if block.iter().all(|&byte| byte == 0) {
                return Ok(());
            }
            let header = Header::parse(&block).map_err(|reason| match compression(&block) {
                Some(with) if start == 0 => Problem::Compressed(with),
                _ => Problem::Malformed { at: start, reason },
            })?;
            match header.kind {
                b'L' => long_name = Some(until_zero(&self.extension(start, header.size)?).to_vec()),
                // A long link target, and pax records that hold for all members (comments, as git writes them).
                b'K' | b'g' => drop(self.extension(start, header.size)?),
                b'x' => {
                    let records = self.extension(start, header.size)?;
                    pax = Pax::parse(&records).map_err(|reason| Problem::Malformed { at: start, reason })?;
                }
                kind => {
                    let Pax { path, size } = std::mem::take(&mut pax);
                    let name = path.or(long_name.take()).unwrap_or(header.name);
                    long_name = None;
                    // Links, devices and folders (1 to 6) have no data, whatever their size field says.
                    let size = if (b'1'..=b'6').contains(&kind) { 0 } else { size.unwrap_or(header.size) };
                    // Old archives mark folders by a slash at the end of a regular file's name.
                    let is_file = matches!(kind, b'0' | 0 | b'7') && !name.ends_with(b"/");
                    self.member(start, &name, size, inside, is_file)?;
                }
            }
        }
    }

    /// Notes a member whose header was at `start`, and moves behind it.
    fn member(
        &mut self,
        start: u64,
        name: &[u8],
        size: u64,
        inside: Option<&[u8]>,
        is_file: bool,
    ) -> std::result::Result<(), Problem> {
        if name.len() > MAX_NAME {
            let reason = format!("a name of {} bytes; at most {MAX_NAME} are read", name.len());
            return Err(Problem::Malformed { at: start, reason });
        }
        let offset = self.at;
        let behind = self.behind(start, name, size)?;
        if is_file {
            let (name, is_safe) = plain_name(name);
            let inner = name.strip_suffix(b".tar").filter(|stem| !stem.is_empty() && !stem.ends_with(b"/"));
            match (inner, inside) {
                (Some(stem), None) if is_safe => self.nested(stem, offset + size)?,
                (_, Some(outer)) => self.push(&[outer, b"/", name].concat(), offset, size, is_safe)?,
                (_, None) => self.push(name, offset, size, is_safe)?,
            }
        }
        self.go(behind)
    }

    /// Reads the archive `<stem>.tar` that lies from here to `end` in this one.
    fn nested(&mut self, stem: &[u8], end: u64) -> std::result::Result<(), Problem> {
        let outer = std::mem::replace(&mut self.end, end);
        self.archive(Some(stem)).map_err(|problem| match problem {
            Problem::Malformed { at, reason } => {
                let reason = format!("{}.tar in it: {reason}", String::from_utf8_lossy(stem));
                Problem::Malformed { at, reason }
            }
            other => other,
        })?;
        self.end = outer;
        Ok(())
    }

    fn push(
        &mut self,
        name: &[u8],
        offset: u64,
        size: u64,
        is_safe: bool,
    ) -> std::result::Result<(), Problem> {
        self.members.push(Member { name: path_of(name).into(), offset, size, unsafe_name: !is_safe });
        if self.members.len().is_multiple_of(REPORT_EVERY) {
            (self.progress)(self.members.len());
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Problem::Cancelled);
            }
        }
        Ok(())
    }

    fn block(&mut self) -> std::result::Result<[u8; BLOCK as usize], Problem> {
        if self.end - self.at < BLOCK {
            let reason = "the file stops without the mark of the end of an archive".to_owned();
            return Err(Problem::Malformed { at: self.at, reason });
        }
        let mut block = [0; BLOCK as usize];
        self.input.read_exact(&mut block)?;
        self.at += BLOCK;
        Ok(block)
    }

    /// The data of an extension header, read to memory.
    fn extension(&mut self, start: u64, size: u64) -> std::result::Result<Vec<u8>, Problem> {
        if size > MAX_EXTENSION {
            let reason = format!("an extension header of {size} bytes; at most {MAX_EXTENSION} are read");
            return Err(Problem::Malformed { at: start, reason });
        }
        let behind = self.behind(start, b"an extension header", size)?;
        let mut data = vec![0; size as usize];
        self.input.read_exact(&mut data)?;
        self.at += size;
        self.go(behind)?;
        Ok(data)
    }

    /// Where `size` bytes of data and their padding end.
    fn behind(&self, start: u64, name: &[u8], size: u64) -> std::result::Result<u64, Problem> {
        let padded = size.div_ceil(BLOCK).checked_mul(BLOCK);
        padded.and_then(|size| self.at.checked_add(size)).filter(|&end| end <= self.end).ok_or_else(|| {
            let (name, left) = (String::from_utf8_lossy(name), self.end - self.at);
            let reason = format!("{name:?} has {size} bytes, but only {left} are left");
            Problem::Malformed { at: start, reason }
        })
    }

    /// Moves forward to `to`.
    fn go(&mut self, to: u64) -> std::result::Result<(), Problem> {
        match i64::try_from(to - self.at) {
            Ok(distance) => self.input.seek_relative(distance)?,
            Err(_) => drop(self.input.seek(SeekFrom::Start(to))?),
        }
        self.at = to;
        Ok(())
    }
}

/// A path of these bytes; where paths are text, bytes that are not UTF-8 are replaced: files are found by offset.
#[cfg(unix)]
fn path_of(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(name).into()
}

#[cfg(not(unix))]
fn path_of(name: &[u8]) -> PathBuf {
    String::from_utf8_lossy(name).into_owned().into()
}

fn compression(start: &[u8]) -> Option<&'static str> {
    let kinds: [(&[u8], &str); 4] =
        [(b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "zstd")];
    kinds.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, name)| *name)
}

/// The name without `./`, and whether it stays in the archive on every system.
fn plain_name(mut name: &[u8]) -> (&[u8], bool) {
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    let is_slash = |byte: &u8| matches!(byte, b'/' | b'\\');
    let leaves = name.split(is_slash).any(|part| part == b"..");
    (name, !(name.is_empty() || is_slash(&name[0]) || leaves))
}

#[cfg(test)]
#[path = "tar_tests.rs"]
mod tests;
