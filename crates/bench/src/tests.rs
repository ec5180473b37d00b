//! The benchmarks run, stop, and refuse what they do not know; how fast anything is, is not tested.

use std::sync::Mutex;

use ilsvrc_network::Layer;

use super::*;

fn request(names: &[&str], from: Option<PathBuf>) -> Request {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    Request { names, filter: None, list: false, quick: true, nets: vec![tiny()], breakdown: false, from }
}

/// A net of two towers with every kind of op that the paper's net has.
pub(crate) fn tiny() -> NamedNet {
    use ilsvrc_network::{Layer::Relu, examples::*};
    let layers = vec![
        conv("conv1", 8, 3, 1, 1, 0.0),
        Relu,
        lrn(),
        max_pool(),
        both(conv("conv2", 8, 3, 1, 1, 0.0)),
        Relu,
        both(dense("fc3", 16, 0.0)),
        Relu,
        Layer::Dropout { rate: 0.5 },
        joined(dense("fc4", 10, 0.0)),
    ];
    let net = Net { name: "tiny".into(), image: 12, crop: 11, towers: 2, layers };
    NamedNet { name: "tiny".into(), net, batch: 4 }
}

fn names(report: &Report) -> Vec<&str> {
    report.measurements.iter().map(|measurement| measurement.name.as_str()).collect()
}

#[test]
fn an_unknown_name_is_refused_with_those_that_exist() {
    let error = run(&request(&["stop"], None), &AtomicBool::new(false), &|_| {}).unwrap_err();
    assert_eq!(error.info.as_deref(), Some("gemm, conv, lrn, step, forward, latency, prep, load, search"));
}

#[test]
fn a_list_names_every_case_and_does_no_work() {
    let listing = Request { list: true, ..request(&["prep", "load", "search"], None) };
    let never = AtomicBool::new(false);
    let report = run(&listing, &never, &|progress| panic!("it works: {}", progress.step)).unwrap();
    assert!(report.measurements.is_empty());
    for name in ["prep/stages/encode", "prep/whole/1", "load/whole/224", "search/scan/batch32"] {
        assert!(report.cases.iter().any(|case| case == name), "{name} in {:?}", report.cases);
    }
}

#[test]
fn a_filter_leaves_out_the_work_of_other_cases() {
    let filter = Some("search/scan/one".to_owned());
    let steps = Mutex::new(Vec::new());
    let progress = |progress: Progress| steps.lock().unwrap().push(progress.step);
    let some = Request { filter, ..request(&["prep", "search"], None) };
    let report = run(&some, &AtomicBool::new(false), &progress).unwrap();
    assert_eq!(names(&report), ["search/scan/one-query"]);
    assert!(report.photos.is_none());
    assert!(steps.lock().unwrap().iter().all(|step| step.starts_with("search")));
    let yardstick = report.measurements[0].yardstick.as_ref().unwrap();
    assert!(yardstick.name == "reading memory" && yardstick.before > 0.0 && yardstick.after > 0.0);
}

#[test]
fn passes_and_ops_of_a_net_get_their_limits() {
    let passes = request(&["gemm", "conv", "lrn", "step", "forward", "latency"], None);
    let report = run(&passes, &AtomicBool::new(false), &|_| {}).unwrap();
    let mut expected = vec![
        "gemm/fc3/forward",
        "gemm/fc4/forward",
        "gemm/fc4/input-gradient",
        "gemm/fc4/weight-gradient",
        "gemm/fc3/input-gradient",
        "gemm/fc3/weight-gradient",
        "conv/conv1/forward",
        "conv/conv2/forward",
        "conv/conv2/input-gradient",
        "conv/conv2/weight-gradient",
        "conv/conv1/weight-gradient",
        "lrn/conv1/forward",
        "lrn/conv1/gradient",
        "step/tiny/batch4",
        "step/tiny/batch4-threads1",
        "forward/tiny/batch4",
        "latency/tiny/batch1",
    ];
    if machine::threads() == 1 {
        expected.retain(|name| !name.ends_with("threads1"));
    }
    assert_eq!(names(&report), expected);
    assert_eq!(report.cases, expected);
    for measurement in &report.measurements {
        let (limit, yardstick) =
            (measurement.limit.as_ref().unwrap(), measurement.yardstick.as_ref().unwrap());
        assert!(limit.value > 0.0 && yardstick.before > 0.0 && yardstick.after > 0.0, "{measurement:?}");
        assert!(measurement.samples.iter().all(|sample| *sample > 0.0), "{measurement:?}");
        let is_memory = measurement.name.starts_with("lrn") || measurement.name.starts_with("latency");
        assert_eq!(yardstick.name == "reading memory", is_memory, "{}", measurement.name);
        let is_time = measurement.name.starts_with("latency");
        assert_eq!(measurement.better == Better::Less, is_time, "{}", measurement.name);
    }
    assert!(report.breakdown.is_none());
}

#[test]
fn the_parts_of_a_step_and_the_rest_add_up_to_it() {
    let whole = Request { breakdown: true, ..request(&["step"], None) };
    let report = run(&whole, &AtomicBool::new(false), &|_| {}).unwrap();
    let Breakdown { name, seconds, rest, parts, .. } = report.breakdown.unwrap();
    assert_eq!(name, "step/tiny/batch4");
    let covered: f64 = parts.iter().map(|part| part.seconds).sum();
    assert!((covered + rest - seconds).abs() < 1e-9 && rest >= 0.0, "{covered} + {rest} of {seconds}");
    let parts: Vec<_> = parts.iter().map(|part| (part.layer.as_str(), part.kind, part.pass)).collect();
    assert_eq!(
        parts[..4],
        [
            ("", "input", ""),
            ("conv1", "conv", "forward"),
            ("conv1", "norm+pool", "forward"),
            ("", "exchange", ""),
        ]
    );
    for part in [("fc3", "dropout", "gradient"), ("", "loss", ""), ("", "softmax", "")] {
        assert!(parts.contains(&part), "{part:?} in {parts:?}");
    }
    assert_eq!(parts.last(), Some(&("", "update", "")));
}

#[test]
fn cancelling_stops_it() {
    let cancel = AtomicBool::new(false);
    let stopped = run(&request(&["prep"], None), &cancel, &|_| cancel.store(true, Ordering::Relaxed));
    assert_eq!(stopped.unwrap_err().code, INTERRUPTED);
}

#[test]
fn a_data_set_that_is_not_there_is_an_error_of_its_own() {
    let from = Some(PathBuf::from("/nowhere/at/all"));
    let error = run(&request(&["load"], from), &AtomicBool::new(false), &|_| {}).unwrap_err();
    assert_eq!(error.code, ilsvrc_diagnostics::MANIFEST_INVALID);
}

/// Photos of a fixture, prepared once more where they stay: what `--from` is given.
#[test]
fn a_data_set_on_a_disk_gets_every_figure_its_limit_and_a_verdict() {
    let steps = Mutex::new(Vec::new());
    let never = AtomicBool::new(false);
    let progress = |progress: Progress| steps.lock().unwrap().push(progress.step);
    let watch = Watch { cancel: &never, progress: &progress };
    let mut fixtures = Fixtures::new(24, watch).unwrap();
    let stored = fixtures.dataset().unwrap();
    let folder = stored.shards[0].parent().unwrap().to_owned();

    let report = run(&request(&["load"], Some(folder)), &never, &progress).unwrap();
    let found = names(&report);
    for name in ["load/disk/warm", "load/decode/full", "load/decode/crop224", "load/whole/224"] {
        assert!(found.contains(&name), "{name} in {found:?}");
    }
    let feed = report.feed.as_ref().unwrap();
    assert!((feed.steps_per_second * 128.0 - feed.images_per_second).abs() < 1e-6);
    assert_eq!(feed.cold, found.contains(&"load/cold/224"));

    let whole = report.measurements.iter().find(|measurement| measurement.name == "load/whole/224").unwrap();
    let limit = whole.limit.as_ref().unwrap();
    assert!(limit.name.starts_with("load/decode/crop224"));
    assert!(whole.samples.len() == 3 && whole.median() > 0.0 && limit.value > 0.0);
    assert_eq!(report.machine.fma_peak.len(), 2);
    assert!(steps.lock().unwrap().iter().any(|step| step == "drawing photos"));
}

#[test]
fn the_median_of_an_even_number_is_between_the_middle_two() {
    let of = |samples: &[f64]| Measurement::images("a/b/c", samples.to_vec()).median();
    assert_eq!(of(&[4.0, 1.0, 3.0]), 3.0);
    assert_eq!(of(&[4.0, 1.0, 3.0, 2.0]), 2.5);
    let limited =
        Measurement::images("a/b/c", vec![3.0]).limited_by(&Measurement::images("a/b/d", vec![2.0]), 2);
    assert_eq!(limited.limit, Some(Limit { name: "a/b/d x 2".to_owned(), value: 4.0 }));
}
