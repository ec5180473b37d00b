//! Whole nets against PyTorch.

use ilsvrc_conformance::goldens::{F32, check};
use ilsvrc_cpu::{CpuBackend, InstructionSet};
use ilsvrc_reference::ReferenceBackend;

#[test]
fn two_towers_on_the_cpu() {
    // Both towers on one pool, then each on its own.
    for (pools, places) in [(&[2][..], [0, 0]), (&[1, 1], [0, 1])] {
        for set in InstructionSet::ALL.into_iter().filter(|set| set.available()) {
            check("two-towers", CpuBackend::with_instruction_set(pools, set).unwrap(), &places, &F32);
        }
    }
}

#[test]
fn two_towers_on_the_reference() {
    check("two-towers", ReferenceBackend, &[0, 0], &F32);
}

#[test]
fn locally_connected_layers_on_the_cpu() {
    for set in InstructionSet::ALL.into_iter().filter(|set| set.available()) {
        check("local", CpuBackend::with_instruction_set(&[2], set).unwrap(), &[0], &F32);
    }
}

#[test]
fn locally_connected_layers_on_the_reference() {
    check("local", ReferenceBackend, &[0], &F32);
}

#[test]
fn alexnet_on_the_cpu() {
    check("alexnet", CpuBackend::new(&[2]).unwrap(), &[0, 0], &F32);
}
