//! NumPy's array format, version 1.0, little-endian f32 in C order: enough for the mean image.
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use std::io::{self, Write};

const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

/// Writes `values` of `shape`.
pub fn write(out: &mut impl Write, shape: &[usize], values: &[f32]) -> io::Result<()> {
    out.write_all(&header(shape))?;
    values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

/// The values of a file that was written by [`write()`] with `shape`; nothing when it is anything else.
pub fn read(file: &[u8], shape: &[usize]) -> Option<Vec<f32>> {
    let data = file.strip_prefix(header(shape).as_slice())?;
    let values: Vec<f32> = data
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect();
    (data.len() == 4 * shape.iter().product::<usize>()).then_some(values)
}

fn header(shape: &[usize]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", sides.trim_end());
    // The data start at a multiple of 64 bytes, after a newline.
    let padding = 63 - (MAGIC.len() + 2 + text.len()) % 64;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    [MAGIC, &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut file = Vec::new();
        let values = [1.5, -2.0, 3.25, 0.0, 5.0, 6.0];
        write(&mut file, &[1, 2, 3], &values).unwrap();
        assert_eq!(file.len() % 64, 24);
        assert_eq!(&file[..8], MAGIC);
        assert!(String::from_utf8_lossy(&file).contains("'shape': (1, 2, 3,), }"));
        assert_eq!(read(&file, &[1, 2, 3]).unwrap(), values);
        assert!(read(&file, &[2, 1, 3]).is_none());
        assert!(read(&file[..file.len() - 1], &[1, 2, 3]).is_none());
        assert!(read(&[file, vec![0]].concat(), &[1, 2, 3]).is_none());
    }
}
