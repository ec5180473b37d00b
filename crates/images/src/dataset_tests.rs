use std::sync::atomic::AtomicUsize;

use super::*;
use crate::samples::{contents, dataset};

/// The code after `change` was done to `file` of a good data set.
fn code_after(folder: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> &'static str {
    let path = folder.join(file);
    let good = fs::read(&path).unwrap();
    let mut bytes = good.clone();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let code = Dataset::open(folder).unwrap_err().code;
    fs::write(&path, good).unwrap();
    Dataset::open(folder).unwrap();
    code
}

fn check(folder: &Path) -> Result<CheckReport> {
    Dataset::check(folder, &AtomicBool::new(false), &mut |_| {})
}

#[test]
fn what_was_cut_changed_or_lost_is_found() {
    let folder = tempfile::tempdir().unwrap();
    dataset(folder.path());
    let out = folder.path().join("out");
    let half = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
    assert_eq!(code_after(&out, MANIFEST, half), MANIFEST_INVALID);
    assert_eq!(code_after(&out, MANIFEST, Vec::clear), MANIFEST_INVALID);
    assert_eq!(code_after(&out, MEAN, half), MANIFEST_INVALID);
    assert_eq!(code_after(&out, MEAN, |bytes| bytes[1000] ^= 1), MANIFEST_INVALID);
    assert_eq!(code_after(&out, "val-000000.index.json", half), SHARD_CORRUPT);
    assert_eq!(code_after(&out, "val-000000.index.json", |bytes| bytes[70] ^= 1), SHARD_CORRUPT);
    assert_eq!(code_after(&out, "train-000001.tar", half), SHARD_SHORT);
    assert_eq!(code_after(&out, "train-000001.tar", |bytes| bytes.push(0)), SHARD_CORRUPT);
    fs::remove_file(out.join("train-000002.tar")).unwrap();
    assert_eq!(Dataset::open(&out).unwrap_err().code, SHARD_CORRUPT);
    assert_eq!(Dataset::open(folder.path()).unwrap_err().code, MANIFEST_INVALID);
}

#[test]
fn a_short_shard_names_the_first_image_lost() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let image = &dataset.images("train").unwrap()[3];
    let path = &dataset.shard_paths("train")[0];
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(image.offset + u64::from(image.length) - 1).unwrap();
    let error = Dataset::open(folder.path().join("out")).unwrap_err();
    assert_eq!(error.code, SHARD_SHORT);
    assert!(error.message.ends_with(&format!("ends before {}.jpg", image.key)), "{error}");
    assert!(error.hint.unwrap().starts_with("ilsvrc prep --check "));
}

/// Every flipped bit of the manifest is found: by the parser, the version or the checksum.
#[test]
fn every_flipped_bit_of_the_manifest_is_found() {
    let folder = tempfile::tempdir().unwrap();
    dataset(folder.path());
    let out = folder.path().join("out");
    let path = out.join(MANIFEST);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 7);
        fs::write(&path, bytes).unwrap();
        let code = Manifest::read(&out).unwrap_err().code;
        assert!([MANIFEST_INVALID, MANIFEST_VERSION].contains(&code), "byte {at}");
    }
}

#[test]
fn another_version_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    dataset(folder.path());
    let out = folder.path().join("out");
    let newer = |bytes: &mut Vec<u8>| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replacen("\"version\": 2", "\"version\": 3, \"new\": []", 1).into_bytes();
    };
    assert_eq!(code_after(&out, MANIFEST, newer), MANIFEST_VERSION);
}

/// Even with a right checksum a manifest cannot name files elsewhere.
#[test]
fn manifests_cannot_lead_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let out = folder.path().join("out");
    let mut manifest = dataset.manifest().clone();
    manifest.splits[0].shards[0].file = "../x.tar".to_owned();
    fs::write(out.join(MANIFEST), manifest.to_text().unwrap()).unwrap();
    assert_eq!(Dataset::open(&out).unwrap_err().code, MANIFEST_INVALID);
    let huge = Manifest { size: usize::MAX, ..dataset.manifest().clone() };
    fs::write(out.join(MANIFEST), huge.to_text().unwrap()).unwrap();
    assert_eq!(Dataset::open(&out).unwrap_err().code, MANIFEST_INVALID);
}

#[test]
fn a_split_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = dataset(folder.path()).images("test").unwrap_err();
    assert_eq!(error.code, SPLIT_EMPTY);
    assert_eq!(error.info.unwrap(), "its splits: train, val");
}

#[test]
fn check_reads_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    dataset(folder.path());
    let out = folder.path().join("out");
    let done = AtomicUsize::new(0);
    let report = Dataset::check(&out, &AtomicBool::new(false), &mut |progress| {
        done.store(progress.done as usize, Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!((report.shards, report.images), (6, 33));
    assert_eq!(done.into_inner() as u64, report.bytes);
    for shard in ["train-000001.tar", "val-000001.tar"] {
        let mut bytes = fs::read(out.join(shard)).unwrap();
        bytes[600] ^= 4;
        fs::write(out.join(shard), bytes).unwrap();
    }
    let report = check(&out).unwrap();
    let found: Vec<&str> = report.damaged.iter().map(|damaged| damaged.file.as_str()).collect();
    assert_eq!(found, ["train-000001.tar", "val-000001.tar"]);
    let error = report.error(&out).unwrap();
    assert!(error.message.starts_with("2 files of "), "{error}");
    assert!(error.info.unwrap().contains("train-000001.tar: its bytes changed; val-000001.tar"));
    assert_eq!(Dataset::check(&out, &AtomicBool::new(true), &mut |_| {}).unwrap_err().code, INTERRUPTED);
    assert!(!contents(&out).is_empty());
}
