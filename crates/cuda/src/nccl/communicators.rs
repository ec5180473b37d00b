//! The sums of a replica's gradients: each GPU's with the same GPU's of the other replicas, where they lie.

use super::communicator::{Communicator, Values};
use super::library::{Nccl, UniqueId};
use crate::driver::{Context, Event, guarded};
use crate::tower::CudaTower;
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_network::{Collective, ParamId, Traffic};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The communicators of this rank's GPUs, one a GPU. The towers of a pair so stay apart: tower `t` sums with tower `t` of all
/// replicas.
pub struct Communicators {
    nccl: Arc<Nccl>,
    ranks: Arc<dyn Collective>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    joined: Vec<Arc<Communicator>>,
    /// Sums that have begun.
    under_way: Vec<UnderWay>,
    /// To be used again.
    events: Vec<(Arc<Event>, Arc<Event>)>,
    traffic: Traffic,
}

struct UnderWay {
    communicator: Arc<Communicator>,
    begun: Arc<Event>,
    done: Arc<Event>,
}

impl Communicators {
    /// None yet. `ranks` tell each other how to meet, and who is alive.
    pub fn new(nccl: Arc<Nccl>, ranks: Arc<dyn Collective>) -> Self {
        Self { nccl, ranks, state: Mutex::default() }
    }

    /// With one that is there already.
    pub(super) fn with(nccl: Arc<Nccl>, ranks: Arc<dyn Collective>, first: Arc<Communicator>) -> Self {
        let communicators = Self::new(nccl, ranks);
        communicators.state().joined.push(first);
        communicators
    }

    /// Brings those of `gpus` that have no communicator yet together with the other ranks' GPUs. All ranks name as many GPUs, and
    /// make the same calls.
    ///
    /// # Errors
    /// `GPU_SHARED` where two ranks name one GPU, `RANK_LOST`, `NCCL_FAILED`; those of opening a GPU.
    pub fn join(&self, gpus: &[usize]) -> Result<()> {
        guarded(|| {
            for gpu in gpus {
                if self.of(*gpu).is_ok() {
                    continue;
                }
                let id = self.tell_id()?;
                let place = (self.ranks.rank(), self.ranks.size());
                let expect_alive = || self.ranks.expect_alive();
                let joined = Communicator::join(&self.nccl, &Context::open(*gpu)?, id, place, &expect_alive)?;
                self.state().joined.push(joined);
            }
            Ok(())
        })
    }

    /// As `2.27.3`.
    pub fn version(&self) -> String {
        self.nccl.version()
    }

    /// What all sums of gradients have moved, and the time that they took on the GPUs, waiting for other ranks included.
    pub fn traffic(&self) -> Traffic {
        self.state().traffic
    }

    /// Parts from the other ranks, which do so too. Nothing can be summed any more.
    pub fn leave(&self) {
        let left = std::mem::take(&mut *self.state());
        drop(left);
    }

    /// Ends the sums under way, so that the GPUs can be waited for. What they would have summed is void, and nothing can be summed any
    /// more.
    pub fn abort(&self, reason: &Error) {
        self.state().joined.iter().for_each(|joined| joined.abort(reason));
    }

    /// A new id that rank 0 makes and all hear: its bytes are whole numbers, so their sums are exact.
    fn tell_id(&self) -> Result<UniqueId> {
        let mut own = UniqueId([0; 128]);
        if self.ranks.rank() == 0 {
            own = self.nccl.unique_id()?;
        }
        let told = self.ranks.sum_exact(own.0.map(f64::from).to_vec())?;
        let mut id = UniqueId([0; 128]);
        id.0.iter_mut().zip(told).for_each(|(byte, told)| *byte = told as u8);
        Ok(id)
    }

    fn of(&self, gpu: usize) -> Result<Arc<Communicator>> {
        let state = self.state();
        let found = state.joined.iter().find(|joined| joined.context.ordinal == gpu);
        found
            .cloned()
            .ok_or_else(|| Error::new(INTERNAL, format!("GPU {gpu} has not joined the other ranks'")))
    }

    /// Queues the sum of `share` times these gradients behind what the tower's compute stream was given; with a share of 0, zeros
    /// are added, whatever the gradients are. What reads them on that stream from now on waits for it.
    pub(crate) fn begin(&self, tower: &mut CudaTower, parameters: &[ParamId], share: f32) -> Result<()> {
        let communicator = self.of(tower.gpu.context.ordinal)?;
        tower.gpu.context.bind()?;
        let mut tensors: Vec<Values> = Vec::with_capacity(parameters.len());
        for id in parameters {
            tensors.push(tower.whole_gradient(*id)?);
        }
        let bytes = |elements: usize| elements * size_of::<f32>();
        if share == 0.0 {
            tensors.iter().try_for_each(|(at, elements)| tower.compute.clear(*at, bytes(*elements)))?;
        }
        let ready = tower.order.event(&tower.gpu.context)?;
        tower.compute.record(&ready)?;
        communicator.stream.wait(&ready)?;
        tower.order.take_back(ready);
        let (begun, done) = self.events(&communicator)?;
        communicator.stream.record(&begun)?;
        communicator.sum_scaled(&tensors, share)?;
        communicator.stream.record(&done)?;
        let mut state = self.state();
        for (at, elements) in tensors {
            tower.order.add(at..at + bytes(elements) as u64, true, &done);
            state.traffic.bytes += bytes(elements) as u64;
        }
        state.traffic.calls += 1;
        state.under_way.push(UnderWay { communicator, begun, done });
        Ok(())
    }

    /// Waits for all sums that have begun.
    pub(crate) fn end(&self) -> Result<()> {
        let under_way = std::mem::take(&mut self.state().under_way);
        for UnderWay { communicator, begun, done } in under_way {
            if let Err(error) = communicator.wait(&done, &|| self.ranks.expect_alive()) {
                // Those of the other towers would wait, too, and their memory could never be given back.
                self.abort(&error);
                return Err(error);
            }
            let mut state = self.state();
            state.traffic.seconds += done.seconds_since(&begun)?;
            state.events.push((begun, done));
        }
        Ok(())
    }

    /// Two events of the communicator's GPU that nothing waits for.
    fn events(&self, communicator: &Communicator) -> Result<(Arc<Event>, Arc<Event>)> {
        let events = &mut self.state().events;
        let context = &communicator.context;
        match events.iter().position(|(begun, _)| Arc::ptr_eq(begun.context(), context)) {
            Some(index) => Ok(events.swap_remove(index)),
            None => Ok((Arc::new(Event::timed(context)?), Arc::new(Event::timed(context)?))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
