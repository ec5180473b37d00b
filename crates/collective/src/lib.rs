//! Ranks: replicas of a net that train it together, behind [`ilsvrc_network::Collective`]. [`threads`] of one process, and
//! processes of one or more hosts by [`mpi`]. Nothing here sums over connections of its own; a [`Heartbeat`] is a client of torchrun's
//! store, for ranks that have no MPI to tell who is alive.

mod heartbeat;
#[cfg(feature = "mpi")]
mod mpi;
mod pulse;
mod store;
mod threads;

pub use heartbeat::{Agent, Heartbeat};
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub use threads::{ThreadRank, threads};
