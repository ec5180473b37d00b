//! Lines of text files as people have them: with a byte order mark, CRLF, blank lines and blanks at the end.
//! What no list holds is refused: NUL bytes (UTF-16, or a binary file), lines of more than 64 KB, endless files.

use std::io::BufRead;

use ilsvrc_diagnostics::{Error, Result, SOURCE_UNREADABLE};

use super::{malformed, shown};

/// The longest line, in bytes.
const MAX_LINE: usize = 1 << 16;
/// The most lines of a file: twice what a list of all 14 million images of ImageNet has.
const MAX_LINES: usize = 1 << 25;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file without the mark that some editors put in front of UTF-8.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// A line that is not blank, without blanks at its end. Errors made with [`Line::refused`] name its number.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) bytes: &'a [u8],
}

impl<'a> Line<'a> {
    /// `line 12: <reason>`.
    pub(super) fn refused(&self, reason: impl std::fmt::Display) -> Error {
        malformed(format!("line {}: {reason}", self.number))
    }

    /// The line as text.
    pub(super) fn text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes).map_err(|e| {
            self.refused(format!("{} is not UTF-8 at byte {}", shown(self.bytes), e.valid_up_to()))
        })
    }

    /// `None` for a blank line. `raw` is what stands before the line feed.
    fn new(number: usize, raw: &'a [u8]) -> Result<Option<Self>> {
        let raw = if number == 1 { without_mark(raw) } else { raw };
        let line = Self { number, bytes: raw.trim_ascii_end() };
        if number > MAX_LINES {
            return Err(line.refused(format!("at most {MAX_LINES} lines are read")));
        }
        if raw.len() > MAX_LINE {
            return Err(line.refused(format!("more than {MAX_LINE} bytes without a line feed")));
        }
        if raw.contains(&0) {
            return Err(line.refused("a NUL byte; plain text (UTF-8) is read, not UTF-16 nor binary files"));
        }
        Ok((!line.bytes.is_empty()).then_some(line))
    }
}

/// The lines of `bytes` that are not blank.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = Result<Line<'_>>> {
    bytes.split(|&byte| byte == b'\n').enumerate().filter_map(|(i, raw)| Line::new(i + 1, raw).transpose())
}

/// The same from a reader, in the memory of one line.
pub(super) fn each_line(
    mut input: impl BufRead,
    mut visit: impl FnMut(Line<'_>) -> Result<()>,
) -> Result<()> {
    // Enough to see that a line is too long, its mark aside.
    let longest_read = (BYTE_ORDER_MARK.len() + MAX_LINE + 1) as u64;
    let mut raw = Vec::new();
    for number in 1.. {
        raw.clear();
        let mut bounded = std::io::Read::take(&mut input, longest_read);
        let read = bounded.read_until(b'\n', &mut raw).map_err(|error| {
            Error::new(SOURCE_UNREADABLE, format!("line {number} cannot be read")).info(error.to_string())
        })?;
        if read == 0 {
            break;
        }
        if let Some(line) = Line::new(number, raw.strip_suffix(b"\n").unwrap_or(&raw))? {
            visit(line)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(bytes: &[u8]) -> Result<Vec<(usize, Vec<u8>)>> {
        let slices: Result<Vec<_>> = lines(bytes).map(|l| l.map(|l| (l.number, l.bytes.to_vec()))).collect();
        let mut read = Vec::new();
        let streamed = each_line(bytes, |line| {
            read.push((line.number, line.bytes.to_vec()));
            Ok(())
        })
        .map(|()| read);
        assert_eq!(slices, streamed);
        slices
    }

    #[test]
    fn mark_crlf_and_blanks_are_no_part_of_a_line() {
        let seen = both(b"\xef\xbb\xbfone \r\n\r\n \t\n two\t\n\nlast").unwrap();
        assert_eq!(seen, [(1, b"one".to_vec()), (4, b" two".to_vec()), (6, b"last".to_vec())]);
        assert_eq!(both(b"").unwrap(), []);
    }

    #[test]
    fn nul_bytes_and_endless_lines_are_refused() {
        assert!(both(b"ok\nn\0o\n").unwrap_err().message.starts_with("line 2: a NUL byte"));
        let mut long = vec![b'x'; MAX_LINE];
        long.push(b'\n');
        assert!(both(&long).is_ok());
        long[MAX_LINE] = b'x';
        assert_eq!(both(&long).unwrap_err().message, "line 1: more than 65536 bytes without a line feed");
        assert!(both(&vec![b' '; 10 * MAX_LINE]).is_err());
        let marked = [BYTE_ORDER_MARK, &long, b"more"].concat();
        assert_eq!(both(&marked).unwrap_err().message, "line 1: more than 65536 bytes without a line feed");
    }

    #[test]
    fn a_failing_reader_is_not_a_malformed_file() {
        struct Broken;
        impl std::io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("gone"))
            }
        }
        let error = each_line(std::io::BufReader::new(Broken), |_| Ok(())).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (SOURCE_UNREADABLE, "line 1 cannot be read"));
    }
}
