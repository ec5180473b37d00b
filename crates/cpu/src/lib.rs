//! The CPU backend: packed products of matrices with the widest vectors the processor has, convolutions that read
//! images where they lie, normalisation and pooling in one pass, an own thread pool for each place.
//!
//! Results do not depend on the number of threads: every sum is made by one task, in a fixed order.

mod arena;
mod backend;
mod conv;
mod dense;
mod dropout;
mod elementwise;
mod exchange;
mod execute;
mod gemm;
mod input;
mod isa;
mod kept;
mod local;
mod norm;
mod peak;
mod pool;
mod update;

pub use backend::{CpuBackend, CpuTower};
pub use conv::Convolution;
pub use isa::{InstructionSet, features, instruction_set};
pub use peak::peak_gflops;
