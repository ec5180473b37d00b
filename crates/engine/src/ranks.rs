//! The ranks that this process trains and evaluates with.

use ilsvrc_diagnostics::{Error, RANKS_DIFFER, Result};
use ilsvrc_network::{Collective, Traffic};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One of several processes of a run.
#[derive(Clone, Debug, Serialize)]
pub struct World {
    /// Which one this is, from 0.
    pub rank: usize,
    /// The host of each.
    pub hosts: Vec<String>,
}

/// How many there are, and what they need of each other; alone unless they were joined. All of them make the same calls, in the
/// same order.
#[derive(Clone, Default)]
pub struct Ranks(pub(crate) Option<Arc<dyn Collective>>);

impl Ranks {
    /// Which one this is, and how many there are.
    pub fn place(&self) -> (usize, usize) {
        self.0.as_ref().map_or((0, 1), |ranks| (ranks.rank(), ranks.size()))
    }

    /// The part of `whole` that is this rank's.
    pub fn part(&self, whole: usize) -> Range<usize> {
        ilsvrc_images::part(whole, self.place())
    }

    /// Whether any rank was asked to stop: all hear the same answer, so all stop at the same place.
    pub(crate) fn anyone(&self, cancel: &AtomicBool) -> Result<bool> {
        let own = cancel.load(Ordering::Relaxed);
        match &self.0 {
            None => Ok(own),
            Some(ranks) => Ok(ranks.sum_exact(vec![f64::from(u8::from(own))])?[0] > 0.0),
        }
    }

    /// Values of which each rank has some and zeros for the others': all of them.
    ///
    /// # Errors
    /// `RANK_LOST`.
    pub fn together(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        match &self.0 {
            None => Ok(values),
            Some(ranks) => ranks.sum(values),
        }
    }

    /// As [`Ranks::together`], of f64.
    ///
    /// # Errors
    /// `RANK_LOST`.
    pub fn together_exact(&self, values: Vec<f64>) -> Result<Vec<f64>> {
        match &self.0 {
            None => Ok(values),
            Some(ranks) => ranks.sum_exact(values),
        }
    }

    /// What rank 0 says, on all of them; a number below 2^53.
    pub(crate) fn of_first(&self, value: usize) -> Result<usize> {
        let own = if self.place().0 == 0 { value as f64 } else { 0.0 };
        Ok(self.together_exact(vec![own])?[0] as usize)
    }

    /// Waits until all ranks have come as far.
    ///
    /// # Errors
    /// `RANK_LOST`.
    pub fn wait(&self) -> Result<()> {
        self.together_exact(vec![0.0]).map(drop)
    }

    /// What went over the wire.
    pub(crate) fn traffic(&self) -> Option<Traffic> {
        self.0.as_ref().map(|ranks| ranks.traffic())
    }

    /// Refuses ranks that were started with other settings: their sums would mean nothing.
    pub(crate) fn expect_same(&self, what: &str, settings: &str) -> Result<()> {
        let Some(ranks) = &self.0 else { return Ok(()) };
        let mut all = vec![0.0; ranks.size()];
        all[ranks.rank()] = fingerprint(settings);
        let all = ranks.sum_exact(all)?;
        match all.iter().position(|other| *other != all[0]) {
            None => Ok(()),
            Some(other) => Err(Error::new(
                RANKS_DIFFER,
                format!("rank {other} has another {what} than rank 0"),
            )
            .info(
                "every rank trains the same net on the same data in the same way, each a part of every batch",
            )
            .hint("start all ranks with the same arguments, and see that they read the same data set")),
        }
    }
}

/// 48 bits of a text's hash: as many as an f64 adds zeros to without loss.
fn fingerprint(text: &str) -> f64 {
    let hash = Sha256::digest(text);
    hash[..6].iter().fold(0.0, |sum, byte| sum * 256.0 + f64::from(*byte))
}

#[cfg(feature = "mpi")]
mod joined {
    use super::{Arc, Collective, Ranks, Result, World};
    use ilsvrc_collective::Mpi;
    use std::sync::{Mutex, PoisonError};

    static MPI: Mutex<Option<Arc<Mpi>>> = Mutex::new(None);

    /// Those that this process has joined.
    pub fn current() -> Ranks {
        let mpi = MPI.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ranks(mpi.map(|mpi| mpi as Arc<dyn Collective>))
    }

    /// Joins the processes that MPI's launcher started with this one: sessions opened from now on work together with theirs.
    ///
    /// # Errors
    /// `RANKS_UNAVAILABLE`.
    pub fn join() -> Result<World> {
        let mut mpi = MPI.lock().unwrap_or_else(PoisonError::into_inner);
        let joined = Arc::new(Mpi::join()?);
        let world = World { rank: joined.rank(), hosts: joined.hosts().to_vec() };
        *mpi = Some(joined);
        Ok(world)
    }

    /// Leaves them when all are ready to; see [`Mpi::leave`].
    ///
    /// # Errors
    /// `RANK_LOST`.
    pub fn leave() -> Result<()> {
        let mpi = MPI.lock().unwrap_or_else(PoisonError::into_inner).take();
        mpi.map_or(Ok(()), |mpi| mpi.leave())
    }
}

#[cfg(not(feature = "mpi"))]
mod joined {
    use super::{Error, Ranks, Result, World};
    use ilsvrc_diagnostics::RANKS_UNAVAILABLE;

    /// None can be joined.
    pub fn current() -> Ranks {
        Ranks::default()
    }

    /// There is nobody to join.
    ///
    /// # Errors
    /// `RANKS_UNAVAILABLE`.
    pub fn join() -> Result<World> {
        Err(Error::new(RANKS_UNAVAILABLE, "this build of ilsvrc knows no MPI")
            .info("MPI differs from host to host, so the packages on npm come without it")
            .hint("build from source where `mpicc` and libclang are: apt install libopenmpi-dev libclang-dev, then npm run build"))
    }

    /// Nothing to leave.
    ///
    /// # Errors
    /// None.
    pub fn leave() -> Result<()> {
        Ok(())
    }
}

pub use joined::{current, join, leave};
