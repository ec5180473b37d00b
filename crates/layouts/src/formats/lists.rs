//! Plain lists: Caffe's `train.txt` (`path label`), class names (`synset_words.txt`, `LOC_synset_mapping.txt`,
//! `words.txt`: `wnid words`), and the devkit's ground truth (a class number a line).

use std::collections::HashSet;

use ilsvrc_diagnostics::Result;

use super::lines::lines;
use super::{MAX_CLASSES, shown};

/// The images of a Caffe list in its order: path (bytes as they stand there, blanks included) and label, from 0.
pub fn caffe(bytes: &[u8]) -> impl Iterator<Item = Result<(&[u8], u32)>> {
    lines(bytes).map(|line| {
        let line = line?;
        // Paths may hold blanks: the label is what stands after the last one.
        let entry = line.bytes.iter().rposition(u8::is_ascii_whitespace).and_then(|blank| {
            let (path, label) = line.bytes.split_at(blank);
            let label = number(&label[1..]).filter(|&label| label < MAX_CLASSES)?;
            Some((path.trim_ascii_end(), label))
        });
        entry.filter(|(path, _)| !path.is_empty()).ok_or_else(|| {
            let seen = shown(line.bytes);
            line.refused(format!("{seen} is not a path and a label (0 to {})", MAX_CLASSES - 1))
        })
    })
}

/// The classes of a list of names, in its order: WNID and words (without any, the words are empty).
pub fn names(bytes: &[u8]) -> Result<Vec<(String, String)>> {
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    for line in lines(bytes) {
        let line = line?;
        let text = line.text()?.trim_ascii_start();
        let (wnid, words) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        if !seen.insert(wnid) {
            return Err(line.refused(format!("{} stands there twice", shown(wnid.as_bytes()))));
        }
        if names.len() == MAX_CLASSES as usize {
            return Err(line.refused(format!("at most {MAX_CLASSES} classes are read")));
        }
        // Some copies of Kaggle's file are written `wnid : words`.
        let words = words.trim_start();
        let words = words.strip_prefix(": ").unwrap_or(words).trim_start();
        names.push((wnid.to_owned(), words.to_owned()));
    }
    Ok(names)
}

/// The class numbers of a ground truth file, each 1 to `classes`, in the order of the images' names.
pub fn ground_truth(bytes: &[u8], classes: u32) -> Result<Vec<u32>> {
    lines(bytes)
        .map(|line| {
            let line = line?;
            let class = number(line.bytes.trim_ascii_start()).filter(|class| (1..=classes).contains(class));
            class.ok_or_else(|| {
                line.refused(format!("{} is not a class number (1 to {classes})", shown(line.bytes)))
            })
        })
        .collect()
}

/// A number of decimal digits alone.
fn number(digits: &[u8]) -> Option<u32> {
    let decimal = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    decimal.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_stands_after_the_last_blank() {
        let list = b"n01440764/a.JPEG 0\nmy photos/b c.jpg  12\r\ncaf\xe9.jpg\t999\n";
        let seen: Result<Vec<_>> = caffe(list).collect();
        let expected: [(&[u8], u32); 3] =
            [(b"n01440764/a.JPEG", 0), (b"my photos/b c.jpg", 12), (b"caf\xe9.jpg", 999)];
        assert_eq!(seen.unwrap(), expected);
    }

    #[test]
    fn a_line_without_a_label_is_refused() {
        for line in
            ["a.jpg", "a.jpg -1", "a.jpg 1.0", "a.jpg +1", " 7", "7", "a.jpg 1048576", "a 99999999999"]
        {
            let error = caffe(line.as_bytes()).next().unwrap().unwrap_err();
            let expected = format!("line 1: {line:?} is not a path and a label (0 to 1048575)");
            assert_eq!(error.message, expected);
        }
    }

    #[test]
    fn names_of_caffe_kaggle_and_wordnet() {
        let list = "n02012849 crane\nn03126707\tcrane\nn01440764 : tench, Tinca tinca\nn1\n";
        let seen = names(list.as_bytes()).unwrap();
        let expected =
            [("n02012849", "crane"), ("n03126707", "crane"), ("n01440764", "tench, Tinca tinca"), ("n1", "")];
        assert!(seen.iter().map(|(wnid, words)| (wnid.as_str(), words.as_str())).eq(expected));
    }

    #[test]
    fn names_that_repeat_or_are_not_text_are_refused() {
        assert_eq!(names(b"n1 a\nn1 b\n").unwrap_err().message, "line 2: \"n1\" stands there twice");
        assert!(names(b"n1 caf\xe9\n").unwrap_err().message.ends_with("is not UTF-8 at byte 6"));
        assert!(names(b"n1\0a\n").is_err());
        // No blank to the lines of a file, but to `str::trim`.
        assert_eq!(names(b"\x0b\n").unwrap(), [("\x0b".to_owned(), String::new())]);
    }

    #[test]
    fn ground_truth_is_a_class_a_line() {
        assert_eq!(ground_truth(b"490\r\n361\n 171 \n1000\n\n", 1000).unwrap(), [490, 361, 171, 1000]);
        for line in ["0", "1001", "-1", "1 2", "n1"] {
            let error = ground_truth(line.as_bytes(), 1000).unwrap_err();
            assert_eq!(error.message, format!("line 1: {line:?} is not a class number (1 to 1000)"));
        }
    }
}
