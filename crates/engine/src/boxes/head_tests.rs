//! A head learns, is the same when it is read again, and other files are refused.

use super::super::fit::{BoxFit, Rows, fit};
use super::*;
use ilsvrc_random::{Purpose, Stream};
use std::fs;
use std::sync::atomic::AtomicBool;

const ELEMENTS: usize = 288;
const ROWS: usize = 256;

fn record(per_class: bool) -> HeadRecord {
    HeadRecord {
        model: "abc".into(),
        layer: "conv5".into(),
        views: 1,
        windows: 0,
        per_class,
        classes: vec!["a".into(), "b".into()],
        data: "data".into(),
        images: ROWS,
        boxed: ROWS,
        loss: f64::NAN,
        fit: None,
    }
}

/// Four numbers a row, each in many features, and boxes that are linear in them; those of class 1 are shifted.
fn rows() -> (Vec<f32>, Vec<[f32; 4]>, Vec<u32>) {
    let stream = Stream::new(5, Purpose::Drawing, 0, 0);
    let number = |row: usize, edge: usize| stream.uniform((row * 4 + edge) as u32);
    let features: Vec<f32> =
        (0..ROWS * ELEMENTS).map(|at| number(at / ELEMENTS, at % ELEMENTS % 4)).collect();
    let classes: Vec<u32> = (0..ROWS as u32).map(|row| row % 2).collect();
    let boxes = features.chunks_exact(ELEMENTS).zip(&classes).map(|(row, &class)| {
        let shift = class as f32 * 0.2;
        [0.4 * row[0] - shift, 0.4 * row[1], 0.6 + 0.4 * row[2], 0.5 + 0.4 * row[3] + shift]
    });
    (features.clone(), boxes.collect(), classes)
}

fn trained(per_class: bool, threads: usize, epochs: usize) -> Result<Head> {
    let (features, boxes, classes) = rows();
    let rows = Rows { features: &features, elements: ELEMENTS, boxes: &boxes, classes: &classes };
    let how = BoxFit { batch: 32, epochs, rate: 0.01, seed: 2 };
    let (mut reports, go_on) = (0, AtomicBool::new(false));
    let head = fit(&rows, record(per_class), &how, threads, &go_on, &mut |_, _| reports += 1)?;
    assert_eq!(reports, epochs);
    Ok(head)
}

/// Mean absolute error of the edges of class `class`, in shares of the crop.
fn error(head: &mut Head, class: u32) -> f32 {
    let (features, boxes, classes) = rows();
    let per_row = if head.record.per_class { 2 } else { 1 };
    let found = head.boxes(&features).unwrap();
    let own = (0..ROWS).filter(|&row| classes[row] == class);
    let sums = own.map(|row| {
        let found = found[row * per_row + if per_row == 2 { class as usize } else { 0 }];
        found.iter().zip(boxes[row]).map(|(a, b)| (a - b).abs()).sum::<f32>() / 4.0
    });
    sums.sum::<f32>() / (ROWS / 2) as f32
}

#[test]
fn a_head_learns_and_each_class_has_its_own_where_that_is_asked() {
    let (first, mut last) = (trained(true, 1, 1).unwrap(), trained(true, 1, 60).unwrap());
    for class in [0, 1] {
        // Boxes that know nothing are 0.1 off: the mean distance of a uniform number from its middle, times 0.4.
        assert!(error(&mut last, class) < 0.05, "{}", error(&mut last, class));
    }
    assert!(last.record().loss < first.record().loss);
    assert_eq!(last.record().widths(9216), [9216, 4096, 1024, 8]);
}

#[test]
fn threads_do_not_matter_and_a_file_gives_the_same_boxes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let mut head = trained(false, 1, 3).unwrap();
    let expected = head.boxes(&rows().0).unwrap();
    assert_eq!(trained(false, 3, 3).unwrap().boxes(&rows().0).unwrap(), expected);
    head.save(&path).unwrap();
    let mut read = Head::open(&path, "abc", ELEMENTS, 2).unwrap();
    assert_eq!(read.boxes(&rows().0).unwrap(), expected);
    assert_eq!((read.record().fit.as_ref(), read.record().images), (head.record().fit.as_ref(), ROWS));
    assert!(read.boxes(&[0.0; ELEMENTS + 1]).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    trained(false, 1, 1).unwrap().save(&path).unwrap();
    let code = |model, elements| Head::open(&path, model, elements, 1).err().map(|error| error.code);
    assert_eq!(code("another", ELEMENTS), Some(HEAD_FOREIGN));
    assert_eq!(code("abc", ELEMENTS + 9), Some(HEAD_DAMAGED));
    let whole = fs::read(&path).unwrap();
    for length in [0, 7, 40, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(code("abc", ELEMENTS).is_some(), "{length} bytes");
    }
    let mut flipped = whole;
    let last = flipped.len() - 5;
    flipped[last] ^= 1;
    fs::write(&path, flipped).unwrap();
    assert_eq!(code("abc", ELEMENTS), Some(HEAD_DAMAGED));
    // A model is not a head.
    model_file::write(&path, &BTreeMap::new(), &[]).unwrap();
    assert_eq!(code("abc", ELEMENTS), Some(HEAD_DAMAGED));
    assert_eq!(
        Head::open(&folder.path().join("none"), "abc", ELEMENTS, 1).err().map(|error| error.code),
        Some(ilsvrc_diagnostics::MODEL_UNREADABLE)
    );
}

#[test]
fn stopping_leaves_no_head() {
    let (features, boxes, classes) = rows();
    let rows = Rows { features: &features, elements: ELEMENTS, boxes: &boxes, classes: &classes };
    let how = BoxFit { batch: 32, epochs: 2, rate: 0.01, seed: 2 };
    let stopped = AtomicBool::new(true);
    let result = fit(&rows, record(false), &how, 1, &stopped, &mut |_, _| {});
    assert_eq!(result.err().map(|error| error.code), Some(ilsvrc_diagnostics::INTERRUPTED));
}
