//! What a session is opened with.

use ilsvrc_cuda::Precision;
use ilsvrc_diagnostics::Result;
use ilsvrc_images::CacheLimit;
use ilsvrc_network::{Net, Use};
use serde::Deserialize;
use std::path::PathBuf;

/// How a session is opened.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The network.
    pub net: Net,
    /// Images of a training step, and the most (or views of images) that a pass for inference has.
    pub batch: usize,
    /// Draws initial weights, the order of images, augmentation and dropout.
    pub seed: u64,
    /// Compute threads in all, and decode threads; 0 for one a core.
    pub threads: usize,
    /// Where towers live, one name a place; tower `t` lives in place `t % places`. `cpu`: a thread pool with its share of the
    /// threads; a number: that GPU. `auto` alone: GPUs where there are any, else the CPU. More places than towers, a multiple of
    /// them, are those of several replicas of the net, one after the other, which share every batch.
    pub places: Vec<String>,
    /// What GPUs multiply in: `bf16`, `tf32` or `f32`. A CPU computes in f32.
    pub precision: String,
    /// What the plan keeps.
    #[serde(rename = "use")]
    pub purpose: Purpose,
    /// Keeps decoded images of a data set; none by default.
    #[serde(default)]
    pub cache: Option<CacheOptions>,
}

/// Which images are kept decoded, in how much memory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheOptions {
    /// Folder of the prepared data set, as requests name it.
    pub dataset: PathBuf,
    /// The most that they take.
    pub limit: CacheLimit,
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Forward, backward and updates.
    Training,
    /// Forward only, in less memory.
    Inference,
}

impl From<Purpose> for Use {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Training => Self::Training,
            Purpose::Inference => Self::Inference,
        }
    }
}

impl Options {
    /// Threads to use: what was asked for, or one a core.
    pub(crate) fn thread_count(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// What GPUs multiply in.
    pub(crate) fn precision(&self) -> Result<Precision> {
        self.precision.parse()
    }
}
