//! Tiny ImageNet's text files: `val/val_annotations.txt` (`file wnid x0 y0 x1 y1`), `train/<wnid>/<wnid>_boxes.txt`
//! (`file x0 y0 x1 y1`) and `wnids.txt` (a class a line). Columns are separated by tabs or blanks.

use std::collections::HashSet;

use ilsvrc_diagnostics::Result;

use super::boxes::{Rect, between, coordinate};
use super::lines::{Line, lines};
use super::{MAX_CLASSES, shown};

/// A line of `val_annotations.txt`.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotated {
    /// The name of the image's file, for example `val_0.JPEG`.
    pub file: String,
    /// Its class.
    pub wnid: String,
    /// Where the object is, in pixels; `None` where the box has no area.
    pub bounds: Option<Rect>,
}

/// The images of `val_annotations.txt`, in its order.
pub fn annotations(bytes: &[u8]) -> Result<Vec<Annotated>> {
    let parse = |line: Line<'_>| {
        let [file, wnid, corners @ ..]: [_; 6] = columns(&line, "file wnid x0 y0 x1 y1")?;
        Ok(Annotated { file: file.to_owned(), wnid: wnid.to_owned(), bounds: bounds(&line, corners)? })
    };
    lines(bytes).map(|line| line.and_then(parse)).collect()
}

/// The images of a `<wnid>_boxes.txt` with their boxes in pixels, in its order; `None` for a box without area.
pub fn boxes(bytes: &[u8]) -> Result<Vec<(String, Option<Rect>)>> {
    let parse = |line: Line<'_>| {
        let [file, corners @ ..]: [_; 5] = columns(&line, "file x0 y0 x1 y1")?;
        Ok((file.to_owned(), bounds(&line, corners)?))
    };
    lines(bytes).map(|line| line.and_then(parse)).collect()
}

/// The classes of `wnids.txt`, in its order, which is that of no label.
pub fn wnids(bytes: &[u8]) -> Result<Vec<String>> {
    let mut seen = HashSet::new();
    let mut wnids = Vec::new();
    for line in lines(bytes) {
        let line = line?;
        let [wnid] = columns(&line, "wnid")?;
        if !seen.insert(wnid) {
            return Err(line.refused(format!("{} stands there twice", shown(wnid.as_bytes()))));
        }
        if wnids.len() == MAX_CLASSES as usize {
            return Err(line.refused(format!("at most {MAX_CLASSES} classes are read")));
        }
        wnids.push(wnid.to_owned());
    }
    Ok(wnids)
}

fn columns<'a, const N: usize>(line: &Line<'a>, expected: &str) -> Result<[&'a str; N]> {
    let words: Vec<&str> = line.text()?.split_ascii_whitespace().take(N + 1).collect();
    words.try_into().map_err(|_| line.refused(format!("{} is not: {expected}", shown(line.bytes))))
}

fn bounds(line: &Line<'_>, corners: [&str; 4]) -> Result<Option<Rect>> {
    let mut values = [0.0; 4];
    for (value, corner) in values.iter_mut().zip(corners) {
        *value = coordinate(corner).map_err(|reason| line.refused(reason))?;
    }
    Ok(between(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_of_validation_images() {
        let seen =
            annotations(b"val_0.JPEG\tn03444034\t0\t32\t44\t62\r\nval_1.JPEG\tn04067472\t5\t0\t5\t9\n")
                .unwrap();
        let first = Annotated {
            file: "val_0.JPEG".to_owned(),
            wnid: "n03444034".to_owned(),
            bounds: Some([0.0, 32.0, 44.0, 62.0]),
        };
        assert_eq!(seen[0], first);
        assert_eq!((seen[1].wnid.as_str(), seen[1].bounds), ("n04067472", None));
    }

    #[test]
    fn boxes_of_a_class() {
        let seen = boxes(b"n01443537_0.JPEG\t0\t10\t63\t58\n").unwrap();
        assert_eq!(seen, [("n01443537_0.JPEG".to_owned(), Some([0.0, 10.0, 63.0, 58.0]))]);
    }

    #[test]
    fn classes_in_their_order() {
        assert_eq!(wnids(b"n02124075\nn04067472\n\n").unwrap(), ["n02124075", "n04067472"]);
        assert_eq!(wnids(b"n1\nn2\nn1\n").unwrap_err().message, "line 3: \"n1\" stands there twice");
        assert_eq!(wnids(b"n1 cat\n").unwrap_err().message, "line 1: \"n1 cat\" is not: wnid");
    }

    #[test]
    fn a_bad_line_is_refused_with_its_number_and_value() {
        let error = annotations(b"a n1 1 2 3 4\nb n1 1 2 3\n").unwrap_err();
        assert_eq!(error.message, "line 2: \"b n1 1 2 3\" is not: file wnid x0 y0 x1 y1");
        let error = boxes(b"a 1 2 3 x\n").unwrap_err();
        assert_eq!(error.message, "line 1: \"x\" is not a coordinate (a number of pixels)");
        assert!(boxes(b"a 1 2 3 4 5\n").is_err());
        assert!(annotations(b"\xff n1 1 2 3 4\n").unwrap_err().message.contains("not UTF-8 at byte 0"));
    }
}
