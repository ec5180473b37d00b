//! Settings, injected errors, reports.

use crate::gpu::{Gpu, code, mock};
use cudarc::driver::{result, sys};
use ilsvrc_cuda_mock::Ran;

#[test]
fn cudarc_finds_the_mock() {
    let mock = mock();
    mock.devices(3);
    mock.capability(8, 6);
    result::init().unwrap();
    assert_eq!(result::device::get_count().unwrap(), 3);
    assert!(result::device::get_name(2).unwrap().starts_with("Mock GPU 2"));
    let attribute = |a| {
        // SAFETY: the device exists.
        unsafe { result::device::get_attribute(0, a) }.unwrap()
    };
    use sys::CUdevice_attribute::*;
    assert_eq!(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR), 8);
    assert_eq!(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR), 6);
    let mut version = 0;
    // SAFETY: a place for the number.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().unwrap();
    assert_eq!(version, 13000);
    mock.driver_version(12020);
    // SAFETY: as above.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().unwrap();
    assert_eq!(version, 12020);
}

#[test]
fn no_device_and_no_init() {
    let mock = mock();
    mock.devices(0);
    assert_eq!(code(result::init()), 100);
    mock.reset();
    mock.fail("cuInit:1=803");
    assert_eq!(code(result::device::get_count()), 3);
    assert_eq!(code(result::init()), 803);
    assert_eq!(code(result::init()), 0);
}

#[test]
fn errors_are_injected_by_call_and_by_kernel() {
    let mock = mock();
    let gpu = Gpu::open(0, 1).unwrap();
    let y = gpu.allocate(8);
    mock.fail("cuMemAlloc:2=2,cuLaunchKernel:1=701");
    assert_eq!([0, 1, 2].map(|_| code(gpu.try_allocate(64))), [0, 2, 0]);
    assert_eq!([0, 1].map(|_| code(gpu.fill(0, y, 8, 1.0))), [701, 0]);
    mock.fail("cuMemAlloc:2+=2");
    assert_eq!([0, 1, 2].map(|_| code(gpu.try_allocate(64))), [0, 2, 2]);
    gpu.wait(0).unwrap();
    mock.fail("exec:fill:2=719");
    gpu.fill(0, y, 8, 1.0).unwrap();
    gpu.wait(0).unwrap();
    gpu.fill(0, y, 8, 1.0).unwrap();
    assert_eq!(code(gpu.wait(0)), 719);
    assert_eq!(code(gpu.try_allocate(64)), 719, "the device stays unusable");
}

#[test]
fn a_device_is_lost_until_the_reset() {
    let mock = mock();
    let (a, b) = (Gpu::open(0, 1).unwrap(), Gpu::open(1, 1).unwrap());
    let (x, y) = (a.allocate(8), b.allocate(8));
    a.enter();
    mock.fail("*:3=999!");
    a.fill(0, x, 8, 1.0).unwrap_err();
    assert_eq!(code(a.fill(0, x, 8, 1.0)), 999);
    assert_eq!(code(a.wait(0)), 999);
    assert_eq!(code(b.fill(0, y, 8, 1.0)), 0, "the other device works on");
    assert_eq!(b.read(0, y, 1), [1.0]);
    mock.reset();
    let a = Gpu::open(0, 1).unwrap();
    a.wait(0).unwrap();
    assert_eq!(mock.used(0), 0);
}

#[test]
fn a_reset_voids_what_was() {
    let mock = mock();
    let old = Gpu::open(0, 1).unwrap();
    let first = old.allocate(1 << 20);
    old.fill(0, first, 8, 1.0).unwrap(); // never waited for
    for _ in 0..3 {
        mock.reset();
        assert_eq!(code(result::device::get_count()), 3, "cuInit was not called");
        result::init().unwrap();
        // SAFETY: contexts and streams of the past are refused.
        unsafe {
            assert_eq!(code(result::ctx::set_current(old.context)), 201);
            assert_eq!(code(result::stream::synchronize(old.streams[0])), 201);
        }
        let gpu = Gpu::open(0, 1).unwrap();
        assert_eq!(gpu.allocate(1 << 20), first, "addresses are used again");
        assert!(gpu.read(0, first, 8).iter().all(|v| v.is_nan()));
        assert_eq!((mock.races().len(), mock.errors().len()), (0, 0));
    }
}

#[test]
fn what_ran_is_reported() {
    let mock = mock();
    let gpu = Gpu::open(1, 2).unwrap();
    let y = gpu.allocate(8);
    gpu.fill(0, y, 8, 1.0).unwrap();
    gpu.order(0, (&gpu, 1));
    // SAFETY: the range is allocated.
    unsafe { result::memset_d8_async(y, 0, 32, gpu.streams[1]) }.unwrap();
    assert_eq!(mock.ran(), []);
    gpu.wait(1).unwrap();
    let ran = |stream, label: &str| Ran { stream, device: 1, label: label.into() };
    assert_eq!(mock.ran(), [ran(1, "fill"), ran(2, "memset")]);
    let calls = mock.calls();
    assert_eq!((calls["cuLaunchKernel"], calls["cuMemAlloc_v2"], calls["exec:fill"]), (1, 1, 1));
}

#[test]
fn streams_and_events_are_polled_and_timed() {
    let mock = mock();
    let gpu = Gpu::open(0, 1).unwrap();
    let y = gpu.allocate(8);
    gpu.fill(0, y, 8, 1.0).unwrap();
    let flags = sys::CUevent_flags::CU_EVENT_DEFAULT;
    let (a, b) = (result::event::create(flags).unwrap(), result::event::create(flags).unwrap());
    // SAFETY: events and stream live.
    unsafe {
        result::event::record(a, gpu.streams[0]).unwrap();
        gpu.fill(0, y, 8, 2.0).unwrap();
        result::event::record(b, gpu.streams[0]).unwrap();
        assert_eq!(code(result::event::elapsed(a, b)), 600);
        assert_eq!(code(result::event::query(b)), 600);
        assert_eq!(code(result::event::query(b)), 0);
        assert!(result::event::elapsed(a, b).unwrap() >= 0.0);
        result::event::destroy(a).unwrap();
        assert_eq!(code(result::event::destroy(a)), 400);
    }
    mock.assert_clean();
}

#[test]
fn a_program_of_its_own_gets_its_settings_from_the_environment() {
    let names = ["MOCK_CUDA_DEVICES", "MOCK_CUDA_ORDER"];
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "settings::prints_its_devices", "--ignored", "--nocapture"])
        .env("LD_LIBRARY_PATH", ilsvrc_cuda_mock::LIBRARY_FOLDER)
        .envs(names.map(|n| (n, if n.ends_with("DEVICES") { "5" } else { "eager" })))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("5 devices"), "{text} {}", String::from_utf8_lossy(&output.stderr));
}

/// Only as the program that the test above starts.
#[test]
#[ignore = "started by another test"]
fn prints_its_devices() {
    result::init().unwrap();
    println!("{} devices", result::device::get_count().unwrap());
}
