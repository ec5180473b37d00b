//! What replicas need of each other: sums.

use ilsvrc_diagnostics::Result;

/// Ranks that train one net, each a replica of it on a part of every batch. All of them make the same calls in the same
/// order; a call returns when every rank has made it, with the same numbers on all. Sums are made in an order that depends on
/// nothing but the number of ranks and of values.
pub trait Collective: Send + Sync {
    /// Which one this is, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// Each element of `values` summed over all ranks.
    ///
    /// # Errors
    /// `RANK_LOST` where one does not answer any more.
    fn sum(&self, values: Vec<f32>) -> Result<Vec<f32>>;

    /// The same of a few numbers, to the last bit where they are whole.
    ///
    /// # Errors
    /// As [`Collective::sum`].
    fn sum_exact(&self, values: Vec<f64>) -> Result<Vec<f64>>;

    /// Fails where a rank is known to be lost: to be asked again and again by those who wait for the others elsewhere than in a sum
    /// of this.
    ///
    /// # Errors
    /// As [`Collective::sum`].
    fn expect_alive(&self) -> Result<()> {
        Ok(())
    }

    /// What all sums together have moved and taken.
    fn traffic(&self) -> Traffic;
}

/// What went through a [`Collective`].
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Traffic {
    /// Sums.
    pub calls: u64,
    /// Bytes that this rank put in.
    pub bytes: u64,
    /// Seconds that sums were under way, waiting for other ranks included.
    pub seconds: f64,
}
