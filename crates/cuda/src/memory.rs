//! How much of each GPU's memory a plan takes: what `allocate` allocates, without allocating it.

use crate::gpu::Gpu;
use crate::layout::TowerLayout;
use crate::precision::Precision;
use crate::staging::staging_bytes;
use ilsvrc_diagnostics::Error;
use ilsvrc_network::{Net, Plan, Use};
use std::sync::Arc;

/// Bytes of one GPU's memory, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Weights, velocities, gradients, and the weights in the element type of the products.
    pub parameters: usize,
    /// Maps and their gradients, sharing what they can.
    pub activations: usize,
    /// Parts of sums.
    pub workspace: usize,
    /// Batches on their way, and the mean image.
    pub input: usize,
    /// What comes from and goes to another GPU.
    pub exchange: usize,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> usize {
        self.parameters + self.activations + self.workspace + self.input + self.exchange
    }
}

/// Memory that `plan` takes on each place, where tower `t` lives in `places[t]` and places of equal number are one GPU; `summed` says
/// that it is one of several replicas, which sum their gradients.
pub fn memory(plan: &Plan, places: &[usize], precision: Precision, summed: bool) -> Vec<(usize, Memory)> {
    let apart = places.iter().any(|place| *place != places[0]);
    let mut gpus: Vec<(usize, Memory)> = Vec::new();
    for (tower, place) in places.iter().enumerate() {
        let layout = TowerLayout::new(plan, tower, precision);
        let bytes = layout.bytes;
        let index = gpus.iter().position(|(gpu, _)| gpu == place).unwrap_or_else(|| {
            gpus.push((*place, Memory { input: staging_bytes(plan), ..Memory::default() }));
            gpus.len() - 1
        });
        let memory = &mut gpus[index].1;
        memory.parameters += bytes.parameters;
        memory.parameters += if summed { layout.summed_bytes(&plan.towers[tower]) } else { 0 };
        memory.activations += bytes.arena + bytes.exact + bytes.image + bytes.choices + 3 * bytes.scores;
        memory.workspace += bytes.workspace;
        memory.exchange += if apart { 2 * bytes.exchange } else { 0 };
    }
    gpus
}

/// The largest batch up to `most` whose plan takes at most `free` bytes of each GPU, given as (place, bytes).
pub fn largest_batch(
    net: &Net,
    use_: Use,
    places: &[usize],
    precision: Precision,
    summed: bool,
    free: &[(usize, usize)],
    most: usize,
) -> usize {
    let fits = |batch: usize| {
        Plan::new(net, batch, use_).is_ok_and(|plan| {
            memory(&plan, places, precision, summed).iter().all(|(place, memory)| {
                free.iter().filter(|(other, _)| other == place).all(|(_, free)| memory.total() <= *free)
            })
        })
    };
    let (mut fitting, mut failing) = (0, most + 1);
    while failing - fitting > 1 {
        let middle = fitting.midpoint(failing);
        if fits(middle) { fitting = middle } else { failing = middle }
    }
    fitting
}

/// `error` with what the plan needs, what the GPU has, and what would fit.
pub(crate) fn does_not_fit(plan: &Plan, gpus: &[Arc<Gpu>], place: usize, error: Error) -> Error {
    let gpu = &gpus[place];
    let (Ok((_, total)), Ok(available)) = (gpu.context.memory(), gpu.context.available()) else {
        return error;
    };
    let ordinals: Vec<usize> =
        (0..plan.towers.len()).map(|tower| gpus[tower % gpus.len()].context.ordinal).collect();
    let needed = memory(plan, &ordinals, gpu.precision, false)
        .into_iter()
        .find(|(ordinal, _)| *ordinal == gpu.context.ordinal)
        .map_or(0, |(_, memory)| memory.total());
    let use_ = if plan.backward.is_empty() { Use::Inference } else { Use::Training };
    let free: Vec<(usize, usize)> =
        gpus.iter().map(|gpu| (gpu.context.ordinal, gpu.context.available().unwrap_or(0))).collect();
    let fits = largest_batch(&plan.net, use_, &ordinals, gpu.precision, false, &free, plan.batch);
    let megabytes = |bytes: usize| bytes.div_ceil(1_000_000);
    let hint = match fits {
        0 => {
            "no batch fits: use a smaller net, or stop what else uses the GPU (`nvidia-smi` lists it)".into()
        }
        fits => format!("the largest batch that fits is {fits}: `--batch {fits}`"),
    };
    Error::new(
        error.code,
        format!(
            "GPU {} is out of memory: batch {} needs {} MB there",
            gpu.context.ordinal,
            plan.batch,
            megabytes(needed)
        ),
    )
    .info(format!("{} of its {} MB are free; {}", megabytes(available), megabytes(total), error.message))
    .hint(hint)
}
