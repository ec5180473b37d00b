//! Every op against the f64 reference, with every instruction set that this processor has, and with one and two
//! threads, whose results must be the same bits.

use ilsvrc_conformance::{F32, Subject, Tolerance, ops};
use ilsvrc_cpu::{Convolution, CpuBackend, InstructionSet};

/// Each instruction set with one thread and with two.
fn backends() -> Vec<(String, usize, CpuBackend)> {
    let sets = InstructionSet::ALL.into_iter().filter(|set| set.available()).enumerate();
    sets.flat_map(|(group, set)| [1, 2].map(|threads| (group, set, threads)))
        .map(|(group, set, threads)| {
            let backend = CpuBackend::with_instruction_set(&[threads, 1], set).unwrap();
            (format!("{} with {threads} threads", set.name()), group, backend)
        })
        .collect()
}

fn subjects(backends: &[(String, usize, CpuBackend)]) -> Vec<Subject<'_, CpuBackend>> {
    backends.iter().map(|(name, group, backend)| Subject::new(name, *group, backend, F32)).collect()
}

#[test]
fn convolutions() {
    ops::convolutions(&subjects(&backends()));
}

/// The transforms wherever there are any, on all the odd shapes. The problems' sums are exact in f32, the transforms'
/// constants are not: what is allowed is some roundings of the largest transformed value, which eight points of 5 x 5 kernels make
/// largest (see `winograd.rs` for how errors compare with those of direct convolutions).
#[test]
fn convolutions_by_transforms() {
    let backends: Vec<_> = backends()
        .into_iter()
        .map(|(name, group, backend)| (name, group, backend.convolving(Convolution::Winograd)))
        .collect();
    let within = |bound| {
        let tolerance = Tolerance { buffers: bound, parameters: bound };
        let subjects = backends.iter().map(|(name, group, b)| Subject::new(name, *group, b, tolerance));
        subjects.collect::<Vec<_>>()
    };
    ops::convolutions_where(&within(1e-4), |size| size == 5);
    ops::convolutions_where(&within(3e-5), |size| size != 5);
}

#[test]
fn local_layers() {
    ops::local_layers(&subjects(&backends()));
}

#[test]
fn dense_layers() {
    ops::dense_layers(&subjects(&backends()));
}

#[test]
fn pools_and_norms() {
    ops::pools_and_norms(&subjects(&backends()));
}

#[test]
fn elementwise_ops() {
    ops::elementwise_ops(&subjects(&backends()));
}

#[test]
fn input_loss_and_update() {
    ops::input_loss_and_update(&subjects(&backends()));
}

#[test]
fn exchanges() {
    ops::exchanges(&subjects(&backends()), &[[0, 0], [0, 1]]);
}
