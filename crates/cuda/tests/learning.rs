//! What steps leave behind: weights by each layer's own rule, and the copies of them that products read.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))] // where there are virtual GPUs

mod common;

use common::{Batch, distance};
use ilsvrc_cpu::CpuBackend;
use ilsvrc_cuda::{CudaBackend, Precision};
use ilsvrc_cuda_mock::{Order, load};
use ilsvrc_network::{
    Backend, Execution, Executor, Layer, Learning, Mode, Net, ParamId, Pass, Plan, Slot, UpdateRule, Use,
    examples,
};

const BATCH: usize = 4;
const RULE: UpdateRule = UpdateRule { rate: 0.05, momentum: 0.9, decay: 0.1 };

/// The small net, each of whose layers has rates and, every second one, a decay of its own.
fn net() -> Net {
    let mut net = examples::miniature();
    let mut own = 0.0;
    for layer in &mut net.layers {
        if let Layer::Conv { learning, .. } | Layer::Dense { learning, .. } = layer {
            own += 1.0;
            let decay = (own % 2.0 == 0.0).then_some(0.2 * own);
            *learning =
                Learning { weight_rate: 0.5 + 0.2 * own, bias_rate: 2.0 - 0.1 * own, decay, ..*learning };
        }
    }
    net
}

fn executor<B: Backend>(net: &Net, backend: B) -> Executor<B> {
    let plan = Plan::new(net, BATCH, Use::Training).unwrap();
    let mut executor = Executor::new(backend, plan, &[0, 1]).unwrap();
    executor.initialise(3).unwrap();
    executor
}

fn begin(executor: &mut dyn Execution, data: &Batch, step: u64) {
    let pass = Pass { batch: BATCH, mode: Mode::Train { seed: 5, step, first: 0 } };
    executor.begin_step(&data.input(), &pass, &RULE).unwrap();
}

fn batch(net: &Net, number: u32) -> Batch {
    Batch::new(BATCH, net.image, net.crop, 4, number)
}

/// All tensors of a kind, with their towers and names.
fn tensors(executor: &dyn Execution, slot: Slot) -> Vec<(usize, ParamId, String, Vec<f32>)> {
    let towers = executor.plan().towers.iter().enumerate();
    let ids = towers.flat_map(|(tower, plan)| {
        plan.parameters.iter().enumerate().map(move |(index, it)| (tower, ParamId(index), it.name.clone()))
    });
    ids.map(|(tower, id, name)| (tower, id, name, executor.read_parameter(tower, id, slot).unwrap()))
        .collect()
}

#[test]
fn every_layer_learns_by_its_own_rule() {
    let mock = load();
    let net = net();
    let run = |executor: &mut dyn Execution| {
        for step in 0..3 {
            begin(executor, &batch(&net, step as u32), step);
            executor.end_step().unwrap();
        }
        [tensors(executor, Slot::Value), tensors(executor, Slot::Velocity)].concat()
    };
    let expected = run(&mut executor(&net, CpuBackend::new(&[1, 1]).unwrap()));
    let ours = run(&mut executor(&net, CudaBackend::new(&[0, 1], Precision::F32).unwrap()));
    for ((_, _, name, ours), (.., expected)) in ours.iter().zip(&expected) {
        assert!(distance(ours, expected) < 1e-4, "{name} is off by {:.2e}", distance(ours, expected));
    }
    mock.assert_clean();
}

/// Products read copies of the weights in shorter types and with other rows.
#[test]
fn weights_given_anew_classify_as_those_that_learned() {
    let mock = load();
    let net = net();
    for precision in [Precision::Bf16, Precision::Tf32, Precision::F32] {
        let open = || executor(&net, CudaBackend::new(&[0, 1], precision).unwrap());
        let classify = |executor: &mut dyn Execution| {
            let data = batch(&net, 9);
            executor.forward_each(&[data.input()]).unwrap();
            (executor.output("fc4").unwrap(), executor.probabilities().unwrap())
        };
        let mut trained = open();
        let before = classify(&mut trained);
        for step in 0..2 {
            begin(&mut trained, &batch(&net, step as u32), step);
            trained.end_step().unwrap();
        }
        let mut given = open();
        for (tower, id, _, values) in tensors(&trained, Slot::Value) {
            given.write_parameter(tower, id, Slot::Value, &values).unwrap();
        }
        let after = classify(&mut trained);
        assert!(after == classify(&mut given), "{precision:?}");
        assert!(after != before, "{precision:?}");
    }
    mock.assert_clean();
}

#[test]
fn another_mean_image_waits_for_the_steps_under_way() {
    let mock = load();
    let net = net();
    let batches: Vec<Batch> = (0..3)
        .map(|number| {
            let mut batch = batch(&net, number);
            batch.mean.iter_mut().for_each(|mean| *mean += 20.0 * number as f32);
            batch
        })
        .collect();
    let losses = |executor: &mut dyn Execution, ahead: usize| -> Vec<f64> {
        let mut losses = Vec::new();
        for (step, data) in batches.iter().enumerate() {
            begin(executor, data, step as u64);
            if step >= ahead {
                losses.push(executor.end_step().unwrap().loss);
            }
        }
        (0..ahead).for_each(|_| losses.push(executor.end_step().unwrap().loss));
        losses
    };
    let cpu = losses(&mut executor(&net, CpuBackend::new(&[1, 1]).unwrap()), 0);
    for order in [Order::Lazy, Order::Reverse, Order::Random(1)] {
        mock.reset();
        mock.order(order);
        let ours = losses(&mut executor(&net, CudaBackend::new(&[0, 1], Precision::F32).unwrap()), 1);
        for (ours, cpu) in ours.iter().zip(&cpu) {
            assert!((ours - cpu).abs() < 1e-4 * cpu.abs(), "{order:?}: loss {ours}, not {cpu}");
        }
        mock.assert_clean();
    }
}
