//! Libraries of changed kernels and with sanitizers.

use crate::gpu::options;
use ilsvrc_cuda_mock::building::{build, crate_folder, sanitizer_libraries};
use std::fs;
use std::process::{Command, Output};

/// One test of this program with another library.
fn rerun(test: &str, library: &std::path::Path, preload: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env("VARIANT", library);
    if !preload.is_empty() {
        command.env("LD_PRELOAD", preload).env("ASAN_OPTIONS", "detect_leaks=0");
    }
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_changed_kernel_is_built_and_run() {
    let mut options = options("changed");
    let source = fs::read_to_string(crate_folder().join("tests/kernels/simple.cu")).unwrap();
    let changed = source.replace("y[i] += x[i]", "y[i] += 2 * x[i]");
    assert_ne!(source, changed);
    let kernels = tempfile::tempdir().unwrap();
    fs::write(kernels.path().join("simple.cu"), changed).unwrap();
    options.kernels = kernels.path().to_path_buf();
    let library = build(&options).unwrap();
    let output = rerun("variants::adds", &library, "");
    assert!(text(&output).contains("sum 5"), "{}", text(&output));
    // Only what changed is compiled again.
    let object = options.output.join("objects/driver_order.o");
    let before = fs::metadata(&object).unwrap().modified().unwrap();
    fs::write(kernels.path().join("simple.cu"), &source).unwrap();
    build(&options).unwrap();
    assert_eq!(fs::metadata(&object).unwrap().modified().unwrap(), before);
    assert!(text(&rerun("variants::adds", &library, "")).contains("sum 3"));
    fs::write(kernels.path().join("simple.cu"), source.replace("x = count; y = count", "z = count")).unwrap();
    assert!(build(&options).unwrap_err().contains("add has no z"));
}

#[test]
fn sanitizers_watch_the_driver_and_the_kernels() {
    let mut options = options("sanitizers");
    options.sanitizers = true;
    let library = build(&options).unwrap();
    let output = rerun("variants::adds", &library, &sanitizer_libraries().unwrap());
    assert!(text(&output).contains("sum 3"), "{}", text(&output));
}

/// Only as the program that the tests above start.
#[test]
#[ignore = "started by other tests"]
fn adds() {
    let mock = ilsvrc_cuda_mock::load_from(std::path::Path::new(&std::env::var("VARIANT").unwrap()));
    let gpu = crate::gpu::Gpu::open(0, 1).unwrap();
    let (x, y) = (gpu.allocate(8), gpu.allocate(8));
    gpu.fill(0, x, 8, 2.0).unwrap();
    gpu.fill(0, y, 8, 1.0).unwrap();
    gpu.add(0, x, y, 8).unwrap();
    println!("sum {}", gpu.read(0, y, 8)[0]);
    mock.assert_clean();
}
