//! Gradients against finite differences and the reference, and the same bits for any number of threads.

use super::*;
use ilsvrc_cpu::CpuBackend;
use ilsvrc_random::{Purpose, Stream};
use ilsvrc_reference::ReferenceBackend;

const WIDTHS: [usize; 4] = [37, 19, 11, 8];
const BATCH: usize = 5;
const TRAINING: Pass = Pass { batch: BATCH, mode: Mode::Train { seed: 3, step: 7, first: 0 } };
const RULE: UpdateRule = UpdateRule { rate: 0.05, momentum: 0.9, decay: 0.001 };

fn rows(count: usize) -> Vec<f32> {
    let stream = Stream::new(11, Purpose::Drawing, 0, 0);
    (0..(count * WIDTHS[0]) as u32).map(|element| stream.uniform(element) * 2.0 - 0.5).collect()
}

fn targets(count: usize) -> Vec<Target> {
    let stream = Stream::new(12, Purpose::Drawing, 0, 0);
    let target = |row: usize| Target {
        first: row % 2 * 4,
        values: [0, 1, 2, 3].map(|column| stream.uniform((row * 4 + column) as u32)),
    };
    (0..count).map(target).collect()
}

fn regressor<B: Backend>(backend: B) -> Regressor<B> {
    let mut regressor = Regressor::new(backend, &WIDTHS, BATCH, 0.5).unwrap();
    regressor.initialise(1).unwrap();
    regressor
}

fn cpu(threads: usize) -> Regressor<CpuBackend> {
    regressor(CpuBackend::new(&[threads]).unwrap())
}

/// The worst difference, as a share of the largest value.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    let largest = b.iter().fold(1e-6f32, |most, value| most.max(value.abs()));
    a.iter().zip(b).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let (rows, targets) = (rows(BATCH), targets(BATCH));
    let mut reference = regressor(ReferenceBackend);
    reference.gradients(&rows, &targets, &TRAINING).unwrap();
    let gradients = reference.read(Slot::Gradient).unwrap();
    let mut checked = 0;
    for (index, (parameter, values)) in reference.parameters().unwrap().into_iter().enumerate() {
        let step = 1e-3f32;
        for at in (0..parameter.len()).step_by(7) {
            let mut loss_at = |value: f32| {
                let mut changed = values.clone();
                changed[at] = value;
                reference.set_parameter(index, &changed).unwrap();
                reference.gradients(&rows, &targets, &TRAINING).unwrap()
            };
            let (above, below) = (values[at] + step, values[at] - step);
            let slope = (loss_at(above) - loss_at(below)) / f64::from(above - below);
            let gradient = f64::from(gradients[index].1[at]);
            assert!(
                (slope - gradient).abs() < 1e-4 + 1e-3 * slope.abs(),
                "{} {at}: {slope} against {gradient}",
                parameter.name
            );
            checked += usize::from(gradient.abs() > 1e-3);
        }
        reference.set_parameter(index, &values).unwrap();
    }
    assert!(checked > 30, "most gradients are zero: {checked}");
}

#[test]
fn the_cpu_agrees_with_the_reference() {
    let (rows, targets) = (rows(BATCH), targets(BATCH));
    let (mut reference, mut cpu) = (regressor(ReferenceBackend), cpu(2));
    assert!(difference(&cpu.predict(&rows).unwrap(), &reference.predict(&rows).unwrap()) < 1e-5);
    for step in 0..3 {
        let mode = Mode::Train { seed: 3, step, first: 0 };
        let losses = [
            cpu.step(&rows, &targets, mode, &RULE).unwrap(),
            reference.step(&rows, &targets, mode, &RULE).unwrap(),
        ];
        assert!((losses[0] - losses[1]).abs() < 1e-5 * losses[1], "{losses:?}");
    }
    let pairs = cpu.parameters().unwrap().into_iter().zip(reference.parameters().unwrap());
    for ((parameter, found), (_, expected)) in pairs {
        assert!(difference(&found, &expected) < 1e-4, "{}", parameter.name);
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads_and_the_batch_may_be_short() {
    let learn = |threads| {
        let mut regressor = cpu(threads);
        for step in 0..4u64 {
            let count = if step == 3 { 2 } else { BATCH };
            let mode = Mode::Train { seed: 3, step, first: 0 };
            regressor.step(&rows(count), &targets(count), mode, &RULE).unwrap();
        }
        regressor.predict(&rows(BATCH * 2 + 1)).unwrap()
    };
    let one = learn(1);
    assert_eq!(one.len(), (BATCH * 2 + 1) * WIDTHS[3]);
    assert_eq!(one, learn(3));
}

#[test]
fn a_loss_that_is_not_finite_changes_nothing() {
    let mut cpu = cpu(1);
    let before = cpu.parameters().unwrap();
    let mut rows = rows(BATCH);
    rows[3] = f32::NAN;
    let loss = cpu.step(&rows, &targets(BATCH), TRAINING.mode, &RULE).unwrap();
    assert!(!loss.is_finite());
    assert_eq!(cpu.parameters().unwrap(), before);
}
