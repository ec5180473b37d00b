//! Replicas whose towers are on GPUs: each on a virtual one, their gradients summed through the host.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))] // where there are virtual GPUs

mod common;

use common::{Batch, distance};
use ilsvrc_collective::threads;
use ilsvrc_cpu::CpuBackend;
use ilsvrc_cuda::{CudaBackend, Precision};
use ilsvrc_cuda_mock::load;
use ilsvrc_network::{
    Backend, Execution, Executor, Input, Mode, ParamId, Pass, Plan, Slot, UpdateRule, Use, examples,
};
use std::thread;

const RULE: UpdateRule = UpdateRule { rate: 0.01, momentum: 0.9, decay: 0.0005 };
const BATCH: usize = 5;

/// The images `first..first + images` of a batch.
fn part<'a>(
    whole: &Input<'a>,
    views: &'a mut Vec<ilsvrc_network::View>,
    first: usize,
    images: usize,
) -> Input<'a> {
    let image = whole.side * whole.side * 3;
    let renumbered =
        |view: &ilsvrc_network::View| ilsvrc_network::View { image: view.image - first as u32, ..*view };
    views.extend(whole.views[first..first + images].iter().map(renumbered));
    Input {
        pixels: &whole.pixels[first * image..(first + images) * image],
        views,
        labels: &whole.labels[first..first + images],
        ..*whole
    }
}

/// Losses of three steps, the last of one image, and all weights; of the part of rank `rank` among `size`.
fn train<B: Backend>(mut executor: Executor<B>, rank: usize, size: usize) -> (Vec<f64>, Vec<Vec<f32>>) {
    executor.initialise(3).unwrap();
    let plan = executor.plan().clone();
    let losses = [BATCH, BATCH, 1].iter().zip(0..).map(|(&whole, step)| {
        let data = Batch::new(whole, plan.net.image, plan.net.crop, plan.classes, step as u32);
        let (first, end) = (whole * rank / size, whole * (rank + 1) / size);
        let mut views = Vec::new();
        let input = data.input();
        let input = part(&input, &mut views, first, end - first);
        let pass = Pass { batch: end - first, mode: Mode::Train { seed: 5, step, first } };
        executor.begin_step(&input, &pass, &RULE).unwrap();
        executor.end_step().unwrap().loss
    });
    let losses = losses.collect();
    let weights = plan.towers.iter().enumerate().flat_map(|(tower, of)| {
        let executor = &executor;
        (0..of.parameters.len())
            .map(move |id| executor.read_parameter(tower, ParamId(id), Slot::Value).unwrap())
    });
    (losses, weights.collect())
}

#[test]
fn replicas_on_gpus_learn_what_one_cpu_learns() {
    let mock = load();
    let net = examples::miniature();
    let plan = |batch| Plan::new(&net, batch, Use::Training).unwrap();
    let cpu = Executor::new(CpuBackend::new(&[1]).unwrap(), plan(BATCH), &[0, 0]).unwrap();
    let expected = train(cpu, 0, 1);
    let learned: Vec<_> = thread::scope(|scope| {
        let start = |(gpu, end)| {
            let plan = plan(BATCH.div_ceil(2));
            scope.spawn(move || {
                let backend = CudaBackend::new(&[gpu], Precision::F32).unwrap();
                train(Executor::new(backend, plan, &[0, 0]).unwrap().among(end).unwrap(), gpu, 2)
            })
        };
        let ranks: Vec<_> = threads(2).into_iter().enumerate().map(start).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    mock.assert_clean();
    assert_eq!(learned[0], learned[1]);
    for (ours, cpu) in learned[0].0.iter().zip(&expected.0) {
        assert!((ours - cpu).abs() <= 1e-5 * cpu, "loss {ours}, not {cpu}");
    }
    for (ours, cpu) in learned[0].1.iter().zip(&expected.1) {
        assert!(distance(ours, cpu) <= 1e-4);
    }
}
