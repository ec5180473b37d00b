//! Where a net works: from the places that were asked for to a backend that has them.

use crate::among::{self, Among};
use crate::places::{CPU, Places, resolve};
use crate::ranks::Ranks;
use crate::{Options, Purpose, replicas};
use ilsvrc_cpu::CpuBackend;
use ilsvrc_cuda::{CudaBackend, Route};
use ilsvrc_diagnostics::{DEVICE_UNUSABLE, Error, NET_INVALID, OUT_OF_MEMORY, Result};
use ilsvrc_images::CacheSize;
use ilsvrc_network::{Backend, Execution, Executor, Plan};
use serde::Serialize;

/// Where a net works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// One for each place that was asked for, replica by replica.
    pub places: Vec<Place>,
    /// How towers exchange maps: `none` for one tower, `memory` of the host, `same device`, `peer`, or `host` for GPUs that do
    /// not reach each other's memory.
    pub exchange: &'static str,
    /// What products are computed in.
    pub precision: &'static str,
    /// Why `auto` did not take a GPU that is there.
    pub notice: Option<String>,
    /// Of several ranks, or replicas of this process, that train on GPUs.
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
    /// The replica of the net that is there; 0 where there is one.
    pub replica: usize,
    /// The towers of it that live there.
    pub towers: Vec<usize>,
}

/// Plans the net and allocates its towers where the options say; where these have places for several replicas, all of them.
pub(crate) fn open(options: &Options, ranks: &Ranks) -> Result<(Box<dyn Execution>, Layout)> {
    if options.batch == 0 {
        return Err(Error::new(NET_INVALID, "a batch of 0 images; it must be at least 1"));
    }
    let towers = options.net.towers;
    let (places, notice) = resolve(&options.places, towers, options.thread_count(), ranks.local)?;
    let count = places.count();
    let all = places.replicas(towers);
    let (executor, layout) = match &all[..] {
        [only] => open_in(options, only, ranks)?,
        _ if ranks.place().1 == 1 => replicas::open(options, all)?,
        _ => return Err(too_many(count, towers)),
    };
    Ok((executor, Layout { notice, ..layout }))
}

fn too_many(devices: usize, towers: usize) -> Error {
    let of = if towers == 1 { "one tower".into() } else { format!("{towers} towers") };
    Error::new(DEVICE_UNUSABLE, format!("{devices} devices for one of several ranks, whose net has {of}"))
        .info("a rank has one replica of the net, and each tower of it lives on one device")
        .hint("start more ranks, which deal out the devices, or one process without a launcher, which has a replica for each")
}

/// The same in the places of one replica. A rank's plan is for its part of a batch of training.
pub(crate) fn open_in(
    options: &Options,
    places: &Places,
    ranks: &Ranks,
) -> Result<(Box<dyn Execution>, Layout)> {
    let met = among::meet(places, options, ranks)?;
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
            let precision = "f32";
            let layout = Layout { places, exchange, precision, notice: None, among: None, cache: None };
            Ok((execute(CpuBackend::new(threads)?, plan, &of_tower, ranks)?, layout))
        }
        Places::Gpus(gpus) => {
            let (among, sums) = met.unzip();
            let backend = CudaBackend::new(gpus, options.precision()?)?;
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
            let layout = Layout { places, exchange, precision, notice: None, among, cache: None };
            let executor =
                execute(backend, plan, &of_tower, ranks).map_err(|error| of_a_part(error, ranks))?;
            Ok((executor, layout))
        }
    }
}

/// A GPU that is out of memory says which batch fits, but knows nothing of replicas that share it.
fn of_a_part(error: Error, ranks: &Ranks) -> Error {
    match ranks.place().1 {
        size if size > 1 && error.code == OUT_OF_MEMORY => error.hint(format!(
            "each of {size} replicas has its part of a step's batch: take a smaller `--batch`, or more devices; `ilsvrc estimate` says what fits"
        )),
        _ => error,
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
pub(crate) fn towers_at(towers: usize, places: usize) -> Vec<usize> {
    (0..towers).map(|tower| tower % places).collect()
}

fn list(devices: Vec<(String, String)>, of_tower: &[usize]) -> Vec<Place> {
    let towers = |place: usize| (0..of_tower.len()).filter(|tower| of_tower[*tower] == place).collect();
    devices
        .into_iter()
        .enumerate()
        .map(|(place, (name, device))| Place { name, device, replica: 0, towers: towers(place) })
        .collect()
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
