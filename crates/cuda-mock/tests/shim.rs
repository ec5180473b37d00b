//! The shim itself: emulation of the wrappers of `tile.cuh` against plain loops, and a broken kernel for each kind of
//! defect it must report (`tests/shim/shim_test.cpp`).

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use ilsvrc_cuda_mock::building::{crate_folder, flags};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn build(name: &str, sanitizers: bool) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut command = Command::new("g++");
    command.args(flags(sanitizers)).args(["-include", "cuda_cpu.h", "-x", "c++"]);
    for folder in ["shim", "tests/shim", "../cuda/kernels"] {
        command.arg("-I").arg(crate_folder().join(folder));
    }
    let output = command
        .arg(crate_folder().join("tests/shim/shim_test.cpp"))
        .arg("-o")
        .arg(&program)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    program
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_shim_emulates_and_reports() {
    let output = Command::new(build("shim_test", false)).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(!text(&output).contains("BAD"));
}

#[test]
fn the_shim_works_with_sanitizers() {
    let program = build("shim_test_sanitizers", true);
    let output = Command::new(&program).env("ASAN_OPTIONS", "detect_leaks=0").output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let output = Command::new(&program).env("SMEM_OVERRUN", "1").output().unwrap();
    assert!(text(&output).contains("heap-buffer-overflow"), "{}", text(&output));
}
