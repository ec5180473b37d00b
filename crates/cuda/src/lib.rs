//! The CUDA backend: towers on NVIDIA GPUs. Nothing of CUDA is linked: the driver is loaded when a GPU is asked for, and
//! the kernels (`kernels/*.cu`) come as machine code from the build ([`cubins`]).
//!
//! The way of a step: `staging` brings the batch, `launch` turns ops into kernels on a tower's compute stream, `exchange`
//! joins towers on their exchange streams, `order` makes one wait for the other, `step` records all of it as a graph. Of several
//! ranks, [`nccl`] sums the gradients.

pub mod cubins;
pub mod nccl;
pub mod nvrtc;
pub mod resources;

mod backend;
mod bf16;
mod compile;
mod devices;
mod driver;
mod exchange;
mod failure;
mod geometry;
mod gpu;
mod launch;
mod layout;
mod measure;
mod memory;
mod order;
mod precision;
mod recipe;
mod staging;
mod step;
mod store;
mod tower;

pub use backend::{CudaBackend, Route};
pub use devices::{Device, devices, driver_version};
pub use measure::Part;
pub use memory::{Memory, largest_batch, memory};
pub use precision::Precision;
pub use tower::CudaTower;
