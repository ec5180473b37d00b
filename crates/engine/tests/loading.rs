//! How images come to the net: windows of shards, the cache of decoded images, and what is said of the stages.

mod common;

use common::{Data, STEPS, TRAIN, options, request, session, train, weights};
use ilsvrc_engine::{CacheOptions, EvaluateRequest, Session, TrainRequest, Views};
use ilsvrc_images::{CacheLimit, CacheSize, Shuffle};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

/// Images of both splits, and the bytes of one.
const IMAGES: usize = TRAIN + 9;
const BYTES: u64 = 20 * 20 * 3;

fn windowed(data: &Data, epoch: u64, first_step: usize, steps: usize) -> TrainRequest {
    TrainRequest { shuffle: Shuffle::Window(2), ..request(&data.path(), epoch, first_step, steps) }
}

#[test]
fn windows_change_the_order_and_are_resumed_within() {
    let data = Data::new();
    let mut undisturbed = session();
    train(&mut undisturbed, &windowed(&data, 0, 0, STEPS));
    let mut full = session();
    train(&mut full, &request(&data.path(), 0, 0, STEPS));
    assert_ne!(weights(&undisturbed), weights(&full));

    for first in 1..STEPS {
        let file = data.file("checkpoint.safetensors");
        let mut killed = session();
        train(&mut killed, &windowed(&data, 0, 0, first));
        killed.save_checkpoint(&file, &BTreeMap::new()).unwrap();
        let mut resumed = session();
        resumed.load_checkpoint(&file).unwrap();
        train(&mut resumed, &windowed(&data, 0, first, STEPS));
        assert_eq!(weights(&resumed), weights(&undisturbed), "from step {first}");
    }
}

#[test]
fn a_cache_of_any_size_changes_no_bit() {
    let data = Data::new();
    let run = |images: Option<u64>| {
        let cache = images
            .map(|images| CacheOptions { dataset: data.path(), limit: CacheLimit::Bytes(images * BYTES) });
        let mut session = Session::open(ilsvrc_engine::Options { cache, ..options(2, &["cpu"]) }).unwrap();
        let mut probabilities = Vec::new();
        for epoch in 0..3 {
            train(&mut session, &request(&data.path(), epoch, 0, STEPS));
            let request = EvaluateRequest { dataset: data.path(), split: "val".into(), views: Views::Centre };
            let report = session.evaluate(&request, &AtomicBool::new(false), &mut |_| {}).unwrap();
            probabilities.extend(report.probabilities.into_iter().map(f32::to_bits));
        }
        let size = session.layout().cache;
        (weights(&session), probabilities, size)
    };
    let (expected, expected_probabilities, size) = run(None);
    assert_eq!(size, None);
    for images in [0, 10, 40, 99] {
        let (found, probabilities, size) = run(Some(images as u64));
        assert!(found == expected && probabilities == expected_probabilities, "{images} images");
        let fits = images.min(IMAGES);
        assert_eq!(size, Some(CacheSize { images: fits, of: IMAGES, bytes: fits as u64 * BYTES }));
    }
}

/// From the second epoch on the shards are not needed.
#[test]
fn the_cache_outlives_loaders() {
    let data = Data::new();
    let cache = Some(CacheOptions { dataset: data.path(), limit: CacheLimit::Bytes(1 << 20) });
    let mut session = Session::open(ilsvrc_engine::Options { cache, ..options(1, &["cpu"]) }).unwrap();
    train(&mut session, &request(&data.path(), 0, 0, STEPS));
    for entry in std::fs::read_dir(data.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            std::fs::remove_file(path).unwrap();
        }
    }
    train(&mut session, &windowed(&data, 1, 0, STEPS));
    train(&mut session, &request(&data.path(), 2, 0, STEPS));
}

/// The last batches of an epoch are decoded before their step: a report covers the calls before it, so decoding is in it.
#[test]
fn stages_are_those_of_the_epoch_so_far() {
    let data = Data::new();
    let mut session = session();
    for epoch in 0..2 {
        for step in 0..STEPS {
            let (report, _) = train(&mut session, &request(&data.path(), epoch, step, 1));
            let stages = report.stages;
            assert!(stages.train > 0.0 && stages.decode > 0.0, "{stages:?}");
            assert!(
                [stages.read, stages.decode, stages.copy, stages.train].iter().all(|share| *share <= 1.0)
            );
            assert!(report.ceiling_images_per_second.is_finite() && report.ceiling_images_per_second > 0.0);
        }
    }
}
