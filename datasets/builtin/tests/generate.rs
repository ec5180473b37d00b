//! The generator as its callers see it: folders, files and the marker.

use ilsvrc_builtin::{Options, Summary, class_names, generate};
use ilsvrc_diagnostics::{Error, INTERRUPTED, OUTPUT_DIFFERS};
use ilsvrc_images::Decoder;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn drawn(out: &Path, images: usize, workers: usize) -> Result<Summary, Error> {
    let options = Options { out: out.to_owned(), images, seed: 5, workers };
    generate(&options, &AtomicBool::new(false), &|_, _| {})
}

/// Bytes of all files by their path below `out`.
fn files(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![out.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(out).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn one_worker_and_three_draw_the_same() {
    let (one, three) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(drawn(one.path(), 36, 1).unwrap(), drawn(three.path(), 36, 3).unwrap());
    assert!(files(one.path()) == files(three.path()));
}

#[test]
fn images_decode_have_their_sizes_and_are_spread_evenly_over_the_classes() {
    let out = tempfile::tempdir().unwrap();
    let summary = drawn(out.path(), 60, 2).unwrap();
    let mut decoder = Decoder::new();
    let mut bytes = 0;
    let mut shapes = BTreeMap::new();
    for (name, jpeg) in files(out.path()).iter().filter(|(name, _)| name.ends_with(".jpg")) {
        let decoded = decoder.decode(jpeg).unwrap();
        assert!(!decoded.warned, "{name}");
        for side in [decoded.image.width, decoded.image.height] {
            assert!((200..=600).contains(&side), "{name} has a side of {side}");
        }
        bytes += jpeg.len() as u64;
        *shapes.entry((decoded.image.width, decoded.image.height)).or_insert(0) += 1;
    }
    assert!(shapes.len() > 50, "sizes vary: {shapes:?}");
    assert_eq!(summary, Summary { images: 60, classes: 12, bytes });
    for class in class_names() {
        for (split, count) in [("train", 4), ("val", 1)] {
            let folder = out.path().join(split).join(class);
            assert_eq!(fs::read_dir(folder).unwrap().count(), count, "{split}/{class}");
        }
    }
}

/// The boxes stand where `prep` looks for them, fit the pictures, and are as large as the figures are said to be.
#[test]
fn every_picture_has_a_box() {
    let out = tempfile::tempdir().unwrap();
    drawn(out.path(), 60, 2).unwrap();
    let all = files(out.path());
    let (mut boxes, mut decoder) = (0, Decoder::new());
    for (name, jpeg) in all.iter().filter(|(name, _)| name.ends_with(".jpg")) {
        let xml = &all[&format!("annotations/{}.xml", name.strip_suffix(".jpg").unwrap())];
        let xml = std::str::from_utf8(xml).unwrap();
        let number = |tag: &str| -> usize {
            let (_, rest) = xml.split_once(&format!("<{tag}>")).unwrap();
            rest.split_once('<').unwrap().0.parse().unwrap()
        };
        let image = decoder.decode(jpeg).unwrap().image;
        assert_eq!((number("width"), number("height")), (image.width, image.height), "{name}");
        let [left, top, right, bottom] = ["xmin", "ymin", "xmax", "ymax"].map(number);
        assert!(left < right && right < image.width && top < bottom && bottom < image.height, "{name}");
        let short = image.width.min(image.height);
        let span = (right - left).max(bottom - top) as f32 / short as f32;
        assert!((0.2..=1.0).contains(&span), "{name} spans {span} of the short side");
        assert!(name.split('/').nth(1).is_some_and(|class| xml.contains(&format!("<name>{class}</name>"))));
        boxes += 1;
    }
    assert_eq!(boxes, 60);
}

#[test]
fn a_finished_set_is_kept_and_another_one_replaced() {
    let out = tempfile::tempdir().unwrap();
    let first = drawn(out.path(), 12, 1).unwrap();
    let witness = out.path().join("train/star/witness");
    fs::write(&witness, "").unwrap();
    assert_eq!(drawn(out.path(), 12, 2).unwrap(), first);
    assert!(witness.exists());
    drawn(out.path(), 13, 1).unwrap();
    assert!(!witness.exists());
}

#[test]
fn photos_of_somebody_else_are_left_alone() {
    let out = tempfile::tempdir().unwrap();
    fs::create_dir(out.path().join("train")).unwrap();
    assert_eq!(drawn(out.path(), 12, 1).unwrap_err().code, OUTPUT_DIFFERS);
    assert!(!out.path().join("builtin.json").exists());
}

#[test]
fn a_cancelled_set_is_drawn_afresh() {
    let (out, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cancel = AtomicBool::new(false);
    let calls = AtomicUsize::new(0);
    let options = Options { out: out.path().to_owned(), images: 24, seed: 5, workers: 2 };
    let stopped = generate(&options, &cancel, &|done, total| {
        assert_eq!(total, 24);
        calls.fetch_add(1, Ordering::Relaxed);
        if done >= 3 {
            cancel.store(true, Ordering::Relaxed);
        }
    });
    assert_eq!(stopped.unwrap_err().code, INTERRUPTED);
    assert!(calls.into_inner() < 24);
    assert_eq!(drawn(out.path(), 24, 1).unwrap(), drawn(whole.path(), 24, 2).unwrap());
    assert!(files(out.path()) == files(whole.path()));
}
