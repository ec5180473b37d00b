//! Where a net works: from the places that were asked for to a backend that has them.

use crate::among::{self, Among};
use crate::places::{ALONE, CPU, Places, resolve};
use crate::ranks::Ranks;
use crate::{Options, Purpose};
use ilsvrc_cpu::CpuBackend;
use ilsvrc_cuda::{CudaBackend, Precision, Route};
use ilsvrc_diagnostics::{Error, NET_INVALID, Result};
use ilsvrc_images::{CacheSize, available_memory};
use ilsvrc_network::{Backend, Execution, Executor, Net, Plan, Use};
use serde::{Deserialize, Serialize};

/// Where a net works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// One for each place that was asked for.
    pub places: Vec<Place>,
    /// How towers exchange maps: `none` for one tower, `memory` of the host, `same device`, `peer`, or `host` for GPUs that do
    /// not reach each other's memory.
    pub exchange: &'static str,
    /// What products are computed in.
    pub precision: &'static str,
    /// Why `auto` did not take a GPU that is there.
    pub notice: Option<String>,
    /// Of several ranks that train on GPUs.
    pub among: Option<Among>,
    /// What fits into the cache of decoded images, where there is one.
    pub cache: Option<CacheSize>,
}

/// A place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// `cpu`, or the number of a GPU.
    pub name: String,
    /// What it is.
    pub device: String,
    /// The towers that live there.
    pub towers: Vec<usize>,
}

/// Plans the net and allocates its towers where the options say. A rank's plan is for its part of a batch of training.
pub(crate) fn open(options: &Options, ranks: &Ranks) -> Result<(Box<dyn Execution>, Layout)> {
    if options.batch == 0 {
        return Err(Error::new(NET_INVALID, "a batch of 0 images; it must be at least 1"));
    }
    let (places, notice) = resolve(&options.places, options.net.towers, options.thread_count(), ranks.local)?;
    let met = among::meet(&places, options, ranks)?;
    let batch = match options.purpose {
        Purpose::Training => options.batch.div_ceil(ranks.place().1),
        Purpose::Inference => options.batch,
    };
    let plan = Plan::new(&options.net, batch, options.purpose.into())?;
    let of_tower = towers_at(options.net.towers, places.count());
    match places {
        Places::Cpu(threads) => {
            let set = ilsvrc_cpu::instruction_set();
            let device = |threads: &usize| {
                format!("{set}, {threads} {}", if *threads == 1 { "thread" } else { "threads" })
            };
            let exchange = if options.net.towers == 1 { "none" } else { "memory" };
            let devices = threads.iter().map(device).map(|device| (CPU.to_string(), device)).collect();
            let places = list(devices, &of_tower);
            let layout = Layout { places, exchange, precision: "f32", notice, among: None, cache: None };
            Ok((execute(CpuBackend::new(&threads)?, plan, &of_tower, ranks)?, layout))
        }
        Places::Gpus(gpus) => {
            let (among, sums) = met.unzip();
            let backend = CudaBackend::new(&gpus, options.precision()?)?;
            let backend = match sums.flatten() {
                Some(sums) => backend.among(sums),
                None => backend,
            };
            let exchange = match backend.route() {
                _ if options.net.towers == 1 => "none",
                Route::SameGpu => "same device",
                Route::Peer => "peer",
                Route::Host => "host",
            };
            let all = ilsvrc_cuda::devices()?;
            let name = |gpu: &usize| (gpu.to_string(), all[*gpu].name.clone());
            let places = list(gpus.iter().map(name).collect(), &of_tower);
            let precision = options.precision()?.name();
            let layout = Layout { places, exchange, precision, notice, among, cache: None };
            Ok((execute(backend, plan, &of_tower, ranks)?, layout))
        }
    }
}

fn execute<B>(backend: B, plan: Plan, of_tower: &[usize], ranks: &Ranks) -> Result<Box<dyn Execution>>
where
    B: Backend + 'static,
{
    let executor = Executor::new(backend, plan, of_tower)?;
    Ok(match &ranks.collective {
        None => Box::new(executor),
        Some(ranks) => Box::new(executor.among(ranks.clone())?),
    })
}

/// The place of each tower.
fn towers_at(towers: usize, places: usize) -> Vec<usize> {
    (0..towers).map(|tower| tower % places).collect()
}

fn list(devices: Vec<(String, String)>, of_tower: &[usize]) -> Vec<Place> {
    let towers = |place: usize| (0..of_tower.len()).filter(|tower| of_tower[*tower] == place).collect();
    devices
        .into_iter()
        .enumerate()
        .map(|(place, (name, device))| Place { name, device, towers: towers(place) })
        .collect()
}

/// What to predict the memory of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryRequest {
    /// The network.
    pub net: Net,
    /// The most images of a pass.
    pub batch: usize,
    /// As in [`Options::places`].
    pub places: Vec<String>,
    /// As in [`Options::precision`].
    pub precision: String,
    /// `training` or `inference`.
    #[serde(rename = "use")]
    pub purpose: crate::Purpose,
}

/// Memory that a net takes, device by device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// One for each device.
    pub places: Vec<PlaceMemory>,
    /// The largest batch that fits what is free on all of them; unknown where that is.
    pub largest_batch: Option<usize>,
}

/// Memory of one device, in bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlaceMemory {
    /// `cpu`, or the number of a GPU.
    pub name: String,
    /// What it is; unknown for a GPU that is not here.
    pub device: Option<String>,
    /// Weights, velocities, gradients and copies of weights.
    pub parameters_bytes: usize,
    /// Maps and their gradients.
    pub activations_bytes: usize,
    /// Working memory of ops.
    pub workspace_bytes: usize,
    /// Batches on their way.
    pub input_bytes: usize,
    /// What comes from and goes to other devices.
    pub exchange_bytes: usize,
    /// All of it.
    pub total_bytes: usize,
    /// What nobody uses now, where that is known.
    pub free_bytes: Option<usize>,
}

/// Batches above this are not looked for.
const LARGEST_BATCH: usize = 1 << 14;

/// Predicts memory without allocating any.
///
/// # Errors
/// `NET_INVALID`, `DEVICE_UNUSABLE`.
pub fn memory(request: &MemoryRequest) -> Result<Memory> {
    let precision: Precision = request.precision.parse()?;
    let towers = request.net.towers;
    let use_ = Use::from(request.purpose);
    let plan = Plan::new(&request.net, request.batch, use_)?;
    match resolve(&request.places, towers, 1, ALONE)?.0 {
        Places::Cpu(_) => Ok(cpu_memory(&request.net, &plan, use_)),
        Places::Gpus(gpus) => {
            let of_tower: Vec<usize> =
                towers_at(towers, gpus.len()).into_iter().map(|place| gpus[place]).collect();
            let here = ilsvrc_cuda::devices().unwrap_or_default();
            let free: Vec<(usize, usize)> =
                here.iter().filter_map(|device| Some((device.ordinal, device.free?))).collect();
            let known = of_tower.iter().all(|gpu| free.iter().any(|(ordinal, _)| ordinal == gpu));
            let place = |(gpu, memory): (usize, ilsvrc_cuda::Memory)| PlaceMemory {
                name: gpu.to_string(),
                device: here.get(gpu).map(|device| device.name.clone()),
                parameters_bytes: memory.parameters,
                activations_bytes: memory.activations,
                workspace_bytes: memory.workspace,
                input_bytes: memory.input,
                exchange_bytes: memory.exchange,
                total_bytes: memory.total(),
                free_bytes: here.get(gpu).and_then(|device| device.free),
            };
            let largest =
                || ilsvrc_cuda::largest_batch(&request.net, use_, &of_tower, precision, &free, LARGEST_BATCH);
            Ok(Memory {
                places: ilsvrc_cuda::memory(&plan, &of_tower, precision).into_iter().map(place).collect(),
                largest_batch: known.then(largest),
            })
        }
    }
}

/// On a CPU all towers share one memory. The working memory of its threads is small beside the rest and left out.
fn cpu_memory(net: &Net, plan: &Plan, use_: Use) -> Memory {
    let bytes = |plan: &Plan| {
        let parameters: usize =
            plan.towers.iter().flat_map(|tower| &tower.parameters).map(|parameter| parameter.len()).sum();
        let activations: usize = plan.towers.iter().map(|tower| tower.arena).sum();
        // Values, velocities and gradients.
        (
            3 * parameters * size_of::<f32>(),
            activations * size_of::<f32>(),
            plan.batch * net.crop * net.crop * 3,
        )
    };
    let total = |plan: &Plan| {
        let (parameters, activations, input) = bytes(plan);
        parameters + activations + input
    };
    let (parameters_bytes, activations_bytes, input_bytes) = bytes(plan);
    let free_bytes = available_memory().map(|bytes| bytes as usize);
    let largest = free_bytes.map(|free| {
        let fits = |batch: usize| Plan::new(net, batch, use_).is_ok_and(|plan| total(&plan) <= free);
        let (mut fitting, mut failing) = (0, LARGEST_BATCH + 1);
        while failing - fitting > 1 {
            let middle = usize::midpoint(fitting, failing);
            if fits(middle) { fitting = middle } else { failing = middle }
        }
        fitting
    });
    let place = PlaceMemory {
        name: CPU.into(),
        device: Some(ilsvrc_cpu::instruction_set().into()),
        parameters_bytes,
        activations_bytes,
        workspace_bytes: 0,
        input_bytes,
        exchange_bytes: 0,
        total_bytes: total(plan),
        free_bytes,
    };
    Memory { places: vec![place], largest_batch: largest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towers_share_a_place_or_have_their_own() {
        assert_eq!(towers_at(2, 1), [0, 0]);
        assert_eq!(towers_at(2, 2), [0, 1]);
    }
}
