//! A tower on a GPU: its memory, its streams, and what its compute stream must wait for.

use crate::bf16;
use crate::driver::{DeviceMemory, Event, PinnedMemory, Stream};
use crate::gpu::{Gpu, launch};
use crate::launch::{THREADS, blocks, element};
use crate::layout::{CHANNELS, Place, Store, TowerLayout};
use crate::order::Order;
use crate::precision::Precision;
use crate::step::Steps;
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_network::{BufferId, Mode, ParamId, Parameter, Pass, Plan, Slot, TowerPlan, UpdateRule};
use std::ops::Range;
use std::sync::Arc;

/// `struct State` of the kernels: what changes from step to step, in device memory so that a recorded step stays valid.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub(crate) struct State {
    seed: u64,
    step: u64,
    rate: f32,
    momentum: f32,
    decay: f32,
    unused: u32,
}

impl State {
    pub(crate) const BYTES: usize = size_of::<Self>();

    /// The same with the random numbers of `pass`.
    pub(crate) fn with_pass(self, pass: &Pass) -> Self {
        match pass.mode {
            Mode::Train { seed, step } => Self { seed, step, ..self },
            Mode::Test => self,
        }
    }

    /// The same with a learning rule.
    pub(crate) fn with_rule(self, rule: &UpdateRule) -> Self {
        Self { rate: rule.rate, momentum: rule.momentum, decay: rule.decay, ..self }
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.seed.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.step.to_ne_bytes());
        for (bytes, value) in bytes[16..28].chunks_exact_mut(4).zip([self.rate, self.momentum, self.decay]) {
            bytes.copy_from_slice(&value.to_ne_bytes());
        }
        bytes
    }
}

/// The tensors of a parameter. Velocity and gradient are there when the plan trains, or once they are asked for.
struct Tensors {
    value: DeviceMemory,
    velocity: Option<DeviceMemory>,
    gradient: Option<DeviceMemory>,
    /// The values as products read them: in another element type, or with padded rows.
    copy: Option<DeviceMemory>,
}

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

    // Parameters.

    pub(crate) fn parameter_count(&self) -> usize {
        self.parameters.len()
    }

    fn parameter(&self, id: ParamId) -> Result<&Parameter> {
        self.plan.parameters.get(id.0).ok_or_else(|| Error::new(INTERNAL, format!("no parameter {}", id.0)))
    }

    /// Elements of a parameter.
    pub(crate) fn len(&self, id: ParamId) -> usize {
        self.plan.parameters[id.0].len()
    }

    /// Factor of the learning rate, and the layer's own decay (negative where it has none).
    pub(crate) fn learning(&self, id: ParamId) -> (f32, f32) {
        let parameter = &self.plan.parameters[id.0];
        let learning = parameter.learning;
        if parameter.bias {
            (learning.bias_rate, 0.0)
        } else {
            (learning.weight_rate, learning.decay.unwrap_or(-1.0))
        }
    }

    /// The address of the values, which must be `len`.
    pub(crate) fn values(&self, id: ParamId, len: usize) -> Result<u64> {
        let have = self.parameter(id)?.len();
        if have == len {
            return Ok(self.parameters[id.0].value.at);
        }
        Err(Error::new(
            INTERNAL,
            format!("an op takes {len} elements of parameter {}, which has {have}", id.0),
        ))
    }

    /// The address of the weights as products read them: `outputs` columns.
    pub(crate) fn weights(&self, id: ParamId, taps: usize, outputs: usize) -> Result<u64> {
        let parameter = self.parameter(id)?;
        let columns = parameter.shape[0];
        if columns != outputs || taps == 0 {
            let name = &parameter.name;
            return Err(Error::new(INTERNAL, format!("{name} has {columns} outputs, an op takes {outputs}")));
        }
        let tensors = &self.parameters[id.0];
        Ok(tensors.copy.as_ref().unwrap_or(&tensors.value).at)
    }

    /// The address of biases.
    pub(crate) fn bias(&self, id: ParamId, outputs: usize) -> Result<u64> {
        self.values(id, outputs)
    }

    /// The address of the copy that products read; 0 where they read the values.
    pub(crate) fn copy(&self, id: ParamId) -> u64 {
        self.parameters[id.0].copy.as_ref().map_or(0, |copy| copy.at)
    }

    /// The address of the gradient, which has `len` elements with its padding.
    pub(crate) fn gradient(&mut self, id: ParamId, len: usize) -> Result<u64> {
        let padded = self.layout.padded_len(&self.plan, id);
        if padded != len {
            return Err(Error::new(
                INTERNAL,
                format!("a gradient of {len} for parameter {} of {padded}", id.0),
            ));
        }
        self.slot(id, Slot::Gradient)
    }

    /// The address of a tensor; made now if the plan did not foresee it.
    pub(crate) fn slot(&mut self, id: ParamId, slot: Slot) -> Result<u64> {
        self.memory(id, slot).map(|memory| memory.at)
    }

    fn memory(&mut self, id: ParamId, slot: Slot) -> Result<&DeviceMemory> {
        let parameter = self.parameter(id)?;
        let (len, name) = (parameter.len(), parameter.name.clone());
        let padded = self.layout.padded_len(&self.plan, id);
        let context = &self.gpu.context;
        let tensors = &mut self.parameters[id.0];
        let (memory, elements) = match slot {
            Slot::Value => return Ok(&tensors.value),
            Slot::Velocity => (&mut tensors.velocity, len),
            Slot::Gradient => (&mut tensors.gradient, padded),
        };
        if memory.is_none() {
            *memory = Some(DeviceMemory::zeroed(context, elements * size_of::<f32>(), &name)?);
        }
        Ok(memory.as_ref().expect("just made"))
    }

    /// Whether training has diverged; kernels that change weights look there.
    pub(crate) fn read_diverged(&mut self) -> Result<u64> {
        let at = self.diverged.at;
        self.order.access(&self.compute, &(at..at + size_of::<u32>() as u64), false)?;
        Ok(at)
    }

    /// A parameter's tensor in memory order. A gradient is given without its padding.
    pub(crate) fn read_parameter(&self, id: ParamId, slot: Slot, out: &mut [f32]) -> Result<()> {
        self.synchronize()?;
        let len = self.parameter(id)?.len();
        if out.len() != len {
            return Err(Error::new(INTERNAL, format!("{} values of parameter {} of {len}", out.len(), id.0)));
        }
        let tensors = &self.parameters[id.0];
        let memory = match slot {
            Slot::Value => Some(&tensors.value),
            Slot::Velocity => tensors.velocity.as_ref(),
            Slot::Gradient => tensors.gradient.as_ref(),
        };
        let Some(memory) = memory else {
            out.fill(0.0);
            return Ok(());
        };
        let padding = self.layout.paddings[id.0];
        if slot != Slot::Gradient || padding.is_none() {
            return read_f32(memory, 0, out);
        }
        let mut padded = vec![0.0; self.layout.padded_len(&self.plan, id)];
        read_f32(memory, 0, &mut padded)?;
        let outputs = len / padding.rows();
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            out.copy_from_slice(&padded[padding.row(row) * outputs..][..outputs]);
        }
        Ok(())
    }

    /// Overwrites a parameter's tensor. Weights that are given anew may be trained, whatever the old ones came to.
    pub(crate) fn write_parameter(&mut self, id: ParamId, slot: Slot, data: &[f32]) -> Result<()> {
        self.synchronize()?;
        let len = self.parameter(id)?.len();
        if data.len() != len {
            return Err(Error::new(
                INTERNAL,
                format!("{} values for parameter {} of {len}", data.len(), id.0),
            ));
        }
        let padding = self.layout.paddings[id.0];
        let outputs = len / padding.rows();
        if slot == Slot::Gradient && !padding.is_none() {
            let mut padded = vec![0.0; self.layout.padded_len(&self.plan, id)];
            for (row, data) in data.chunks_exact(outputs).enumerate() {
                padded[padding.row(row) * outputs..][..outputs].copy_from_slice(data);
            }
            return write_f32(self.memory(id, slot)?, 0, &padded);
        }
        write_f32(self.memory(id, slot)?, 0, data)?;
        if slot != Slot::Value {
            return Ok(());
        }
        self.diverged.write(0, &[0; size_of::<u32>()])?;
        let copy = self.copy(id);
        if copy == 0 {
            return Ok(());
        }
        let w = self.parameters[id.0].value.at;
        let [rows, outputs, channels, pitch, taps, taps_x] =
            [padding.rows(), outputs, padding.channels, padding.pitch, padding.taps, padding.taps_x]
                .map(|n| n as i32);
        self.queue(element!(self.gpu.precision, "repack"), blocks(len), |gpu, stream, name, grid| {
            launch!(
                gpu, stream, name, grid, THREADS, 0, w, copy, rows, outputs, channels, pitch, taps, taps_x
            )
        })
    }

    // Buffers, for tests and results.

    /// The first elements of a buffer.
    pub(crate) fn read_buffer(&self, id: BufferId, out: &mut [f32]) -> Result<()> {
        self.synchronize()?;
        let place = self.prefix(id, out.len())?;
        let region = self.region(place.store);
        match place.store {
            Store::Exact => read_f32(region, place.offset, out),
            Store::Element => self.read_elements(region, place.offset, out),
            Store::Image(padding) => {
                let mut spread = vec![0.0; out.len() / CHANNELS * padding.pitch];
                self.read_elements(region, place.offset, &mut spread)?;
                for (out, spread) in out.chunks_exact_mut(CHANNELS).zip(spread.chunks_exact(padding.pitch)) {
                    out.copy_from_slice(&spread[..CHANNELS]);
                }
                Ok(())
            }
        }
    }

    /// Overwrites the first elements of a buffer.
    pub(crate) fn write_buffer(&mut self, id: BufferId, data: &[f32]) -> Result<()> {
        self.synchronize()?;
        let place = self.prefix(id, data.len())?;
        let region = self.region(place.store);
        match place.store {
            Store::Exact => write_f32(region, place.offset, data),
            Store::Element => self.write_elements(region, place.offset, data),
            Store::Image(padding) => {
                let mut spread = vec![0.0; data.len() / CHANNELS * padding.pitch];
                for (data, spread) in data.chunks_exact(CHANNELS).zip(spread.chunks_exact_mut(padding.pitch))
                {
                    spread[..CHANNELS].copy_from_slice(data);
                }
                self.write_elements(region, place.offset, &spread)
            }
        }
    }

    fn prefix(&self, id: BufferId, length: usize) -> Result<&Place> {
        let place = self.place(id)?;
        if length <= place.elements * self.layout.batch {
            return Ok(place);
        }
        Err(Error::new(INTERNAL, format!("buffer '{}' has no {length} elements", place.name())))
    }

    fn read_elements(&self, region: &DeviceMemory, offset: usize, out: &mut [f32]) -> Result<()> {
        if self.gpu.precision != Precision::Bf16 {
            return read_f32(region, offset, out);
        }
        let mut bytes = vec![0; 2 * out.len()];
        region.read(offset, &mut bytes)?;
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *out = bf16::widen(u16::from_ne_bytes(*bytes));
        }
        Ok(())
    }

    fn write_elements(&self, region: &DeviceMemory, offset: usize, data: &[f32]) -> Result<()> {
        if self.gpu.precision != Precision::Bf16 {
            return write_f32(region, offset, data);
        }
        let bytes: Vec<u8> = data.iter().flat_map(|value| bf16::narrow(*value).to_ne_bytes()).collect();
        region.write(offset, &bytes)
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
