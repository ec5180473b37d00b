//! Headers of tar archives: a block of fields, and pax records that correct them.

use super::BLOCK;

pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) size: u64,
    pub(super) kind: u8,
}

impl Header {
    pub(super) fn parse(block: &[u8; BLOCK as usize]) -> std::result::Result<Self, String> {
        let stored = number(&block[148..156]).ok_or("no tar header here")?;
        if stored != checksum(block) {
            return Err(format!("the header's checksum is {stored} instead of {}", checksum(block)));
        }
        let size = number(&block[124..136]).ok_or("a size that is no number")?;
        let mut name = until_zero(&block[..100]).to_vec();
        // GNU archives ("ustar" and two blanks) use these bytes for other things.
        if &block[257..263] == b"ustar\0" && block[345] != 0 {
            name = [until_zero(&block[345..500]), b"/", &name].concat();
        }
        Ok(Self { name, size, kind: block[156] })
    }
}

/// The sum of the header's bytes with the checksum itself taken as blanks.
pub(super) fn checksum(block: &[u8; BLOCK as usize]) -> u64 {
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

/// Bytes up to the first zero.
pub(super) fn until_zero(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    &field[..end]
}

/// The pax records used here.
#[derive(Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
}

impl Pax {
    /// Records `"<length> <key>=<value>\n"`, the length counting the whole record.
    pub(super) fn parse(mut records: &[u8]) -> std::result::Result<Self, String> {
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
                b"path" => pax.path = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    pax.size = Some(size.ok_or_else(bad)?);
                }
                _ => {}
            }
            records = &records[length..];
        }
        Ok(pax)
    }
}
