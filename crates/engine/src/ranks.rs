//! What a session asks of the other ranks.

use crate::among;
use crate::places::{ALONE, Local};
use ilsvrc_cuda::nccl::Communicators;
use ilsvrc_diagnostics::{Error, RANKS_DIFFER, Result};
use ilsvrc_network::{Collective, Traffic};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// How many there are, and what they need of each other; alone unless they were joined. All of them make the same calls, in the
/// same order.
#[derive(Clone)]
pub struct Ranks {
    pub(crate) collective: Option<Arc<dyn Collective>>,
    /// Which one of its host this is.
    pub(crate) local: Local,
    /// What sums gradients between GPUs, or why nothing does; once somebody has asked.
    communicators: Arc<OnceLock<Result<Arc<Communicators>>>>,
}

impl Default for Ranks {
    fn default() -> Self {
        Self { collective: None, local: ALONE, communicators: Arc::default() }
    }
}

impl Ranks {
    pub(crate) fn new(collective: Arc<dyn Collective>, local: Local) -> Self {
        Self { collective: Some(collective), local, ..Self::default() }
    }

    /// Which one this is, and how many there are.
    pub fn place(&self) -> (usize, usize) {
        self.collective.as_ref().map_or((0, 1), |ranks| (ranks.rank(), ranks.size()))
    }

    /// The same with what sums gradients between GPUs.
    pub(crate) fn with(self, communicators: Communicators) -> Self {
        let _ = self.communicators.set(Ok(Arc::new(communicators)));
        self
    }

    /// Ends the sums between GPUs, on all ranks.
    pub(crate) fn part_gpus(&self) {
        if let Some(Ok(communicators)) = self.communicators.get() {
            communicators.leave();
        }
    }

    /// The same by force, where sums under way will never end.
    pub(crate) fn abort_gpus(&self, reason: &Error) {
        if let Some(Ok(communicators)) = self.communicators.get() {
            communicators.abort(reason);
        }
    }

    /// What sums gradients between GPUs.
    ///
    /// # Errors
    /// `NCCL_UNUSABLE`.
    pub(crate) fn communicators(&self) -> Result<Arc<Communicators>> {
        self.communicators.get_or_init(|| among::open(self)).clone()
    }

    /// The part of `whole` that is this rank's.
    pub fn part(&self, whole: usize) -> Range<usize> {
        ilsvrc_images::part(whole, self.place())
    }

    /// Whether any rank was asked to stop: all hear the same answer, so all stop at the same place.
    pub(crate) fn anyone(&self, cancel: &AtomicBool) -> Result<bool> {
        let own = cancel.load(Ordering::Relaxed);
        match &self.collective {
            None => Ok(own),
            Some(ranks) => Ok(ranks.sum_exact(vec![f64::from(u8::from(own))])?[0] > 0.0),
        }
    }

    /// Values of which each rank has some and zeros for the others': all of them.
    ///
    /// # Errors
    /// `RANK_LOST`.
    pub fn together(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        match &self.collective {
            None => Ok(values),
            Some(ranks) => ranks.sum(values),
        }
    }

    /// As [`Ranks::together`], of f64.
    ///
    /// # Errors
    /// `RANK_LOST`.
    pub fn together_exact(&self, values: Vec<f64>) -> Result<Vec<f64>> {
        match &self.collective {
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
        let mut all = self.collective.as_ref()?.traffic();
        if let Some(Ok(communicators)) = self.communicators.get() {
            let Traffic { calls, bytes, seconds } = communicators.traffic();
            all.calls += calls;
            all.bytes += bytes;
            all.seconds += seconds;
        }
        Some(all)
    }

    /// The numbers of every rank, as many on each.
    pub(crate) fn gather(&self, own: &[f64]) -> Result<Vec<Vec<f64>>> {
        let Some(ranks) = &self.collective else { return Ok(vec![own.to_vec()]) };
        let mut all = vec![0.0; own.len() * ranks.size()];
        all[own.len() * ranks.rank()..][..own.len()].copy_from_slice(own);
        Ok(ranks.sum_exact(all)?.chunks(own.len()).map(<[f64]>::to_vec).collect())
    }

    /// Refuses ranks that were started with other settings: their sums would mean nothing.
    pub(crate) fn expect_same(&self, what: &str, settings: &str) -> Result<()> {
        let all = self.gather(&[fingerprint(settings)])?.concat();
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
pub(crate) fn fingerprint(text: &str) -> f64 {
    let hash = Sha256::digest(text);
    hash[..6].iter().fold(0.0, |sum, byte| sum * 256.0 + f64::from(*byte))
}
