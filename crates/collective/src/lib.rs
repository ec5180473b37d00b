//! Ranks: replicas of a net that train it together, behind [`ilsvrc_network::Collective`]. [`threads`] of one process, and
//! processes of one or more hosts by [`mpi`]. Nothing here opens a connection of its own.

#[cfg(feature = "mpi")]
mod mpi;
mod threads;

#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub use threads::threads;
