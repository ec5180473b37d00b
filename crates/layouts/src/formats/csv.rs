//! Kaggle's `LOC_train_solution.csv` and `LOC_val_solution.csv`: a header `ImageId,PredictionString`, then a row an image.
//! The second column repeats `wnid x0 y0 x1 y1` for each object, or is the class alone. Neither column can hold a
//! comma or a line feed, so rows are lines; quotes around a column, which spreadsheets add, are taken off.

use std::io::BufRead;

use ilsvrc_diagnostics::Result;

use super::boxes::{Rect, between, coordinate};
use super::lines::{Line, each_line};
use super::{malformed, shown};

/// Calls `visit(image id, wnid, boxes)` for each row of `input`, in the memory of one row. Boxes are in pixels of the
/// original image: left, top, right, bottom. Those without area are left out; they may reach beyond the image.
/// An error of `visit` ends the reading and is returned.
pub fn solution(input: impl BufRead, mut visit: impl FnMut(&str, &str, &[Rect]) -> Result<()>) -> Result<()> {
    let mut boxes = Vec::new();
    let mut header_seen = false;
    each_line(input, |line| {
        let (image, objects) = columns(&line)?;
        if !header_seen {
            header_seen = true;
            return match image == "ImageId" && objects == "PredictionString" {
                true => Ok(()),
                false => Err(line.refused(format!(
                    "the header is {}; it must be ImageId,PredictionString",
                    shown(line.bytes)
                ))),
            };
        }
        boxes.clear();
        let wnid = row(objects, &mut boxes).map_err(|reason| line.refused(format!("{image}: {reason}")))?;
        visit(image, wnid, &boxes)
    })?;
    match header_seen {
        true => Ok(()),
        false => Err(malformed("no header; the first line is ImageId,PredictionString")),
    }
}

fn columns<'a>(line: &Line<'a>) -> Result<(&'a str, &'a str)> {
    let unquoted = |column: &'a str| {
        let inner = column.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        inner.unwrap_or(column).trim()
    };
    let columns = line.text()?.split_once(',').map(|(image, objects)| (unquoted(image), unquoted(objects)));
    match columns {
        Some((image, objects)) if !image.is_empty() && !objects.contains(',') => Ok((image, objects)),
        _ => Err(line
            .refused(format!("{} is not an image and its objects, with a comma between", shown(line.bytes)))),
    }
}

/// The class of a row's objects, and their boxes.
fn row<'a>(objects: &'a str, boxes: &mut Vec<Rect>) -> Result<&'a str, String> {
    let mut words = objects.split_ascii_whitespace();
    let wnid = words.next().ok_or("no class; expected: wnid x0 y0 x1 y1, repeated")?;
    let mut class = wnid;
    for object in 1.. {
        if class != wnid {
            return Err(format!(
                "object {object} is of {class}, the first of {wnid}; an image has one class"
            ));
        }
        let mut corners = [0.0; 4];
        for (i, corner) in corners.iter_mut().enumerate() {
            match words.next() {
                Some(word) => *corner = coordinate(word).map_err(|e| format!("object {object}: {e}"))?,
                // A class alone says what the image shows and not where.
                None if object == 1 && i == 0 => return Ok(wnid),
                None => return Err(format!("object {object} has {i} numbers; a box has 4: x0 y0 x1 y1")),
            }
        }
        boxes.extend(between(corners));
        match words.next() {
            Some(next) => class = next,
            None => break,
        }
    }
    Ok(wnid)
}

#[cfg(test)]
mod tests {
    use ilsvrc_diagnostics::{ANNOTATION_MALFORMED, Error, INTERRUPTED};

    use super::*;

    type Rows = Vec<(String, String, Vec<Rect>)>;

    fn rows(text: &str) -> Result<Rows> {
        let mut rows = Vec::new();
        solution(text.as_bytes(), |image, wnid, boxes| {
            rows.push((image.to_owned(), wnid.to_owned(), boxes.to_vec()));
            Ok(())
        })?;
        Ok(rows)
    }

    #[test]
    fn rows_with_boxes_without_and_with_quotes() {
        let text = "\u{feff}ImageId,PredictionString\r\n\
                    n02017213_7894,n02017213 115 49 448 294 n02017213 2 1 9.5 8 \r\n\r\n\
                    val_1,n03995372\r\n\"val_2\",\"n1 5 5 5 9\"\n";
        let expected = vec![
            (
                "n02017213_7894".to_owned(),
                "n02017213".to_owned(),
                vec![[115.0, 49.0, 448.0, 294.0], [2.0, 1.0, 9.5, 8.0]],
            ),
            ("val_1".to_owned(), "n03995372".to_owned(), vec![]),
            ("val_2".to_owned(), "n1".to_owned(), vec![]),
        ];
        assert_eq!(rows(text).unwrap(), expected);
    }

    #[test]
    fn a_bad_row_is_refused_with_its_line_and_value() {
        let table = [
            ("a,n1 1 2 3\n", "line 2: a: object 1 has 3 numbers; a box has 4: x0 y0 x1 y1"),
            (
                "a,n1 1 2 3 4 n2 1 2 3 4\n",
                "line 2: a: object 2 is of n2, the first of n1; an image has one class",
            ),
            ("\na,n1 1 2 3 4 n1\n", "line 3: a: object 2 has 0 numbers; a box has 4: x0 y0 x1 y1"),
            ("a,n1 1 2 three 4\n", "line 2: a: object 1: \"three\" is not a coordinate (a number of pixels)"),
            ("a,n1 1 2 NaN 4\n", "line 2: a: object 1: \"NaN\" is not a coordinate (a number of pixels)"),
            ("a,\n", "line 2: a: no class; expected: wnid x0 y0 x1 y1, repeated"),
            ("a\n", "line 2: \"a\" is not an image and its objects, with a comma between"),
            (",n1\n", "line 2: \",n1\" is not an image and its objects, with a comma between"),
            ("0,a,n1\n", "line 2: \"0,a,n1\" is not an image and its objects, with a comma between"),
        ];
        for (row, message) in table {
            let error = rows(&format!("ImageId,PredictionString\n{row}")).unwrap_err();
            assert_eq!((error.code, error.message.as_str()), (ANNOTATION_MALFORMED, message));
        }
        let error = rows("image,label\n").unwrap_err();
        assert_eq!(
            error.message,
            "line 1: the header is \"image,label\"; it must be ImageId,PredictionString"
        );
    }

    #[test]
    fn a_file_without_a_header_is_refused() {
        for text in ["", "\n \r\n", "\u{feff}"] {
            assert_eq!(
                rows(text).unwrap_err().message,
                "no header; the first line is ImageId,PredictionString"
            );
        }
        assert_eq!(rows("ImageId,PredictionString\n").unwrap(), []);
    }

    #[test]
    fn the_visitor_can_stop() {
        let mut seen = 0;
        let error = solution("ImageId,PredictionString\na,n1\nb,n2\n".as_bytes(), |_, _, _| {
            seen += 1;
            Err(Error::new(INTERRUPTED, "enough"))
        });
        assert_eq!((seen, error.unwrap_err().code), (1, INTERRUPTED));
    }
}
