//! The label of a WebDataset sample: its `.cls` (a number in ASCII) or its `.json` (an object with one of the keys
//! `label`, `cls`, `class`, `class_id`, and perhaps `boxes`: a list of `[left, top, right, bottom]`).

use ilsvrc_diagnostics::{Error, Result};
use serde_json::Value;

use super::boxes::{Rect, between};
use super::lines::without_mark;
use super::{MAX_CLASSES, malformed, shown};

/// More than any label needs; a `.json` may carry a caption and a URL besides.
const MAX_BYTES: usize = 1 << 20;
const MAX_BOXES: usize = 1 << 16;
/// In this order where a sample has several.
const KEYS: [&str; 4] = ["label", "cls", "class", "class_id"];

/// The class of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// Its number, from 0.
    Number(u32),
    /// Its name or WNID.
    Name(String),
}

/// What a sample's `.json` says of its image.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its class.
    pub label: Label,
    /// Where the objects are, in pixels. Boxes without area are left out.
    pub boxes: Vec<Rect>,
}

/// The class number of a `.cls`.
pub fn cls(bytes: &[u8]) -> Result<u32> {
    let text = std::str::from_utf8(without_mark(bytes).trim_ascii()).ok();
    let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok()).filter(|&number| number < MAX_CLASSES);
    number.ok_or_else(|| no_class_number("the .cls", &shown(bytes)))
}

/// The boxes of a `.json` whose label is elsewhere.
pub fn json_boxes(bytes: &[u8]) -> Result<Vec<Rect>> {
    parse(bytes)?.get("boxes").map_or(Ok(Vec::new()), boxes)
}

/// The label and boxes of a `.json`.
pub fn json(bytes: &[u8]) -> Result<Sample> {
    let value = parse(bytes)?;
    let (key, label) = KEYS.iter().find_map(|key| Some((key, value.get(key)?))).ok_or_else(|| {
        malformed(format!("no label: the .json must be an object with one of {}", KEYS.join(", ")))
    })?;
    let label = match label {
        Value::String(name) if !name.is_empty() => Label::Name(name.clone()),
        other => Label::Number(class_number(other).ok_or_else(|| no_class_number(key, &other.to_string()))?),
    };
    Ok(Sample { label, boxes: value.get("boxes").map_or(Ok(Vec::new()), boxes)? })
}

fn parse(bytes: &[u8]) -> Result<Value> {
    if bytes.len() > MAX_BYTES {
        return Err(malformed(format!("a .json of {} bytes; at most {MAX_BYTES} are read", bytes.len())));
    }
    serde_json::from_slice(without_mark(bytes)).map_err(|error| malformed(format!("not JSON: {error}")))
}

fn class_number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|&number| number < MAX_CLASSES)
}

fn no_class_number(what: &str, seen: &str) -> Error {
    let seen: String = seen.chars().take(80).collect();
    malformed(format!("{what} is {seen}, not a class number (0 to {})", MAX_CLASSES - 1))
}

fn boxes(value: &Value) -> Result<Vec<Rect>> {
    let list = value.as_array().filter(|list| list.len() <= MAX_BOXES).ok_or_else(|| {
        malformed(format!("boxes is not a list of at most {MAX_BOXES} [left, top, right, bottom]"))
    })?;
    let mut boxes = Vec::with_capacity(list.len());
    for (i, item) in list.iter().enumerate() {
        let corners = corners(item)
            .ok_or_else(|| malformed(format!("boxes[{i}] is not [left, top, right, bottom] in pixels")))?;
        boxes.extend(between(corners));
    }
    Ok(boxes)
}

fn corners(value: &Value) -> Option<[f32; 4]> {
    let mut corners = [0.0; 4];
    let values: &[Value; 4] = value.as_array()?.as_slice().try_into().ok()?;
    for (corner, value) in corners.iter_mut().zip(values) {
        *corner = value.as_f64().filter(|v| v.abs() <= f64::from(super::boxes::FARTHEST))? as f32;
    }
    Some(corners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cls_is_a_number() {
        assert_eq!(cls(b"0").unwrap(), 0);
        assert_eq!(cls(b"999\r\n").unwrap(), 999);
        assert_eq!(cls(b"\xef\xbb\xbf7\n").unwrap(), 7);
        for bytes in [&b""[..], b"-1", b"1.5", b"cat", b"+1", b"1 2", b"4294967296", b"1048576", b"\xff"] {
            assert!(cls(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(
            cls(b"cat").unwrap_err().message,
            "the .cls is \"cat\", not a class number (0 to 1048575)"
        );
    }

    #[test]
    fn json_has_a_label_and_perhaps_boxes() {
        let seen = json(br#"{"class": "n01440764", "boxes": [[1, 2, 3.5, 4], [9, 9, 8, 8], [1, 1, 1, 5]]}"#)
            .unwrap();
        let boxes = vec![[1.0, 2.0, 3.5, 4.0], [8.0, 8.0, 9.0, 9.0]];
        assert_eq!(seen, Sample { label: Label::Name("n01440764".to_owned()), boxes });
        assert_eq!(json(br#"{"class_id": 7, "url": {}}"#).unwrap().label, Label::Number(7));
        assert_eq!(json(br#"{"class": "cat", "label": 3}"#).unwrap().label, Label::Number(3));
        assert_eq!(json(b"\xef\xbb\xbf{\"cls\": 7}\r\n").unwrap().label, Label::Number(7));
    }

    #[test]
    fn boxes_need_no_label() {
        let bytes = br#"{"boxes": [[1, 2, 3, 4]], "width": 9, "height": 9}"#;
        assert_eq!(json_boxes(bytes).unwrap(), [[1.0, 2.0, 3.0, 4.0]]);
        assert_eq!(json_boxes(b"{}").unwrap(), [[0.0; 4]; 0]);
        assert!(json_boxes(br#"{"boxes": 3}"#).is_err() && json_boxes(b"{").is_err());
    }

    #[test]
    fn json_without_a_usable_label_is_refused() {
        let table = [
            (
                r#"{"caption": "a cat"}"#,
                "no label: the .json must be an object with one of label, cls, class, class_id",
            ),
            ("[1]", "no label: the .json must be an object with one of label, cls, class, class_id"),
            (r#"{"label": -1}"#, "label is -1, not a class number (0 to 1048575)"),
            (r#"{"cls": 1.5}"#, "cls is 1.5, not a class number (0 to 1048575)"),
            (r#"{"cls": null}"#, "cls is null, not a class number (0 to 1048575)"),
            (r#"{"label": ""}"#, "label is \"\", not a class number (0 to 1048575)"),
            (
                r#"{"label": 1, "boxes": 3}"#,
                "boxes is not a list of at most 65536 [left, top, right, bottom]",
            ),
            (
                r#"{"label": 1, "boxes": [[1,2,3,4],[1,2,3]]}"#,
                "boxes[1] is not [left, top, right, bottom] in pixels",
            ),
            (
                r#"{"label": 1, "boxes": [[1,2,3,1e30]]}"#,
                "boxes[0] is not [left, top, right, bottom] in pixels",
            ),
        ];
        for (text, message) in table {
            assert_eq!(json(text.as_bytes()).unwrap_err().message, message);
        }
        assert!(json(b"{").unwrap_err().message.starts_with("not JSON: "));
        assert!(json("[".repeat(100_000).as_bytes()).is_err());
        assert!(json(&vec![b' '; MAX_BYTES + 1]).is_err());
    }
}
