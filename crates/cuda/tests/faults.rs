//! What goes wrong on GPUs, each with its error: out of memory, a lost GPU, a failed kernel, drivers and GPUs too old.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))] // where there are virtual GPUs

mod common;

use common::Batch;
use ilsvrc_cuda::{CudaBackend, Precision, devices, driver_version};
use ilsvrc_cuda_mock::{Mock, load};
use ilsvrc_diagnostics::{
    DEVICE_UNUSABLE, DRIVER_TOO_OLD, Error, GPU_FAILED, GPU_LOST, GPU_TOO_OLD, OUT_OF_MEMORY,
};
use ilsvrc_network::{Execution, Executor, Mode, Pass, Plan, UpdateRule, Use, examples};

const RULE: UpdateRule = UpdateRule { rate: 0.01, momentum: 0.9, decay: 0.0005 };

/// Steps of the small net until one fails.
fn train(places: &[usize]) -> Result<(), Error> {
    let net = examples::miniature();
    let plan = Plan::new(&net, 3, Use::Training)?;
    let mut executor = Executor::new(CudaBackend::new(places, Precision::Bf16)?, plan, &[0, 1])?;
    executor.initialise(3)?;
    for step in 0..3 {
        let data = Batch::new(3, net.image, net.crop, 4, step as u32);
        let pass = Pass { batch: 3, mode: Mode::Train { seed: 5, step, first: 0 } };
        executor.begin_step(&data.input(), &pass, &RULE)?;
        executor.end_step()?;
    }
    Ok(())
}

fn fails(mock: &Mock, with: &str, code: &str) -> Error {
    mock.reset();
    mock.fail(with);
    let error = train(&[0, 1]).expect_err(with);
    assert_eq!(error.code, code, "{with}: {error:?}");
    assert!(error.info.is_some() && error.hint.is_some(), "{error:?}");
    error
}

#[test]
fn a_failure_of_any_kind_is_an_error_with_a_remedy() {
    let mock = load();
    for (with, code) in [
        ("cuLaunchKernel:5=719", GPU_FAILED),
        ("exec:conv_forward_bf16_any:2=700", GPU_FAILED),
        ("exec:gather_bf16:1=719", GPU_FAILED),
        ("cuGraphLaunch:2=719", GPU_FAILED),
        ("cuStreamEndCapture:1=901", GPU_FAILED),
        ("cuEventSynchronize:4=46", GPU_LOST),
        ("cuMemcpyHtoDAsync_v2:3=214", GPU_LOST),
        ("cuGraphLaunch:1=999", GPU_LOST),
        ("cuMemAlloc_v2:9=2", OUT_OF_MEMORY),
        ("cuMemHostAlloc:1=2", OUT_OF_MEMORY),
        ("cuStreamCreate:1=2", OUT_OF_MEMORY),
        ("cuInit:1=100", DEVICE_UNUSABLE),
    ] {
        fails(&mock, with, code);
    }
    // And then all is well again.
    mock.reset();
    train(&[0, 1]).unwrap();
    mock.assert_clean();
}

#[test]
fn out_of_memory_names_the_need_and_the_batch_that_fits() {
    let mock = load();
    mock.memory(700);
    let net = examples::alexnet();
    let open = |batch: usize| {
        let plan = Plan::new(&net, batch, Use::Training).unwrap();
        Executor::new(CudaBackend::new(&[0, 0], Precision::Bf16).unwrap(), plan, &[0, 1]).map(drop)
    };
    let error = open(512).unwrap_err();
    assert_eq!(error.code, OUT_OF_MEMORY, "{error:?}");
    assert!(error.message.contains("batch 512 needs"), "{error:?}");
    let hint = error.hint.clone().unwrap();
    let fits: usize = hint.rsplit(' ').next().unwrap().trim_end_matches('`').parse().expect(&hint);
    assert!((1..512).contains(&fits), "{hint}");
    open(fits).unwrap_or_else(|error| panic!("batch {fits} was said to fit: {error:?}"));
    mock.reset();
    mock.memory(100);
    let hint = open(8).unwrap_err().hint.unwrap();
    assert!(hint.contains("no batch fits"), "{hint}");
}

#[test]
fn drivers_and_gpus_that_are_too_old_say_so() {
    let mock = load();
    mock.driver_version(11_080);
    let error = driver_version().unwrap_err();
    assert_eq!(error.code, DRIVER_TOO_OLD);
    assert!(error.message.contains("11.8"), "{error:?}");
    mock.reset();
    mock.capability(7, 5);
    assert_eq!(CudaBackend::new(&[0], Precision::Bf16).err().unwrap().code, GPU_TOO_OLD);
    let found = devices().unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|device| device.problem.as_ref().unwrap().code == GPU_TOO_OLD));
}

#[test]
fn a_gpu_that_is_not_there_is_refused_with_those_that_are() {
    let mock = load();
    let refused = |places: &[usize]| CudaBackend::new(places, Precision::Bf16).err().unwrap();
    let error = refused(&[2]);
    assert_eq!(error.code, DEVICE_UNUSABLE);
    assert!(error.info.unwrap().contains("0 to 1"));
    mock.reset();
    mock.devices(0);
    assert_eq!(devices().unwrap().len(), 0);
    let error = refused(&[0]);
    assert_eq!(error.code, DEVICE_UNUSABLE);
    assert!(error.message.contains("no GPU"), "{error:?}");
}

#[test]
fn the_devices_are_described() {
    let _mock = load();
    let found = devices().unwrap();
    assert_eq!(found[0].compute_capability, (9, 0));
    assert_eq!((found[0].ordinal, found[1].peers.as_slice()), (0, &[0][..]));
    assert!(found[0].problem.is_none() && found[0].free.unwrap() > 0);
    assert_eq!(driver_version().unwrap(), "13.0");
}
