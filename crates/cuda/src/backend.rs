//! The backend: GPUs as places, and the towers' memory on them.

use crate::driver::{PinnedMemory, guarded};
use crate::exchange::exchange;
use crate::gpu::Gpu;
use crate::launch::{run, update_all};
use crate::memory::does_not_fit;
use crate::nccl::Communicators;
use crate::precision::Precision;
use crate::staging::Staging;
use crate::step;
use crate::tower::CudaTower;
use ilsvrc_diagnostics::{Error, INTERNAL, OUT_OF_MEMORY, Result};
use ilsvrc_network::{
    Backend, BufferId, Exchange, Input, Net, NewMemory, Op, Outcome, ParamId, Pass, Plan, Slot, Step,
    UpdateRule,
};
use std::ops::DerefMut;
use std::sync::{Arc, PoisonError};

/// Executes plans on NVIDIA GPUs. Each place is a GPU; two places may be the same one.
pub struct CudaBackend {
    /// The GPU of each place.
    places: Vec<Arc<Gpu>>,
    /// GPUs reach each other's memory.
    pub(crate) peers: bool,
    /// Where this is one of several ranks that sum their gradients on the GPUs.
    sums: Option<Arc<Communicators>>,
}

/// How towers on different places exchange maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// They are on one GPU.
    SameGpu,
    /// From GPU to GPU.
    Peer,
    /// By way of pinned memory of the host.
    Host,
}

impl CudaBackend {
    /// Opens the GPUs that `places` name by their numbers and loads the kernels for `precision`.
    ///
    /// # Errors
    /// `DRIVER_ABSENT`, `DRIVER_TOO_OLD`, `DEVICE_UNUSABLE`, `GPU_TOO_OLD`, `NO_KERNELS`.
    pub fn new(places: &[usize], precision: Precision) -> Result<Self> {
        guarded(|| {
            let mut gpus: Vec<Arc<Gpu>> = Vec::new();
            for &ordinal in places {
                let open = gpus.iter().find(|gpu| gpu.context.ordinal == ordinal).cloned();
                gpus.push(open.map_or_else(|| Gpu::open(ordinal, precision), Ok)?);
            }
            let mut peers = true;
            for from in &gpus {
                for to in gpus.iter().filter(|to| !Arc::ptr_eq(from, to)) {
                    peers &= from.context.reach(&to.context)?;
                }
            }
            Ok(Self { places: gpus, peers, sums: None })
        })
    }

    /// The same as one of several ranks: their gradients are summed by `communicators`, which have these GPUs.
    pub fn among(self, communicators: Arc<Communicators>) -> Self {
        Self { sums: Some(communicators), ..self }
    }

    /// How towers on these places exchange maps.
    pub fn route(&self) -> Route {
        if self.places.iter().all(|gpu| Arc::ptr_eq(gpu, &self.places[0])) {
            Route::SameGpu
        } else if self.peers {
            Route::Peer
        } else {
            Route::Host
        }
    }
}

impl Backend for CudaBackend {
    type Tower = CudaTower;

    const QUEUES: bool = true;

    fn host_memory(&self) -> NewMemory {
        let context = self.places[0].context.clone();
        Arc::new(move |bytes| {
            guarded(|| Ok(Box::new(PinnedMemory::new(&context, bytes, "batches")?)))
                .map(|memory| memory as Box<dyn DerefMut<Target = [u8]> + Send + Sync>)
        })
    }

    fn allocate(&self, plan: &Plan, tower: usize, place: usize) -> Result<CudaTower> {
        let (Some(gpu), true) = (self.places.get(place), tower < plan.towers.len()) else {
            return Err(Error::new(INTERNAL, format!("tower {tower} on place {place} does not exist")));
        };
        guarded(|| {
            let route = self.route();
            let allocated = CudaTower::new(plan, tower, gpu, route != Route::SameGpu, route == Route::Host);
            let allocated = allocated.and_then(|tower| {
                let mut staging = gpu.staging.lock().unwrap_or_else(PoisonError::into_inner);
                if staging.is_none() {
                    *staging = Some(Staging::new(&gpu.copy, plan)?);
                }
                Ok(tower)
            });
            allocated.map_err(|error| {
                if error.code == OUT_OF_MEMORY {
                    does_not_fit(plan, &self.places, place, error)
                } else {
                    error
                }
            })
        })
    }

    fn load(&self, towers: &mut [CudaTower], net: &Net, input: &Input) -> Result<()> {
        guarded(|| step::load(towers, net, input))
    }

    fn run(&self, tower: &mut CudaTower, ops: &[Op], pass: &Pass) -> Result<()> {
        guarded(|| {
            tower.gpu.context.bind()?;
            tower.set_state(tower.state_now.with_pass(pass))?;
            ops.iter().try_for_each(|op| run(tower, op, pass))
        })
    }

    fn exchange(&self, towers: &mut [CudaTower], meeting: &Exchange, pass: &Pass) -> Result<()> {
        guarded(|| exchange(towers, meeting, pass.batch, self.peers))
    }

    fn sums_gradients(&self) -> bool {
        self.sums.is_some()
    }

    fn begin_sum(&self, tower: &mut CudaTower, parameters: &[ParamId], share: f32) -> Result<()> {
        let alone = || Error::new(INTERNAL, "sums over the ranks of one process");
        guarded(|| self.sums.as_ref().ok_or_else(alone)?.begin(tower, parameters, share))
    }

    fn end_sums(&self) -> Result<()> {
        guarded(|| self.sums.as_ref().map_or(Ok(()), |sums| sums.end()))
    }

    fn update(&self, tower: &mut CudaTower, rule: &UpdateRule) -> Result<()> {
        guarded(|| {
            tower.gpu.context.bind()?;
            tower.set_state(tower.state_now.with_rule(rule))?;
            update_all(tower, true)
        })
    }

    fn begin_step(&self, step: Step<CudaTower>) -> Result<Option<Outcome>> {
        guarded(|| step::begin(self, step).map(|()| None))
    }

    fn end_step(&self, towers: &mut [CudaTower]) -> Result<Outcome> {
        guarded(|| step::end(towers))
    }

    fn read_buffer(&self, tower: &CudaTower, buffer: BufferId, out: &mut [f32]) -> Result<()> {
        guarded(|| tower.read_buffer(buffer, out))
    }

    fn write_buffer(&self, tower: &mut CudaTower, buffer: BufferId, data: &[f32]) -> Result<()> {
        guarded(|| tower.write_buffer(buffer, data))
    }

    fn read_parameter(&self, tower: &CudaTower, id: ParamId, slot: Slot, out: &mut [f32]) -> Result<()> {
        guarded(|| tower.read_parameter(id, slot, out))
    }

    fn write_parameter(&self, tower: &mut CudaTower, id: ParamId, slot: Slot, data: &[f32]) -> Result<()> {
        guarded(|| tower.write_parameter(id, slot, data))
    }
}
