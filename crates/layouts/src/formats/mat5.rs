//! Variables of MATLAB 5 MAT-files (what `save -v6` and `-v7` write), from "MAT-File Format" (MathWorks), chapter 1.
//!
//! Every element has a tag with its length, so what is not asked for is stepped over: nothing here recurses, and nothing
//! but the inflated bytes is allocated. Of the crates that read struct arrays, `matrw` 0.1 inflates without a bound and
//! panics where that fails, and `matio-rs` needs a C library; what `meta.mat` takes is small enough to be here.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;

use super::shown;

type Result<T> = std::result::Result<T, String>;

/// The most bytes that the compressed variables of a file may inflate to, together.
const MAX_INFLATED: usize = 64 << 20;
const HEADER: usize = 128;
/// The longest text of a character array, in bytes.
const MAX_TEXT: usize = 1 << 16;
const MAX_FIELDS: usize = 256;

// Types of elements ("mi" in the format's description).
const INT32: u32 = 5;
const UINT32: u32 = 6;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

// Classes of arrays ("mx").
const STRUCT: u8 = 2;
const CHAR: u8 = 4;
const NUMERIC: std::ops::RangeInclusive<u8> = 6..=15;
/// Objects of newer MATLABs, whose elements are others than an array's.
const OPAQUE: u8 = 17;

/// A variable of a file: the elements of its array, inflated where they were compressed.
pub(super) struct Variable<'a> {
    bytes: Cow<'a, [u8]>,
    big_endian: bool,
}

impl<'a> Variable<'a> {
    /// The variable `name` of the MAT-file `file`, `None` if it has none.
    pub(super) fn find(file: &'a [u8], name: &str) -> Result<Option<Self>> {
        let big_endian = byte_order(file)?;
        let mut elements = Elements { rest: &file[HEADER..], big_endian };
        let mut room = MAX_INFLATED;
        while !elements.rest.is_empty() {
            let at = file.len() - elements.rest.len();
            let variable = elements
                .next()
                .and_then(|element| Self::new(element, big_endian, &mut room))
                .and_then(|variable| Ok((variable.array()?.name == name.as_bytes()).then_some(variable)))
                .map_err(|reason| format!("variable at byte {at}: {reason}"))?;
            if variable.is_some() {
                return Ok(variable);
            }
        }
        Ok(None)
    }

    fn new(element: Element<'a>, big_endian: bool, room: &mut usize) -> Result<Self> {
        let bytes = match element.kind {
            MATRIX => Cow::Borrowed(element.data),
            COMPRESSED => Cow::Owned(inflate(element.data, big_endian, room)?),
            kind => {
                return Err(format!(
                    "an element of type {kind}; expected a matrix (14) or a compressed one (15)"
                ));
            }
        };
        Ok(Self { bytes, big_endian })
    }

    /// The array that the variable is.
    pub(super) fn array(&self) -> Result<Array<'_>> {
        Array::new(&self.bytes, self.big_endian)
    }
}

/// Whether the file is big-endian, from its header.
fn byte_order(file: &[u8]) -> Result<bool> {
    if file.len() < HEADER {
        return Err(format!("{} bytes; a MAT-file has a header of {HEADER}", file.len()));
    }
    let (version, big_endian) = match file[124..HEADER] {
        [low, high, b'I', b'M'] => (u16::from_le_bytes([low, high]), false),
        [high, low, b'M', b'I'] => (u16::from_be_bytes([high, low]), true),
        _ => return Err("not a MATLAB 5 MAT-file: bytes 126 and 127 are neither IM nor MI".to_owned()),
    };
    match version {
        0x0100 => Ok(big_endian),
        0x0200 => Err("a MAT-file of version 7.3 (HDF5); version 5 is read (save -v7 writes it)".to_owned()),
        other => Err(format!("a MAT-file of version {other:#06x}; version 5 (0x0100) is read")),
    }
}

/// The content of the one matrix in a zlib stream, which may take `room` bytes.
fn inflate(data: &[u8], big_endian: bool, room: &mut usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = *room as u64 + 1;
    ZlibDecoder::new(data)
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("cannot be inflated: {e}"))?;
    *room = room
        .checked_sub(bytes.len())
        .ok_or_else(|| format!("inflates to more than the {MAX_INFLATED} bytes allowed for all variables"))?;
    let matrix = Elements { rest: &bytes, big_endian }.matrix()?;
    let (start, length) = (matrix.as_ptr() as usize - bytes.as_ptr() as usize, matrix.len());
    bytes.truncate(start + length);
    bytes.drain(..start);
    Ok(bytes)
}

#[derive(Clone, Copy)]
struct Element<'a> {
    kind: u32,
    data: &'a [u8],
}

/// Elements that follow each other.
#[derive(Clone, Copy)]
struct Elements<'a> {
    rest: &'a [u8],
    big_endian: bool,
}

impl<'a> Elements<'a> {
    fn next(&mut self) -> Result<Element<'a>> {
        let Some((tag, body)) = self.rest.split_first_chunk::<8>() else {
            return Err(format!("{} bytes are left where an element (8 or more) is due", self.rest.len()));
        };
        let [first, second] = [0, 4].map(|at| u32_at(tag, at, self.big_endian));
        // Up to 4 bytes of data lie in the tag itself; the upper half of the first word counts them.
        let (kind, small) = (first & 0xffff, (first >> 16) as usize);
        if small > 0 {
            let in_tag = &self.rest[4..8];
            let data =
                in_tag.get(..small).ok_or_else(|| format!("a small element of {small} bytes; it has 4"))?;
            self.rest = body;
            return Ok(Element { kind, data });
        }
        let length = second as usize;
        let data = body.get(..length).ok_or_else(|| {
            format!("an element of {length} bytes (type {kind}) where {} are left", body.len())
        })?;
        // Compressed elements are not padded; the padding of the last one may be missing.
        let padded = if kind == COMPRESSED { length } else { length.next_multiple_of(8) };
        self.rest = &body[padded.min(body.len())..];
        Ok(Element { kind, data })
    }

    fn of(&mut self, kind: u32, what: &str) -> Result<&'a [u8]> {
        let element = self.next().map_err(|reason| format!("{what}: {reason}"))?;
        if element.kind == kind {
            return Ok(element.data);
        }
        Err(format!("{what}: an element of type {}; expected type {kind}", element.kind))
    }

    fn matrix(&mut self) -> Result<&'a [u8]> {
        self.of(MATRIX, "array")
    }
}

/// An array, of which only the head is read.
pub(super) struct Array<'a> {
    class: u8,
    /// The product of its dimensions.
    count: usize,
    name: &'a [u8],
    body: Elements<'a>,
}

impl<'a> Array<'a> {
    fn new(bytes: &'a [u8], big_endian: bool) -> Result<Self> {
        let mut body = Elements { rest: bytes, big_endian };
        if bytes.is_empty() {
            return Ok(Self { class: *NUMERIC.start(), count: 0, name: b"", body });
        }
        let flags = body.of(UINT32, "flags")?;
        if flags.len() != 8 {
            return Err(format!("flags of {} bytes; they have 8", flags.len()));
        }
        let class = (u32_at(flags, 0, big_endian) & 0xff) as u8;
        if class == OPAQUE {
            return Ok(Self { class, count: 0, name: b"", body });
        }
        let dimensions = body.of(INT32, "dimensions")?;
        if dimensions.len() < 8 || dimensions.len() % 4 != 0 {
            return Err(format!("dimensions of {} bytes; 2 or more of 4 bytes are due", dimensions.len()));
        }
        let count = (0..dimensions.len()).step_by(4).try_fold(1usize, |count, at| {
            let size = u32_at(dimensions, at, big_endian);
            let size = i32::try_from(size).map_err(|_| format!("a dimension of {size}"))? as usize;
            count.checked_mul(size).ok_or("dimensions whose product is no number of elements".to_owned())
        })?;
        let name = body.next().map_err(|reason| format!("name: {reason}"))?.data;
        Ok(Self { class, count, name, body })
    }

    /// The names of the fields and the elements of a struct array.
    pub(super) fn structs(&self) -> Result<Structs<'a>> {
        if self.class != STRUCT {
            return Err(format!("an array of class {}; expected structs (class {STRUCT})", self.class));
        }
        let mut body = self.body;
        let length = body.of(INT32, "length of field names")?;
        let length = if length.len() == 4 { u32_at(length, 0, body.big_endian) as usize } else { 0 };
        let names = body.next().map_err(|reason| format!("field names: {reason}"))?.data;
        if length == 0 || names.len() % length != 0 || names.len() / length > MAX_FIELDS {
            let seen = names.len();
            return Err(format!(
                "{seen} bytes of field names of {length} each; at most {MAX_FIELDS} are read"
            ));
        }
        let names: Vec<_> = names.chunks(length).map(|name| until_zero(name).to_vec()).collect();
        // A field takes a tag at least, so a file cannot claim more elements than it has bytes for.
        if self.count.saturating_mul(names.len().max(1) * 8) > body.rest.len() {
            return Err(format!(
                "{} structs of {} fields in {} bytes",
                self.count,
                names.len(),
                body.rest.len()
            ));
        }
        Ok(Structs { count: self.count, names, values: body })
    }

    /// The text of a character array of one row.
    pub(super) fn text(&self) -> Result<String> {
        if self.count == 0 && (self.class == CHAR || NUMERIC.contains(&self.class)) {
            return Ok(String::new());
        }
        if self.class != CHAR {
            return Err(format!("an array of class {}; expected text (class {CHAR})", self.class));
        }
        let mut body = self.body;
        let Element { kind, data } = body.next()?;
        if data.len() > MAX_TEXT {
            return Err(format!("a text of {} bytes; at most {MAX_TEXT} are read", data.len()));
        }
        let text = match kind {
            // Code units below 256, stored in a byte each.
            1 | 2 => Some(data.iter().map(|&byte| char::from(byte)).collect()),
            4 | 17 => utf16(data, body.big_endian),
            16 => String::from_utf8(data.to_vec()).ok(),
            18 => utf32(data, body.big_endian),
            kind => {
                return Err(format!(
                    "text of type {kind}; expected UTF-8 (16), UTF-16 (4, 17), UTF-32 (18) or bytes"
                ));
            }
        };
        let text: String = text.ok_or_else(|| format!("{} is not valid text of type {kind}", shown(data)))?;
        // MATLAB counts UTF-16 units, other writers characters.
        let (units, characters) = (text.encode_utf16().count(), text.chars().count());
        if self.count != units && self.count != characters && self.count != text.len() {
            return Err(format!("{characters} characters in an array of {}", self.count));
        }
        Ok(text)
    }

    /// The number in a numeric array of one element, which must be whole.
    pub(super) fn whole_number(&self) -> Result<u32> {
        if !NUMERIC.contains(&self.class) || self.count != 1 {
            let (class, count) = (self.class, self.count);
            return Err(format!("{count} elements of class {class}; expected 1 number (class 6 to 15)"));
        }
        let mut body = self.body;
        // A number is stored in the smallest type that holds it, whatever its array's class.
        let Element { kind, data } = body.next()?;
        let value = scalar(kind, data, body.big_endian)
            .ok_or_else(|| format!("{} bytes of type {kind} are not a number", data.len()))?;
        if value.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&value) {
            return Err(format!("{value} is not a whole number of 0 to {}", u32::MAX));
        }
        Ok(value as u32)
    }
}

/// A struct array. Its values follow each other, all fields of an element together.
pub(super) struct Structs<'a> {
    pub(super) count: usize,
    /// The names of the fields.
    pub(super) names: Vec<Vec<u8>>,
    values: Elements<'a>,
}

impl<'a> Structs<'a> {
    /// The next value.
    pub(super) fn value(&mut self) -> Result<Array<'a>> {
        Array::new(self.values.matrix()?, self.values.big_endian)
    }
}

fn until_zero(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == 0).next().unwrap_or(name)
}

/// The caller has checked that 4 bytes are there.
fn u32_at(bytes: &[u8], at: usize, big_endian: bool) -> u32 {
    let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}

fn utf16(data: &[u8], big_endian: bool) -> Option<String> {
    let (units, rest) = data.as_chunks::<2>();
    let unit = |&unit| if big_endian { u16::from_be_bytes(unit) } else { u16::from_le_bytes(unit) };
    let text = char::decode_utf16(units.iter().map(unit)).collect::<std::result::Result<_, _>>().ok();
    text.filter(|_| rest.is_empty())
}

fn utf32(data: &[u8], big_endian: bool) -> Option<String> {
    let whole = data.len().is_multiple_of(4);
    whole.then(|| data.chunks(4).map(|unit| char::from_u32(u32_at(unit, 0, big_endian))).collect())?
}

fn scalar(kind: u32, data: &[u8], big_endian: bool) -> Option<f64> {
    let mut little = data.to_vec();
    if big_endian {
        little.reverse();
    }
    Some(match (kind, little.as_slice()) {
        (1, &[a]) => f64::from(a as i8),
        (2, &[a]) => f64::from(a),
        (3, &[a, b]) => f64::from(i16::from_le_bytes([a, b])),
        (4, &[a, b]) => f64::from(u16::from_le_bytes([a, b])),
        (5, &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])),
        (6, &[a, b, c, d]) => f64::from(u32::from_le_bytes([a, b, c, d])),
        (7, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
        (9, bytes) => f64::from_le_bytes(bytes.try_into().ok()?),
        (12, bytes) => i64::from_le_bytes(bytes.try_into().ok()?) as f64,
        (13, bytes) => u64::from_le_bytes(bytes.try_into().ok()?) as f64,
        _ => return None,
    })
}
