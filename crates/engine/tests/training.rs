//! Training and evaluation of a tiny net on a tiny data set.

mod common;

use common::{BATCH, Data, STEPS, TRAIN, net, options, photo, request, session, train, weights};
use ilsvrc_diagnostics::{
    CLASSES_DIFFER, DEVICE_UNUSABLE, DIVERGED, DRIVER_ABSENT, IMAGE_SIZE, INTERNAL, LAYER_UNKNOWN,
    SPLIT_EMPTY,
};
use ilsvrc_engine::{
    ClassifyRequest, EmbedRequest, EvaluateReport, EvaluateRequest, Options, Session, TrainRequest, Views,
    WalkRequest,
};
use ilsvrc_network::{Layer, UpdateRule};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

fn evaluate(session: &mut Session, dataset: &Path, views: Views) -> EvaluateReport {
    let request = EvaluateRequest { dataset: dataset.to_owned(), split: "val".into(), views };
    session.evaluate(&request, &AtomicBool::new(false), &mut |_| {}).unwrap()
}

fn top1(report: &EvaluateReport) -> f64 {
    let rows = report.probabilities.chunks_exact(report.classes).zip(&report.labels);
    let hits = rows.filter(|(row, label)| row.iter().all(|p| *p <= row[**label as usize])).count();
    hits as f64 / report.images as f64
}

#[test]
fn learns_to_tell_colours() {
    let data = Data::new();
    let mut session = session();
    let (first, steps) = train(&mut session, &request(&data.path(), 0, 0, STEPS));
    assert_eq!((first.steps, first.images, first.stopped), (STEPS, TRAIN, false));
    assert!((first.loss - 3f64.ln()).abs() < 0.3, "an untrained net guesses: {}", first.loss);
    let sizes: Vec<usize> = steps.iter().map(|step| step.images).collect();
    assert_eq!(sizes, [BATCH, BATCH, BATCH, BATCH, TRAIN - 4 * BATCH]);
    let mean: f64 = steps.iter().map(|step| step.loss * step.images as f64).sum::<f64>() / TRAIN as f64;
    assert!((mean - first.loss).abs() < 1e-12);
    let mut last = first.clone();
    for epoch in 1..20 {
        let (report, steps) = train(&mut session, &request(&data.path(), epoch, 0, STEPS));
        assert_eq!(steps[0].global_step, epoch * STEPS as u64);
        last = report;
    }
    assert!(last.loss < 0.5 * first.loss, "loss {} after {}", last.loss, first.loss);
    assert!(last.top1_error < 0.3, "{}", last.top1_error);
    for views in [Views::Centre, Views::Ten] {
        let report = evaluate(&mut session, &data.path(), views);
        assert_eq!((report.images, report.classes, report.probabilities.len()), (9, 3, 27));
        assert_eq!(top1(&report), 1.0, "{:?}", report.probabilities);
        for row in report.probabilities.chunks_exact(3) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }
}

/// Rows of `width` numbers that agree but for their last bits: a CPU may compute a layer otherwise for few images than for
/// many. No row would pass for another one.
fn assert_same_rows(some: &[f32], same: &[f32], width: usize) {
    assert_eq!(some.len(), same.len());
    let apart = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max)
    };
    let rows = same.chunks_exact(width).enumerate();
    for (row, (some, same_row)) in some.chunks_exact(width).zip(same.chunks_exact(width)).enumerate() {
        assert!(apart(some, same_row) <= 1e-6, "row {row}: {some:?} and {same_row:?}");
        let other = rows.clone().filter(|(other, _)| *other != row).map(|(_, other)| apart(some, other));
        assert!(other.fold(f32::INFINITY, f32::min) > 1e-4, "row {row} is like another one");
    }
}

#[test]
fn views_are_of_their_image_however_many_fit_a_pass() {
    let data = Data::new();
    // The views of an image in two passes; those of two images, of four and of all nine in one.
    let reports = [BATCH, 25, 45, 90].map(|batch| {
        let options = Options { batch, ..options(1, &["cpu"]) };
        let mut session = Session::open(options).unwrap();
        [Views::Centre, Views::Ten].map(|views| evaluate(&mut session, &data.path(), views))
    });
    let [first, rest @ ..] = &reports;
    assert_ne!(first[0].probabilities, first[1].probabilities);
    for report in rest {
        for (report, first) in report.iter().zip(first) {
            assert_eq!(report.labels, first.labels);
            assert_same_rows(&report.probabilities, &first.probabilities, report.classes);
        }
    }
}

#[test]
fn features_are_those_that_the_last_layer_reads() {
    let data = Data::new();
    let mut session = session();
    train(&mut session, &request(&data.path(), 0, 0, STEPS));
    let file = data.file("model.safetensors");
    let preprocessing = r#"{"resize":"crop"}"#.to_string();
    session.save_model(&file, &BTreeMap::from([("preprocessing".into(), preprocessing)])).unwrap();
    session.load_model(&file).unwrap();
    let last = net().layers.iter().rev().filter_map(Layer::name).nth(1).unwrap().to_string();
    let walk = |session: &mut Session, views, layer: &str| {
        let (dataset, split) = (data.path(), "val".to_string());
        let request = WalkRequest { dataset, split, views, layer: Some(layer.into()) };
        let (mut features, mut probabilities) = (Vec::new(), Vec::new());
        session
            .walk(&request, &AtomicBool::new(false), &mut |rows, progress| {
                assert_eq!((rows.first + rows.images, progress.total), (progress.done, 9));
                features.extend_from_slice(rows.features);
                probabilities.extend_from_slice(rows.probabilities);
                Ok(())
            })
            .map(|()| (features, probabilities))
    };
    let (one, _) = walk(&mut session, Views::Centre, &last).unwrap();
    let (ten, probabilities) = walk(&mut session, Views::Ten, &last).unwrap();
    let elements = session.elements(Some(&last)).unwrap();
    assert_eq!((one.len(), ten.len(), probabilities.len()), (9 * elements, 90 * elements, 270));
    // The centre is the fifth of the ten.
    let centres = ten.chunks_exact(10 * elements).flat_map(|ten| &ten[4 * elements..5 * elements]);
    assert_same_rows(&one, &centres.copied().collect::<Vec<_>>(), elements);
    // The last layer, by hand, makes the probabilities of them.
    let name = net().layers.iter().rev().find_map(|layer| layer.name().map(str::to_owned)).unwrap();
    let (shape, weights) = session.parameter(&format!("tower0.{name}.weight")).unwrap();
    let (_, biases) = session.parameter(&format!("tower0.{name}.bias")).unwrap();
    assert_eq!(shape, [3, elements]);
    for (features, row) in ten.chunks_exact(elements).zip(probabilities.chunks_exact(3)) {
        let logits = weights
            .chunks_exact(elements)
            .zip(&biases)
            .map(|(weights, bias)| weights.iter().zip(features).map(|(w, x)| w * x).sum::<f32>() + bias);
        let exps: Vec<f32> = logits.map(f32::exp).collect();
        for (p, e) in row.iter().zip(&exps) {
            assert!((p - e / exps.iter().sum::<f32>()).abs() < 1e-5);
        }
    }
    assert_eq!(walk(&mut session, Views::Centre, "conv99").unwrap_err().code, LAYER_UNKNOWN);

    let embed = EmbedRequest { views: Views::Centre, layer: last.clone() };
    let embedded = session.embed(&[photo(0, 1), photo(1, 2)], &embed).unwrap();
    assert_eq!(
        (embedded.elements, embedded.features.len(), embedded.photos.len()),
        (elements, 2 * elements, 2)
    );
}

#[test]
fn a_resumed_run_has_the_bits_of_an_undisturbed_one() {
    let data = Data::new();
    let mut undisturbed = session();
    let mut losses = Vec::new();
    for epoch in 0..2 {
        let (_, steps) = train(&mut undisturbed, &request(&data.path(), epoch, 0, STEPS));
        losses.extend(steps.iter().map(|step| step.loss.to_bits()));
    }

    let file = data.file("checkpoint.safetensors");
    let mut killed = session();
    train(&mut killed, &request(&data.path(), 0, 0, 2));
    train(&mut killed, &request(&data.path(), 0, 2, 1));
    killed.save_checkpoint(&file, &BTreeMap::new()).unwrap();
    train(&mut killed, &request(&data.path(), 0, 3, 1));

    let mut resumed = session();
    resumed.load_checkpoint(&file).unwrap();
    let mut resumed_losses = Vec::new();
    for (epoch, first_step) in [(0, 3), (1, 0)] {
        let (_, steps) = train(&mut resumed, &request(&data.path(), epoch, first_step, STEPS));
        resumed_losses.extend(steps.iter().map(|step| step.loss.to_bits()));
    }
    assert_eq!(resumed_losses, losses[3..]);
    assert_eq!(weights(&resumed), weights(&undisturbed));
}

#[test]
fn threads_do_not_change_a_bit_and_places_hardly() {
    let data = Data::new();
    let run = |threads: usize, places: &[&str]| {
        let mut session = Session::open(options(threads, places)).unwrap();
        for epoch in 0..2 {
            train(&mut session, &request(&data.path(), epoch, 0, STEPS));
        }
        weights(&session)
    };
    let one = run(1, &["cpu"]);
    assert_eq!(one, run(2, &["cpu"]));
    let two = run(2, &["cpu", "cpu"]);
    for (a, b) in one.iter().zip(&two).map(|(a, b)| (f32::from_bits(*a), f32::from_bits(*b))) {
        assert!((a - b).abs() <= 1e-6 + 1e-5 * a.abs(), "{a} {b}");
    }
}

#[test]
fn stops_between_two_steps_and_goes_on() {
    let data = Data::new();
    let mut session = session();
    let cancel = AtomicBool::new(false);
    let report = session
        .train(&request(&data.path(), 0, 0, STEPS), &cancel, &mut |step| {
            cancel.store(step.step == 1, Ordering::Relaxed);
        })
        .unwrap();
    assert_eq!((report.steps, report.stopped), (2, true));
    train(&mut session, &request(&data.path(), 0, 2, STEPS));

    let mut undisturbed = common::session();
    train(&mut undisturbed, &request(&data.path(), 0, 0, STEPS));
    assert_eq!(weights(&session), weights(&undisturbed));
}

/// An epoch in which images are held out is shorter, ends there, and the next one counts on from what it was told.
#[test]
fn epochs_of_the_first_images_and_then_of_all() {
    let data = Data::new();
    let mut session = session();
    let first = TrainRequest { images: Some(2 * BATCH + 1), ..request(&data.path(), 0, 0, STEPS) };
    let (report, steps) = train(&mut session, &first);
    assert_eq!((report.steps, report.images), (3, 2 * BATCH + 1));
    assert_eq!(steps.iter().map(|step| step.images).collect::<Vec<_>>(), [BATCH, BATCH, 1]);
    // In two calls, from where the loader stands and from the middle.
    let all = |step, steps| TrainRequest {
        images: Some(TRAIN),
        steps_before: Some(3),
        ..request(&data.path(), 1, step, steps)
    };
    let mut numbers = Vec::new();
    for (step, count) in [(0, 2), (2, STEPS)] {
        numbers.extend(train(&mut session, &all(step, count)).1.iter().map(|step| step.global_step));
    }
    assert_eq!(numbers, [3, 4, 5, 6, 7]);
    let beyond = TrainRequest { first_step: 3, ..first };
    let error = session.train(&beyond, &AtomicBool::new(false), &mut |_| {}).unwrap_err();
    assert_eq!(error.code, INTERNAL);
}

#[test]
fn a_huge_rate_is_noticed_before_the_weights_are_changed_by_it() {
    let data = Data::new();
    let mut session = session();
    let rule = UpdateRule { rate: 1e30, momentum: 0.9, decay: 0.0 };
    let request = TrainRequest { rule, ..request(&data.path(), 0, 0, STEPS) };
    let error = session.train(&request, &AtomicBool::new(false), &mut |_| {}).unwrap_err();
    assert_eq!(error.code, DIVERGED);
    assert!(error.message.starts_with("epoch 1, step "), "{error}");
    assert!(error.hint.unwrap().contains("--lr"));
}

#[test]
fn refuses_data_sets_that_do_not_fit() {
    let data = Data::new();
    let code = |change: &dyn Fn(&mut Options), split: &str, step: usize| {
        let mut options = options(1, &["cpu"]);
        change(&mut options);
        let request = TrainRequest { split: split.into(), ..request(&data.path(), 0, step, 1) };
        let mut session = Session::open(options).unwrap();
        session.train(&request, &AtomicBool::new(false), &mut |_| {}).unwrap_err().code
    };
    assert_eq!(code(&|options| options.net.image = 24, "train", 0), IMAGE_SIZE);
    assert_eq!(code(&|_| {}, "test", 0), SPLIT_EMPTY);
    assert_eq!(code(&|_| {}, "train", STEPS), INTERNAL);
    let five_classes = |options: &mut Options| {
        let Some(Layer::Dense { units, .. }) = options.net.layers.last_mut() else { unreachable!() };
        *units = 5;
    };
    assert_eq!(code(&five_classes, "train", 0), CLASSES_DIFFER);
}

#[test]
fn a_photo_is_classified_as_the_data_set_would_be() {
    let data = Data::new();
    let mut session = session();
    for epoch in 0..10 {
        train(&mut session, &request(&data.path(), epoch, 0, STEPS));
    }
    let file = data.file("model.safetensors");
    let metadata = BTreeMap::from([("preprocessing".into(), r#"{"resize":"crop","quality":90}"#.into())]);
    session.save_model(&file, &metadata).unwrap();

    let mut alone = common::session();
    let request = ClassifyRequest { views: Views::Ten };
    assert!(alone.classify(&[photo(0, 5)], &request).is_err(), "there is no mean image yet");
    alone.load_model(&file).unwrap();
    let both = alone.classify(&[photo(0, 5000), photo(2, 5001)], &request).unwrap();
    assert!(both[0] > 0.5 && both[5] > 0.5, "{both:?}");
    assert_eq!(both[3..], alone.classify(&[photo(2, 5001)], &request).unwrap());
    assert!(alone.classify(&[b"no photo".to_vec()], &request).is_err());
}

#[test]
fn refuses_devices_that_are_not_there() {
    let code = |place: &str| Session::open(options(1, &[place])).err().unwrap().code;
    assert_eq!(code("toaster"), DEVICE_UNUSABLE);
    // No machine has so many GPUs; this one may have no driver for any.
    assert!([DEVICE_UNUSABLE, DRIVER_ABSENT].contains(&code("4000")));
    assert_eq!(session().net(), &net());
}

#[test]
fn auto_finds_a_place() {
    let session = Session::open(options(1, &["auto"])).unwrap();
    let layout = session.layout();
    let towers: Vec<usize> = layout.places.iter().flat_map(|place| place.towers.clone()).collect();
    assert_eq!(towers.len(), 2, "{layout:?}");
}
