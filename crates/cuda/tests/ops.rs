//! Every kernel against the f64 reference: the backend on virtual GPUs, whose driver runs the kernels' own source on the
//! CPU, their threads in forward, reverse and random order.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))] // where there are virtual GPUs

mod common;

use common::{PRECISIONS, THREAD_ORDERS, subjects};
use ilsvrc_conformance::{Subject, ops};
use ilsvrc_cuda::CudaBackend;
use ilsvrc_cuda_mock::building::{Options, sanitizer_libraries};
use ilsvrc_cuda_mock::{Mock, build, load};
use std::path::Path;
use std::process::Command;

/// Runs a test body in all precisions and orders of threads, then looks for races and other faults of the driver's use.
fn every_way(places: &[usize], body: impl Fn(&[Subject<CudaBackend>])) {
    let mock: Mock = load();
    // Under sanitizers everything takes ten times as long, and the order of threads makes no difference to them.
    let orders = if std::env::var_os(SANITIZED).is_some() { &THREAD_ORDERS[..1] } else { &THREAD_ORDERS[..] };
    for precision in PRECISIONS {
        let backend = CudaBackend::new(places, precision.0).unwrap();
        body(&subjects(&mock, &backend, precision, orders));
    }
    mock.assert_clean();
}

/// Set in the process that runs with sanitizers.
const SANITIZED: &str = "ILSVRC_TEST_SANITIZED";
/// Tests that it runs: products whose numbers of maps fit nothing, every window, every elementwise kernel.
const SUBSET: [&str; 4] = ["dense_layers", "pools_and_norms", "input_loss_and_update", "exchanges"];

/// AddressSanitizer must be the first library of a process, so this test starts itself anew with a driver built for it.
#[test]
fn a_subset_under_sanitizers() {
    if std::env::var_os(SANITIZED).is_some() {
        return;
    }
    let options = Options {
        kernels: Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels"),
        output: Path::new(env!("CARGO_TARGET_TMPDIR")).join("sanitized"),
        sanitizers: true,
    };
    let library = build(&options).unwrap();
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--test-threads=1"])
        .args(SUBSET)
        .env(SANITIZED, "1")
        .env("MOCK_CUDA_LIBRARY", library)
        .env("LD_PRELOAD", sanitizer_libraries().unwrap())
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && text.contains("4 passed"), "{text}");
}

#[test]
fn convolutions() {
    every_way(&[0], ops::convolutions);
}

#[test]
fn local_layers() {
    every_way(&[0], ops::local_layers);
}

#[test]
fn dense_layers() {
    every_way(&[0], ops::dense_layers);
}

#[test]
fn pools_and_norms() {
    every_way(&[0], ops::pools_and_norms);
}

#[test]
fn elementwise_ops() {
    every_way(&[0], ops::elementwise_ops);
}

#[test]
fn input_loss_and_update() {
    every_way(&[0], ops::input_loss_and_update);
}

#[test]
fn exchanges() {
    every_way(&[0, 1], |subjects| ops::exchanges(subjects, &[[0, 0], [0, 1]]));
}

#[test]
fn exchanges_by_way_of_the_host() {
    let mock = load();
    mock.peers(false);
    for precision in PRECISIONS {
        let backend = CudaBackend::new(&[0, 1], precision.0).unwrap();
        ops::exchanges(&subjects(&mock, &backend, precision, &THREAD_ORDERS), &[[0, 1]]);
    }
    mock.assert_clean();
}
