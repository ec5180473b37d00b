//! A tower on a GPU: its memory, its streams, and what its compute stream must wait for.

mod buffers;
mod parameters;
mod state;

pub(crate) use state::State;

use crate::driver::{DeviceMemory, Event, PinnedMemory, Stream};
use crate::gpu::Gpu;
use crate::layout::{CHANNELS, Place, Store, TowerLayout};
use crate::order::Order;
use crate::precision::Precision;
use crate::step::Steps;
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_network::{BufferId, ParamId, Plan, TowerPlan};
use parameters::Tensors;
use std::ops::Range;
use std::sync::Arc;

/// What goes to another GPU: packed here first where it is not in one piece, and by way of the host where the GPUs cannot
/// reach each other.
pub(crate) struct Post {
    pub(crate) outgoing: DeviceMemory,
    pub(crate) incoming: DeviceMemory,
    /// Where it waits on the host.
    pub(crate) host: Option<PinnedMemory>,
    /// `outgoing` has been read.
    pub(crate) collected: Option<Arc<Event>>,
    /// `host` has been read.
    pub(crate) delivered: Option<Arc<Event>>,
}

/// A tower's memory and streams.
pub struct CudaTower {
    /// Its number; keeps the dropout masks of towers apart.
    pub(crate) number: u32,
    pub(crate) gpu: Arc<Gpu>,
    pub(crate) compute: Stream,
    pub(crate) exchange: Stream,
    pub(crate) order: Order,
    pub(crate) layout: TowerLayout,
    plan: TowerPlan,
    arena: DeviceMemory,
    exact: DeviceMemory,
    image: DeviceMemory,
    choices: DeviceMemory,
    parameters: Vec<Tensors>,
    workspace: DeviceMemory,
    pub(crate) post: Post,
    pub(crate) labels: DeviceMemory,
    /// Images whose labels are in `labels`.
    pub(crate) labelled: usize,
    pub(crate) losses: DeviceMemory,
    pub(crate) hits: DeviceMemory,
    /// Mean loss and sum of hits.
    pub(crate) outcome: DeviceMemory,
    pub(crate) diverged: DeviceMemory,
    pub(crate) state: DeviceMemory,
    /// What `state` holds.
    pub(crate) state_now: State,
    /// The batch has been read from the GPU's staging block.
    pub(crate) loaded: Arc<Event>,
    /// Steps that were recorded and steps under way, on the first tower.
    pub(crate) steps: Steps,
}

impl CudaTower {
    /// Memory for tower `number`. `apart`: another tower lives on another GPU; `hosted`: which this one cannot reach.
    pub(crate) fn new(plan: &Plan, number: usize, gpu: &Arc<Gpu>, apart: bool, hosted: bool) -> Result<Self> {
        let context = &gpu.context;
        let layout = TowerLayout::new(plan, number, gpu.precision);
        let tower_plan = plan.towers[number].clone();
        let bytes = layout.bytes;
        let zeroed = |bytes: usize, what: &str| DeviceMemory::zeroed(context, bytes, what);
        let tensors = |index: usize| -> Result<Tensors> {
            let name = &tower_plan.parameters[index].name;
            let sizes = layout.parameter_bytes(&tower_plan, ParamId(index), gpu.precision);
            let [value, velocity, gradient, copy] =
                sizes.map(|bytes| (bytes > 0).then(|| zeroed(bytes, name)).transpose());
            let value = value?.ok_or_else(|| Error::new(INTERNAL, "a parameter without elements"))?;
            Ok(Tensors { value, velocity: velocity?, gradient: gradient?, copy: copy? })
        };
        let parameters = (0..tower_plan.parameters.len()).map(tensors).collect::<Result<_>>()?;
        let post_bytes = if apart { bytes.exchange } else { 0 };
        let host = hosted.then(|| PinnedMemory::new(context, post_bytes, "the exchange")).transpose()?;
        Ok(Self {
            number: number as u32,
            compute: Stream::new(context)?,
            exchange: Stream::new(context)?,
            order: Order::default(),
            arena: zeroed(bytes.arena, "the activations of a tower")?,
            exact: zeroed(bytes.exact, "probabilities")?,
            image: zeroed(bytes.image, "images")?,
            choices: zeroed(bytes.choices, "the choices of pools")?,
            workspace: zeroed(bytes.workspace, "working memory")?,
            post: Post {
                outgoing: zeroed(post_bytes, "the exchange")?,
                incoming: zeroed(post_bytes, "the exchange")?,
                host,
                collected: None,
                delivered: None,
            },
            labels: zeroed(bytes.scores, "labels")?,
            labelled: 0,
            losses: zeroed(bytes.scores, "losses")?,
            hits: zeroed(bytes.scores, "losses")?,
            outcome: zeroed(2 * size_of::<f32>(), "losses")?,
            diverged: zeroed(size_of::<u32>(), "losses")?,
            state: zeroed(State::BYTES, "the state of a step")?,
            state_now: State::default(),
            loaded: Arc::new(Event::new(context)?),
            steps: Steps::default(),
            parameters,
            plan: tower_plan,
            layout,
            gpu: gpu.clone(),
        })
    }

    /// Queues a kernel on the compute stream.
    pub(crate) fn queue(
        &self,
        name: &'static str,
        grid: [u32; 3],
        launch: impl FnOnce(&Gpu, &Stream, &'static str, [u32; 3]) -> Result<()>,
    ) -> Result<()> {
        launch(&self.gpu, &self.compute, name, grid)
    }

    /// Blocks until both streams have done everything.
    pub(crate) fn synchronize(&self) -> Result<()> {
        self.exchange.synchronize()?;
        self.compute.synchronize()
    }

    /// Brings the state of `pass` (and of a rule) to the GPU, outside of a recorded step.
    pub(crate) fn set_state(&mut self, state: State) -> Result<()> {
        if self.state_now != state {
            self.synchronize()?;
            self.state.write(0, &state.to_bytes())?;
            self.state_now = state;
        }
        Ok(())
    }

    fn place(&self, id: BufferId) -> Result<&Place> {
        self.layout.place(id).ok_or_else(|| Error::new(INTERNAL, format!("no buffer {}", id.0)))
    }

    /// How a buffer is stored.
    pub(crate) fn store(&self, id: BufferId) -> Result<Store> {
        self.place(id).map(|place| place.store)
    }

    fn region(&self, store: Store) -> &DeviceMemory {
        match store {
            Store::Element => &self.arena,
            Store::Exact => &self.exact,
            Store::Image(_) => &self.image,
        }
    }

    /// The addresses of `images` images of a buffer.
    pub(crate) fn range(&self, id: BufferId, images: usize) -> Result<Range<u64>> {
        let place = self.place(id)?;
        let start = self.region(place.store).at + place.offset as u64;
        Ok(start..start + (images * place.image_bytes) as u64)
    }

    /// Waits for what other streams do to a buffer before the compute stream reads or writes it.
    pub(crate) fn access(&mut self, id: BufferId, writes: bool) -> Result<()> {
        let range = self.range(id, self.layout.batch)?;
        self.order.access(&self.compute, &range, writes)
    }

    /// The address of a buffer of elements that must have `elements` an image.
    pub(crate) fn element(&self, id: BufferId, elements: usize, images: usize) -> Result<u64> {
        let wide = self.gpu.precision != Precision::Bf16;
        self.checked(id, elements, images, |store| store == Store::Element || (wide && store == Store::Exact))
    }

    /// The address of an f32 buffer.
    pub(crate) fn exact(&self, id: BufferId, elements: usize, images: usize) -> Result<u64> {
        self.checked(id, elements, images, |store| store == Store::Exact)
    }

    /// The address of what the first layer may read: elements, or the padded image.
    pub(crate) fn input(&self, id: BufferId, elements: usize, images: usize) -> Result<u64> {
        self.checked(id, elements, images, |store| store != Store::Exact)
    }

    /// Where a normalised pool that reads `input` leaves its choices, if they are kept.
    pub(crate) fn choice(&self, input: BufferId) -> Option<u64> {
        self.layout.choice(input).map(|offset| self.choices.at + offset as u64)
    }

    /// The address of the net's input and the elements of one of its positions.
    pub(crate) fn image(&self, crop: usize, images: usize) -> Result<(u64, usize)> {
        let id = self.plan.input;
        let at = self.input(id, crop * crop * CHANNELS, images)?;
        Ok((at, if let Store::Image(padding) = self.store(id)? { padding.pitch } else { CHANNELS }))
    }

    /// Forgets what other streams do and did: they have been waited for, or it was recorded and not done.
    pub(crate) fn forget(&mut self) {
        self.order.clear();
        self.post.collected = None;
        self.post.delivered = None;
    }

    fn checked(
        &self,
        id: BufferId,
        elements: usize,
        images: usize,
        accepts: impl Fn(Store) -> bool,
    ) -> Result<u64> {
        let place = self.place(id)?;
        if place.elements != elements || images > self.layout.batch || !accepts(place.store) {
            return Err(Error::new(
                INTERNAL,
                format!(
                    "an op takes {images} x {elements} elements of buffer '{}', which has {} x {} ({:?})",
                    place.name(),
                    self.layout.batch,
                    place.elements,
                    place.store
                ),
            ));
        }
        Ok(self.range(id, images)?.start)
    }

    /// Working memory of an op.
    pub(crate) fn workspace(&self, bytes: usize) -> Result<u64> {
        if bytes <= self.workspace.bytes {
            return Ok(self.workspace.at);
        }
        let have = self.workspace.bytes;
        Err(Error::new(INTERNAL, format!("an op needs {bytes} bytes of working memory; {have} were planned")))
    }
}

impl Drop for CudaTower {
    fn drop(&mut self) {
        // Work under way uses the memory that goes now. A GPU that is lost has none.
        let _ = self.synchronize();
    }
}

fn read_f32(memory: &DeviceMemory, offset: usize, out: &mut [f32]) -> Result<()> {
    let mut bytes = vec![0; size_of_val(out)];
    memory.read(offset, &mut bytes)?;
    for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *out = f32::from_ne_bytes(*bytes);
    }
    Ok(())
}

fn write_f32(memory: &DeviceMemory, offset: usize, data: &[f32]) -> Result<()> {
    let bytes: Vec<u8> = data.iter().flat_map(|value| value.to_ne_bytes()).collect();
    memory.write(offset, &bytes)
}
