//! How much memory a net takes, device by device, before it is opened.

use crate::Purpose;
use crate::devices::towers_at;
use crate::places::{ALONE, CPU, Places, resolve};
use ilsvrc_cuda::Precision;
use ilsvrc_diagnostics::Result;
use ilsvrc_images::available_memory;
use ilsvrc_network::{Net, Plan, Use};
use serde::{Deserialize, Serialize};

/// What to predict the memory of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryRequest {
    /// The network.
    pub net: Net,
    /// Images of a training step, of all replicas together; for inference the most images of a pass.
    pub batch: usize,
    /// As in [`crate::Options::places`].
    pub places: Vec<String>,
    /// As in [`crate::Options::precision`].
    pub precision: String,
    /// `training` or `inference`.
    #[serde(rename = "use")]
    pub purpose: Purpose,
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
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    /// What comes from and goes to other devices and, on a CPU, other replicas.
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
    let replicas = resolve(&request.places, towers, 1, ALONE)?.0.replicas(towers);
    // Replicas share the batch of a step, and each makes a whole pass of its own.
    let sharing = if request.purpose == Purpose::Training { replicas.len() } else { 1 };
    let plan = Plan::new(&request.net, request.batch.div_ceil(sharing), request.purpose.into())?;
    let gpus_of = |replica: &Places| match replica {
        Places::Cpu(_) => None,
        Places::Gpus(gpus) => {
            Some(towers_at(towers, gpus.len()).into_iter().map(|place| gpus[place]).collect())
        }
    };
    let of_part = match replicas.iter().map(gpus_of).collect::<Option<Vec<Vec<usize>>>>() {
        None => cpu_memory(&plan, replicas.len()),
        Some(gpus) => gpu_memory(&plan, &gpus, precision),
    };
    let largest_batch = of_part.largest_batch.map(|part| sharing * part);
    Ok(Memory { largest_batch, ..of_part })
}

/// Of replicas whose towers are on these GPUs; the largest batch is that of each.
fn gpu_memory(plan: &Plan, replicas: &[Vec<usize>], precision: Precision) -> Memory {
    let here = ilsvrc_cuda::devices().unwrap_or_default();
    let free = |gpu: usize| here.get(gpu).and_then(|device| device.free);
    let summed = replicas.len() > 1;
    let mut places: Vec<PlaceMemory> = Vec::new();
    for (gpu, memory) in replicas.iter().flat_map(|gpus| ilsvrc_cuda::memory(plan, gpus, precision, summed)) {
        let name = gpu.to_string();
        let index = places.iter().position(|place| place.name == name).unwrap_or_else(|| {
            let device = here.get(gpu).map(|device| device.name.clone());
            places.push(PlaceMemory { name, device, free_bytes: free(gpu), ..PlaceMemory::default() });
            places.len() - 1
        });
        let place = &mut places[index];
        place.parameters_bytes += memory.parameters;
        place.activations_bytes += memory.activations;
        place.workspace_bytes += memory.workspace;
        place.input_bytes += memory.input;
        place.exchange_bytes += memory.exchange;
        place.total_bytes += memory.total();
    }
    // Of a GPU that several replicas share each has as much.
    let share =
        |gpu: usize| Some((gpu, free(gpu)? / replicas.iter().filter(|gpus| gpus.contains(&gpu)).count()));
    let largest_of = |gpus: &Vec<usize>| {
        let free = gpus.iter().map(|gpu| share(*gpu)).collect::<Option<Vec<_>>>()?;
        Some(ilsvrc_cuda::largest_batch(
            &plan.net,
            use_of(plan),
            gpus,
            precision,
            summed,
            &free,
            LARGEST_BATCH,
        ))
    };
    let largest = replicas.iter().map(largest_of).collect::<Option<Vec<_>>>();
    Memory { places, largest_batch: largest.and_then(|all| all.into_iter().min()) }
}

/// On a CPU all towers of all replicas share one memory. The working memory of its threads is small beside the rest and left out.
fn cpu_memory(plan: &Plan, replicas: usize) -> Memory {
    let of = |plan: &Plan| {
        let parameters: usize =
            plan.towers.iter().flat_map(|tower| &tower.parameters).map(|parameter| parameter.len()).sum();
        let activations: usize = plan.towers.iter().map(|tower| tower.arena).sum();
        let parameters = replicas * parameters * size_of::<f32>();
        let mut place = PlaceMemory {
            name: CPU.into(),
            device: Some(ilsvrc_cpu::instruction_set().into()),
            // Values, velocities and gradients.
            parameters_bytes: 3 * parameters,
            activations_bytes: replicas * activations * size_of::<f32>(),
            input_bytes: replicas * plan.batch * plan.net.crop * plan.net.crop * 3,
            // Gradients on their way.
            exchange_bytes: if replicas > 1 && !plan.backward.is_empty() { parameters } else { 0 },
            free_bytes: available_memory().map(|bytes| bytes as usize),
            ..PlaceMemory::default()
        };
        place.total_bytes =
            place.parameters_bytes + place.activations_bytes + place.input_bytes + place.exchange_bytes;
        place
    };
    let place = of(plan);
    let largest = place.free_bytes.map(|free| {
        let fits = |batch: usize| {
            Plan::new(&plan.net, batch, use_of(plan)).is_ok_and(|plan| of(&plan).total_bytes <= free)
        };
        let (mut fitting, mut failing) = (0, LARGEST_BATCH + 1);
        while failing - fitting > 1 {
            let middle = usize::midpoint(fitting, failing);
            if fits(middle) { fitting = middle } else { failing = middle }
        }
        fitting
    });
    Memory { places: vec![place], largest_batch: largest }
}

fn use_of(plan: &Plan) -> Use {
    if plan.backward.is_empty() { Use::Inference } else { Use::Training }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ilsvrc_network::examples;

    fn of(places: &[&str], batch: usize, purpose: Purpose) -> Memory {
        let places = places.iter().map(|place| place.to_string()).collect();
        let precision = "bf16".into();
        memory(&MemoryRequest { net: examples::alexnet(), batch, places, precision, purpose }).unwrap()
    }

    /// Bytes that a GPU alone need not keep, because it updates dense weights by their gradients as it makes them.
    fn dense_gradients(tower: usize) -> usize {
        let plan = Plan::new(&examples::alexnet(), 64, Use::Training).unwrap();
        let weights = plan.towers[tower].parameters.iter().filter(|parameter| !parameter.bias);
        let dense = weights.filter(|weight| weight.name.contains(".fc"));
        size_of::<f32>() * dense.map(|weight| weight.len()).sum::<usize>()
    }

    #[test]
    fn replicas_share_a_step_and_each_has_a_net() {
        // GPUs of numbers that no machine has: they need not be there.
        let pair = of(&["100", "101"], 64, Purpose::Training);
        let two = of(&["100", "101", "102", "103"], 128, Purpose::Training);
        let names: Vec<_> = two.places.iter().map(|place| &place.name[..]).collect();
        assert_eq!(names, ["100", "101", "102", "103"]);
        let unnamed = |place: &PlaceMemory| PlaceMemory { name: String::new(), ..place.clone() };
        for (index, place) in two.places.iter().enumerate() {
            let (tower, mut expected) = (index % 2, unnamed(&pair.places[index % 2]));
            expected.parameters_bytes += dense_gradients(tower);
            expected.total_bytes += dense_gradients(tower);
            assert_eq!(unnamed(place), expected);
        }
        assert_eq!(two.largest_batch, None);
        // A pass for inference is one replica's.
        let pair = of(&["100", "101"], 64, Purpose::Inference);
        let two = of(&["100", "101", "102", "103"], 64, Purpose::Inference);
        assert_eq!(unnamed(&two.places[2]), unnamed(&pair.places[0]));
    }

    #[test]
    fn replicas_in_one_place_add_up() {
        let one = &of(&["100"], 64, Purpose::Training).places[0];
        let two = of(&["100"; 4], 128, Purpose::Training);
        let replica = one.total_bytes + dense_gradients(0) + dense_gradients(1);
        assert_eq!((two.places.len(), two.places[0].total_bytes), (1, 2 * replica));
        let one = of(&["cpu", "cpu"], 64, Purpose::Training).places.remove(0);
        let two = of(&["cpu"; 4], 128, Purpose::Training).places.remove(0);
        assert_eq!(two.activations_bytes, 2 * one.activations_bytes);
        assert_eq!(two.parameters_bytes, 2 * one.parameters_bytes);
        assert_eq!((one.exchange_bytes, two.exchange_bytes), (0, two.parameters_bytes / 3));
        assert_eq!(two.total_bytes, 2 * one.total_bytes + two.exchange_bytes);
    }

    #[test]
    fn the_largest_batch_is_of_all_replicas() {
        let largest = |places: &[&str]| of(places, 128, Purpose::Training).largest_batch;
        let Some(two) = largest(&["cpu"; 4]) else { return };
        assert!(two > 0 && two.is_multiple_of(2), "{two}");
    }
}
