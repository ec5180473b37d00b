//! Tar archives: where each file's bytes lie, and a writer of deterministic archives.
//!
//! Format: POSIX.1-1988 `ustar`, with GNU long names (type `L`) and pax records (`path`, `size`) when reading.
//! Every number in an archive is checked against the length of the file before it is used.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use ilsvrc_diagnostics::{Error, Result, SOURCE_UNREADABLE, TAR_MALFORMED};
use serde::Serialize;

const BLOCK: u64 = 512;
/// Longer names and pax headers exist only to take memory.
const MAX_EXTENSION: u64 = 1 << 20;

/// A regular file of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its path with `/`, relative, without a leading `./`.
    pub name: String,
    /// Where its bytes start in the archive.
    pub offset: u64,
    /// How many there are.
    pub size: u64,
}

/// The regular files of the archive at `path`, in its order. Links and special files are passed over.
pub fn scan(path: &Path) -> Result<Vec<Member>> {
    let unreadable = |error: &io::Error| Error::io(SOURCE_UNREADABLE, "read", path, error);
    let file = File::open(path).map_err(|e| unreadable(&e))?;
    let length = file.metadata().map_err(|e| unreadable(&e))?.len();
    Scanner { input: BufReader::new(file), length, at: 0 }.members().map_err(|problem| match problem {
        Problem::Io(error) => unreadable(&error),
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
    })
}

enum Problem {
    Io(io::Error),
    Malformed { at: u64, reason: String },
    Compressed(&'static str),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Scanner<R> {
    input: BufReader<R>,
    length: u64,
    at: u64,
}

impl<R: Read + Seek> Scanner<R> {
    fn members(mut self) -> std::result::Result<Vec<Member>, Problem> {
        let mut members = Vec::new();
        let (mut long_name, mut pax) = (None, Pax::default());
        loop {
            let start = self.at;
            let block = self.block()?;
            if block.iter().all(|&byte| byte == 0) {
                return Ok(members);
            }
            let header = Header::parse(&block).map_err(|reason| match compression(&block) {
                Some(with) if start == 0 => Problem::Compressed(with),
                _ => Problem::Malformed { at: start, reason },
            })?;
            match header.kind {
                b'L' => long_name = Some(until_zero(&self.extension(start, header.size)?)),
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
                    let offset = self.at;
                    self.skip(start, &name, size)?;
                    // Old archives mark folders by a slash at the end of a regular file's name.
                    if matches!(kind, b'0' | 0 | b'7') && !name.ends_with('/') {
                        let name =
                            safe_name(&name).map_err(|reason| Problem::Malformed { at: start, reason })?;
                        members.push(Member { name, offset, size });
                    }
                }
            }
        }
    }

    fn block(&mut self) -> std::result::Result<[u8; BLOCK as usize], Problem> {
        if self.length - self.at < BLOCK {
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
        let at = self.at;
        self.skip(start, "an extension header", size)?;
        let back = self.at - at;
        self.input.seek_relative(-(back as i64))?;
        let mut data = vec![0; size as usize];
        self.input.read_exact(&mut data)?;
        self.input.seek_relative((back - size) as i64)?;
        Ok(data)
    }

    /// Moves behind `size` bytes of data and their padding.
    fn skip(&mut self, start: u64, name: &str, size: u64) -> std::result::Result<(), Problem> {
        let padded = size.div_ceil(BLOCK).checked_mul(BLOCK);
        let Some(end) = padded.and_then(|size| self.at.checked_add(size)).filter(|&end| end <= self.length)
        else {
            let reason = format!("{name:?} has {size} bytes, but only {} are left", self.length - self.at);
            return Err(Problem::Malformed { at: start, reason });
        };
        match i64::try_from(end - self.at) {
            Ok(distance) => self.input.seek_relative(distance)?,
            Err(_) => drop(self.input.seek(SeekFrom::Start(end))?),
        }
        self.at = end;
        Ok(())
    }
}

struct Header {
    name: String,
    size: u64,
    kind: u8,
}

impl Header {
    fn parse(block: &[u8; BLOCK as usize]) -> std::result::Result<Self, String> {
        let stored = number(&block[148..156]).ok_or("no tar header here")?;
        if stored != checksum(block) {
            return Err(format!("the header's checksum is {stored} instead of {}", checksum(block)));
        }
        let size = number(&block[124..136]).ok_or("a size that is no number")?;
        let mut name = until_zero(&block[..100]);
        // GNU archives ("ustar" and two blanks) use these bytes for other things.
        if &block[257..263] == b"ustar\0" && block[345] != 0 {
            name = format!("{}/{name}", until_zero(&block[345..500]));
        }
        Ok(Self { name, size, kind: block[156] })
    }
}

/// The sum of the header's bytes with the checksum itself taken as blanks.
fn checksum(block: &[u8; BLOCK as usize]) -> u64 {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    sum(&block[..148]) + 8 * u64::from(b' ') + sum(&block[156..])
}

/// Octal digits between blanks or zeros, or GNU's big-endian binary with the first bit set.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let first = u64::from(field[0] & 0x7f);
        return field[1..]
            .iter()
            .try_fold(first, |value, &byte| (value < 1 << 55).then_some(value << 8 | u64::from(byte)));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

/// Text up to the first zero. Bytes that are not UTF-8 are replaced: the name is shown, the bytes are found by offset.
fn until_zero(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// The pax records used here.
#[derive(Default)]
struct Pax {
    path: Option<String>,
    size: Option<u64>,
}

impl Pax {
    /// Records `"<length> <key>=<value>\n"`, the length counting the whole record.
    fn parse(mut records: &[u8]) -> std::result::Result<Self, String> {
        let mut pax = Self::default();
        let bad = || "a pax header that cannot be read".to_owned();
        while !records.is_empty() {
            let digits = records.iter().position(|&byte| byte == b' ').filter(|&n| n < 20).ok_or_else(bad)?;
            let length = std::str::from_utf8(&records[..digits]).ok().and_then(|text| text.parse().ok());
            let length: usize = length.ok_or_else(bad)?;
            let record = records.get(digits + 1..length).ok_or_else(bad)?;
            let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(bad)?;
            let (key, value) = (&record[..equals], until_zero(&record[equals + 1..]));
            match key {
                b"path" => pax.path = Some(value),
                b"size" => pax.size = Some(value.parse().map_err(|_| bad())?),
                _ => {}
            }
            records = &records[length..];
        }
        Ok(pax)
    }
}

fn compression(start: &[u8]) -> Option<&'static str> {
    let kinds: [(&[u8], &str); 4] =
        [(b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "zstd")];
    kinds.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, name)| *name)
}

/// Refuses names that would lead out of the archive; drops `./`.
fn safe_name(name: &str) -> std::result::Result<String, String> {
    let name = name.trim_start_matches("./");
    let leaves = name.split(['/', '\\']).any(|part| part == "..");
    if name.is_empty() || name.starts_with(['/', '\\']) || leaves {
        return Err(format!("the name {name:?} leads out of the archive"));
    }
    Ok(name.to_owned())
}

/// Writes an archive whose bytes depend on nothing but the members: owner 0, time 0, mode 644.
pub struct Writer<W> {
    out: W,
    at: u64,
}

impl<W: Write> Writer<W> {
    /// Starts an archive.
    pub fn new(out: W) -> Self {
        Self { out, at: 0 }
    }

    /// Adds a file and returns where its bytes start. A name of more than 100 bytes gets a GNU long-name header.
    pub fn append(&mut self, name: &str, data: &[u8]) -> io::Result<u64> {
        if name.len() > 100 {
            let terminated = [name.as_bytes(), b"\0"].concat();
            self.entry("././@LongLink", b'L', &terminated)?;
        }
        self.entry(name, b'0', data)
    }

    /// Ends the archive; returns the output and the length written.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.write(&[0; 2 * BLOCK as usize])?;
        Ok((self.out, self.at))
    }

    fn entry(&mut self, name: &str, kind: u8, data: &[u8]) -> io::Result<u64> {
        let mut block = [0; BLOCK as usize];
        let stored = name.len().min(100);
        block[..stored].copy_from_slice(&name.as_bytes()[..stored]);
        block[100..108].copy_from_slice(b"0000644\0");
        block[108..116].copy_from_slice(b"0000000\0");
        block[116..124].copy_from_slice(b"0000000\0");
        block[124..136].copy_from_slice(format!("{:011o}\0", data.len()).as_bytes());
        block[136..148].copy_from_slice(b"00000000000\0");
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        let sum = checksum(&block);
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.write(&block)?;
        let offset = self.at;
        self.write(data)?;
        let padding = (BLOCK - data.len() as u64 % BLOCK) % BLOCK;
        self.write(&[0; BLOCK as usize][..padding as usize])?;
        Ok(offset)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

#[cfg(test)]
#[path = "tar_tests.rs"]
mod tests;
