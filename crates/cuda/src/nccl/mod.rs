//! Sums over ranks by NCCL, NVIDIA's library for it: from GPU to GPU, without a way through the host. It is loaded at run time like
//! the driver, when ranks on GPUs ask for it.
//!
//! A [`Communicator`] is one GPU's end; [`Communicators`] are those of a replica's GPUs and sum gradients where they lie, bucket
//! by bucket behind the backward pass; [`NcclRanks`] sums values of the host through one GPU, for ranks that have no MPI.

mod communicator;
mod communicators;
mod library;
mod ranks;

pub use communicators::Communicators;
pub use library::{NONE, Nccl, UniqueId, VARIABLE};
pub use ranks::{ExpectAlive, NcclRanks};
