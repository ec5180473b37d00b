//! What this processor is said to have. Under an emulator of another processor this is the test that tells whether the
//! others ran on what they should: `EXPECT_INSTRUCTION_SET=portable cargo test -p ilsvrc-cpu` fails elsewhere.

use ilsvrc_cpu::{CpuBackend, InstructionSet, instruction_set};

#[test]
fn only_what_is_there_is_used() {
    let best = InstructionSet::best();
    assert!(best.available() && InstructionSet::Portable.available());
    assert_eq!(instruction_set(), best.name());
    if let Ok(expected) = std::env::var("EXPECT_INSTRUCTION_SET") {
        assert_eq!(best.name(), expected);
    }
    for set in InstructionSet::ALL {
        assert_eq!(CpuBackend::with_instruction_set(&[1], set).is_ok(), set.available(), "{}", set.name());
    }
}
