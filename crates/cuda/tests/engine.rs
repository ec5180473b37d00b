//! The whole engine on two virtual GPUs: training steps against the CPU backend, in every order in which a driver may run
//! what it was given, with every conflicting access checked for an event between.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))] // where there are virtual GPUs

mod common;

use common::{Batch, distance};
use ilsvrc_conformance::goldens;
use ilsvrc_cpu::CpuBackend;
use ilsvrc_cuda::{CudaBackend, Memory, Precision, Route, memory};
use ilsvrc_cuda_mock::{Mock, Order, load};
use ilsvrc_network::{
    Backend, Execution, Executor, Mode, Net, ParamId, Pass, Plan, Slot, UpdateRule, Use, examples,
};

const RULE: UpdateRule = UpdateRule { rate: 0.01, momentum: 0.9, decay: 0.0005 };

/// What came of some steps: losses, hits, and all weights and velocities.
struct Trained {
    losses: Vec<f64>,
    hits: Vec<f64>,
    tensors: Vec<(String, Vec<f32>)>,
}

/// Trains `steps` steps of `batch` images and a last one of fewer.
fn train<B: Backend>(net: &Net, backend: B, places: &[usize], batch: usize, steps: u64) -> Trained {
    let plan = Plan::new(net, batch, Use::Training).unwrap();
    let classes = plan.classes;
    let mut executor = Executor::new(backend, plan, places).unwrap();
    executor.initialise(3).unwrap();
    let (mut losses, mut hits) = (Vec::new(), Vec::new());
    let mut under_way = 0;
    let mut end = |executor: &mut Executor<B>| {
        let outcome = executor.end_step().unwrap();
        losses.push(outcome.loss);
        hits.push(outcome.hits);
    };
    for step in 0..=steps {
        let images = if step == steps { batch.div_ceil(2) } else { batch };
        let data = Batch::new(images, net.image, net.crop, classes, step as u32);
        let pass = Pass { batch: images, mode: Mode::Train { seed: 5, step, first: 0 } };
        executor.begin_step(&data.input(), &pass, &RULE).unwrap();
        under_way += 1;
        if under_way > executor.steps_ahead() {
            end(&mut executor);
            under_way -= 1;
        }
    }
    (0..under_way).for_each(|_| end(&mut executor));
    let mut tensors = Vec::new();
    for (tower, plan) in executor.plan().towers.iter().enumerate() {
        for (index, parameter) in plan.parameters.iter().enumerate() {
            for slot in [Slot::Value, Slot::Velocity] {
                let values = executor.read_parameter(tower, ParamId(index), slot).unwrap();
                tensors.push((format!("{} {slot:?}", parameter.name), values));
            }
        }
    }
    Trained { losses, hits, tensors }
}

/// How far from the CPU's results, as parts of norms.
#[derive(Clone, Copy)]
struct Tolerance {
    loss: f64,
    /// Weights and velocities of dense layers.
    dense: f64,
    /// Of convolutions.
    convolutions: f64,
}

const F32: Tolerance = Tolerance { loss: 1e-5, dense: 1e-4, convolutions: 1e-4 };
const TF32: Tolerance = Tolerance { loss: 2e-3, dense: 2e-2, convolutions: 1e-1 };
/// After one step. With 8 bits of mantissa gradients far behind the loss agree roughly: 0.23 off was seen with the small
/// net, 0.35 with alexnet's conv1. A gradient that is missing, or of another sign, is off by 1 or more. Every op by itself
/// is held to a rounding by tests/ops.rs.
const BF16: Tolerance = Tolerance { loss: 1e-2, dense: 2e-2, convolutions: 0.5 };
/// After some steps of the small net, whose convolutions amplify what was rounded: they say nothing more in bf16 and are
/// not compared.
const BF16_LATER: Tolerance = Tolerance { convolutions: f64::INFINITY, ..BF16 };

fn compare(what: &str, ours: &Trained, cpu: &Trained, tolerance: Tolerance) {
    assert_eq!(ours.losses.len(), cpu.losses.len());
    for (step, (a, b)) in ours.losses.iter().zip(&cpu.losses).enumerate() {
        assert!((a - b).abs() <= tolerance.loss * b.abs(), "{what}: loss {a} at step {step}, not {b}");
    }
    for ((name, ours), (_, cpu)) in ours.tensors.iter().zip(&cpu.tensors) {
        let off = distance(ours, cpu);
        let allowed = if name.contains("fc") { tolerance.dense } else { tolerance.convolutions };
        assert!(off <= allowed, "{what}: {name} is off by {off:.2e}, allowed {allowed:.0e}");
    }
}

fn same(a: &Trained, b: &Trained) -> bool {
    let bits = |trained: &Trained| -> Vec<u32> {
        trained.tensors.iter().flat_map(|(_, values)| values).map(|x| x.to_bits()).collect()
    };
    a.losses == b.losses && bits(a) == bits(b)
}

fn backend(places: &[usize], precision: Precision) -> CudaBackend {
    CudaBackend::new(places, precision).unwrap()
}

#[test]
fn a_small_net_trains_as_on_the_cpu() {
    trains_as_on_the_cpu(examples::miniature(), BF16, BF16_LATER);
}

#[test]
fn a_normalisation_across_gpus_trains_as_on_the_cpu() {
    // The normalised maps are stored, and so rounded to bf16, before a pool chooses among them: with the miniature it takes
    // them as they are. Seen after one step: 0.02 in dense layers, 0.52 in conv1 (in tf32 0.02, in f32 5e-6).
    let once = Tolerance { dense: 0.05, convolutions: 0.8, ..BF16 };
    trains_as_on_the_cpu(examples::miniature_across(), once, Tolerance { dense: 0.1, ..BF16_LATER });
}

#[test]
fn locally_connected_layers_train_as_on_the_cpu() {
    // One layer with parameters more than the miniature: 0.03 off in dense layers was seen after four steps in bf16.
    trains_as_on_the_cpu(examples::miniature_local(), BF16, Tolerance { dense: 0.05, ..BF16_LATER });
}

fn trains_as_on_the_cpu(net: Net, bf16_once: Tolerance, bf16_later: Tolerance) {
    let mock = load();
    let cpu = train(&net, CpuBackend::new(&[1]).unwrap(), &[0, 0], 5, 3);
    for (precision, tolerance) in
        [(Precision::F32, F32), (Precision::Tf32, TF32), (Precision::Bf16, bf16_later)]
    {
        for places in [&[0, 1], &[0, 0]] {
            let ours = train(&net, backend(places, precision), &[0, 1], 5, 3);
            let what = format!("{} on {places:?}", precision.name());
            compare(&what, &ours, &cpu, tolerance);
            if precision == Precision::F32 {
                assert_eq!(ours.hits, cpu.hits, "{what}");
            }
        }
    }
    let cpu = train(&net, CpuBackend::new(&[1]).unwrap(), &[0, 0], 5, 0);
    for places in [&[0, 1], &[0, 0]] {
        let ours = train(&net, backend(places, Precision::Bf16), &[0, 1], 5, 0);
        compare(&format!("one step in bf16 on {places:?}"), &ours, &cpu, bf16_once);
    }
    mock.assert_clean();
}

#[test]
fn every_order_of_the_driver_gives_the_same_bits() {
    let mock = load();
    let net = examples::miniature();
    let run = |places: &[usize]| train(&net, backend(places, Precision::Bf16), &[0, 1], 4, 3);
    let expected = run(&[0, 1]);
    let orders =
        [Order::Eager, Order::Lazy, Order::Reverse, Order::Random(1), Order::Random(2), Order::Random(3)];
    for order in orders {
        for (places, peers) in [([0, 1], true), ([0, 1], false), ([0, 0], true)] {
            mock.reset();
            mock.peers(peers);
            mock.order(order);
            assert!(same(&run(&places), &expected), "{order:?} on {places:?}, peers {peers}");
            mock.assert_clean();
        }
    }
}

#[test]
fn one_tower_nets_train_as_on_the_cpu() {
    let mock = load();
    for net in [examples::cifar_80sec(), examples::cifar_18pct()] {
        let cpu = train(&net, CpuBackend::new(&[1]).unwrap(), &[0], 2, 1);
        let ours = train(&net, backend(&[0], Precision::F32), &[0], 2, 1);
        compare(&net.name, &ours, &cpu, F32);
        let ours = train(&net, backend(&[0], Precision::Bf16), &[0], 2, 1);
        compare(&net.name, &ours, &cpu, BF16);
    }
    mock.assert_clean();
}

#[test]
fn alexnet_trains_as_on_the_cpu() {
    let mock = load();
    mock.memory(1024);
    let net = examples::alexnet();
    let cpu = train(&net, CpuBackend::new(&[1]).unwrap(), &[0, 0], 2, 0);
    for (precision, tolerance) in [(Precision::Tf32, TF32), (Precision::Bf16, BF16)] {
        let ours = train(&net, backend(&[0, 1], precision), &[0, 1], 2, 0);
        compare(&format!("alexnet in {}", precision.name()), &ours, &cpu, tolerance);
    }
    mock.assert_clean();
}

#[test]
fn pytorch_agrees() {
    let mock = load();
    goldens::check("two-towers", backend(&[0, 1], Precision::F32), &[0, 1], &goldens::F32);
    goldens::check("two-towers", backend(&[0, 0], Precision::F32), &[0, 1], &goldens::F32);
    mock.assert_clean();
}

#[test]
fn weights_do_not_change_when_the_loss_is_no_number() {
    let mock = load();
    let net = examples::miniature();
    let plan = Plan::new(&net, 3, Use::Training).unwrap();
    let mut executor = Executor::new(backend(&[0, 1], Precision::Bf16), plan, &[0, 1]).unwrap();
    executor.initialise(3).unwrap();
    let poison = vec![f32::NAN; executor.read_parameter(0, ParamId(0), Slot::Value).unwrap().len()];
    let kept = executor.read_parameter(0, ParamId(0), Slot::Value).unwrap();
    executor.write_parameter(0, ParamId(0), Slot::Value, &poison).unwrap();
    let others = |executor: &Executor<CudaBackend>| -> Vec<Vec<f32>> {
        let towers = executor.plan().towers.iter().enumerate();
        let ids = towers
            .flat_map(|(tower, plan)| (0..plan.parameters.len()).map(move |index| (tower, ParamId(index))));
        ids.skip(1).map(|(tower, id)| executor.read_parameter(tower, id, Slot::Value).unwrap()).collect()
    };
    let before = others(&executor);
    let data = Batch::new(3, net.image, net.crop, 4, 0);
    let pass = Pass { batch: 3, mode: Mode::Train { seed: 5, step: 0, first: 0 } };
    for _ in 0..2 {
        executor.begin_step(&data.input(), &pass, &RULE).unwrap();
    }
    assert!(executor.end_step().unwrap().loss.is_nan());
    assert!(executor.end_step().unwrap().loss.is_nan());
    assert!(others(&executor) == before, "weights of both towers");
    // Given good weights it trains again.
    executor.write_parameter(0, ParamId(0), Slot::Value, &kept).unwrap();
    executor.begin_step(&data.input(), &pass, &RULE).unwrap();
    assert!(executor.end_step().unwrap().loss.is_finite());
    assert!(others(&executor) != before);
    mock.assert_clean();
}

#[test]
fn evaluation_gives_the_cpus_probabilities_and_features() {
    let mock = load();
    let net = examples::miniature();
    let run = |executor: &mut dyn Execution| {
        executor.initialise(3).unwrap();
        let data = Batch::new(4, net.image, net.crop, 4, 9);
        let mut input = data.input();
        input.labels = &[];
        executor.forward_each(&[input]).unwrap();
        vec![executor.probabilities().unwrap(), executor.output("fc4").unwrap()]
    };
    let plan = || Plan::new(&net, 4, Use::Inference).unwrap();
    let cpu = run(&mut Executor::new(CpuBackend::new(&[1]).unwrap(), plan(), &[0, 0]).unwrap());
    for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::Tf32, 5e-3), (Precision::Bf16, 3e-2)] {
        let ours = run(&mut Executor::new(backend(&[0, 1], precision), plan(), &[0, 1]).unwrap());
        for (a, b) in ours.iter().zip(&cpu) {
            assert!(distance(a, b) < tolerance, "{precision:?}: {}", distance(a, b));
        }
    }
    mock.assert_clean();
}

/// What the driver says is taken, against the prediction.
#[test]
fn memory_is_predicted() {
    let mock = load();
    let taken = |mock: &Mock, device: u32| mock.used(device) as f64;
    for net in [examples::alexnet(), examples::cifar_18pct()] {
        for use_ in [Use::Training, Use::Inference] {
            let towers = net.towers;
            for gpus in [vec![0; towers], (0..towers).collect()] {
                mock.reset();
                mock.memory(2048);
                let plan = Plan::new(&net, 16, use_).unwrap();
                let [predicted, summed] =
                    [false, true].map(|summed| memory(&plan, &gpus, Precision::Bf16, summed));
                let before: Vec<f64> = (0..2).map(|device| taken(&mock, device)).collect();
                let places: Vec<usize> = (0..towers).collect();
                let mut executor = Executor::new(backend(&gpus, Precision::Bf16), plan, &places).unwrap();
                executor.initialise(1).unwrap();
                let check = |predicted: Vec<(usize, Memory)>| {
                    for (gpu, memory) in predicted {
                        let bytes = taken(&mock, gpu as u32) - before[gpu];
                        let off = (memory.total() as f64 - bytes).abs() / bytes;
                        assert!(off < 0.05, "{} on {gpus:?}: {bytes} taken, {memory:?} predicted", net.name);
                    }
                };
                check(predicted);
                if use_ == Use::Training {
                    // Sums of replicas need all gradients.
                    for (tower, of) in executor.plan().towers.clone().iter().enumerate() {
                        for (id, parameter) in of.parameters.iter().enumerate() {
                            let zeros = vec![0.0; parameter.len()];
                            executor.write_parameter(tower, ParamId(id), Slot::Gradient, &zeros).unwrap();
                        }
                    }
                }
                check(summed);
                drop(executor);
            }
        }
    }
    // The talk's GPUs had 3 GB each.
    let plan = Plan::new(&examples::alexnet(), 128, Use::Training).unwrap();
    for (gpu, memory) in memory(&plan, &[0, 1], Precision::Bf16, false) {
        assert!(memory.total() <= 1_000_000_000, "GPU {gpu} takes {} bytes", memory.total());
    }
}

#[test]
fn the_route_of_the_exchange_follows_the_hardware() {
    let mock = load();
    assert_eq!(backend(&[0, 1], Precision::Bf16).route(), Route::Peer);
    assert_eq!(backend(&[0, 0], Precision::Bf16).route(), Route::SameGpu);
    mock.reset();
    mock.peers(false);
    assert_eq!(backend(&[0, 1], Precision::Bf16).route(), Route::Host);
}

/// Each call of a session comes from a thread of its own.
#[test]
fn calls_may_come_from_any_thread() {
    let mock = load();
    let net = examples::miniature();
    let plan = Plan::new(&net, 2, Use::Training).unwrap();
    let mut executor = Executor::new(backend(&[0, 1], Precision::Bf16), plan, &[0, 1]).unwrap();
    let data = Batch::new(2, net.image, net.crop, 4, 0);
    let pass = Pass { batch: 2, mode: Mode::Train { seed: 5, step: 0, first: 0 } };
    let mut apart = |act: &mut (dyn FnMut(&mut Executor<CudaBackend>) + Send)| {
        std::thread::scope(|scope| scope.spawn(|| act(&mut executor)).join().unwrap());
    };
    apart(&mut |executor| executor.initialise(3).unwrap());
    for _ in 0..2 {
        apart(&mut |executor| executor.begin_step(&data.input(), &pass, &RULE).unwrap());
        apart(&mut |executor| assert!(executor.end_step().unwrap().loss.is_finite()));
        apart(&mut |executor| executor.load(&data.input(), &pass).unwrap());
        apart(&mut |executor| executor.forward_loaded(&pass).unwrap());
        apart(&mut |executor| executor.backward(&pass).unwrap());
        apart(&mut |executor| executor.update(&RULE).unwrap());
        apart(&mut |executor| assert_eq!(executor.probabilities().unwrap().len(), 8));
    }
    mock.assert_clean();
}
