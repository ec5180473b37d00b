//! How batches come to a GPU: on the copy stream, from where the caller has them; in the loader's case that is pinned
//! memory, into which images were decoded (`Backend::host_memory`). One block on the GPU receives them. It is free again when
//! the towers' load kernels have read it, at the very beginning of a step, so the next batch travels while the step is
//! computed.

use crate::driver::{DeviceMemory, Event, PinnedMemory, Stream};
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_network::{Input, Plan, View};
use std::sync::Arc;

/// Parts of a block start at multiples of this.
const ALIGNMENT: usize = 256;
/// `struct View` of the kernels.
const VIEW_BYTES: usize = 28;

/// Bytes of a GPU's memory that batches of `plan` need: a block and the mean image.
pub(crate) fn staging_bytes(plan: &Plan) -> usize {
    let mean = plan.net.image * plan.net.image * 3 * size_of::<f32>();
    Parts::new(plan.batch, plan.net.image).bytes + mean
}

/// Where the parts of a block are.
#[derive(Clone, Copy, Debug)]
struct Parts {
    labels: usize,
    pixels: usize,
    bytes: usize,
}

impl Parts {
    fn new(batch: usize, side: usize) -> Self {
        let labels = (batch * VIEW_BYTES).next_multiple_of(ALIGNMENT);
        let pixels = labels + (batch * size_of::<u32>()).next_multiple_of(ALIGNMENT);
        Self { labels, pixels, bytes: pixels + (batch * side * side * 3).next_multiple_of(ALIGNMENT) }
    }
}

/// Addresses of a batch on the GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staged {
    pub(crate) pixels: u64,
    pub(crate) views: u64,
    pub(crate) labels: u64,
    pub(crate) mean: u64,
}

/// Where batches arrive on one GPU.
#[derive(Debug)]
pub(crate) struct Staging {
    parts: Parts,
    /// Views and labels on their way.
    header: PinnedMemory,
    device: DeviceMemory,
    mean: DeviceMemory,
    /// What `mean` holds.
    mean_image: Vec<f32>,
    copied: Event,
    /// Recorded by each tower when it has read the block.
    read: Vec<Arc<Event>>,
}

impl Staging {
    pub(crate) fn new(copy: &Stream, plan: &Plan) -> Result<Self> {
        let context = copy.context();
        let parts = Parts::new(plan.batch, plan.net.image);
        let mean = plan.net.image * plan.net.image * 3 * size_of::<f32>();
        Ok(Self {
            parts,
            header: PinnedMemory::new(context, parts.pixels, "batches")?,
            device: DeviceMemory::zeroed(context, parts.bytes, "batches")?,
            mean: DeviceMemory::zeroed(context, mean, "the mean image")?,
            mean_image: Vec::new(),
            copied: Event::new(context)?,
            read: Vec::new(),
        })
    }

    /// Starts to bring a batch. The input must stay as it is until [`Staging::arrived`].
    pub(crate) fn bring(&mut self, copy: &Stream, input: &Input) -> Result<()> {
        let Parts { labels, pixels, bytes } = self.parts;
        if pixels + input.pixels.len() > bytes || size_of_val(input.mean) > self.mean.bytes {
            return Err(Error::new(INTERNAL, "a batch is larger than the plan said"));
        }
        for (bytes, view) in self.header.chunks_exact_mut(VIEW_BYTES).zip(input.views) {
            write_view(bytes, view);
        }
        for (bytes, label) in self.header[labels..].chunks_exact_mut(size_of::<u32>()).zip(input.labels) {
            bytes.copy_from_slice(&label.to_ne_bytes());
        }
        for event in self.read.drain(..) {
            copy.wait(&event)?;
        }
        if self.mean_image != input.mean {
            // Towers may be reading the old one.
            copy.synchronize()?;
            let bytes: Vec<u8> = input.mean.iter().flat_map(|value| value.to_ne_bytes()).collect();
            self.mean.write(0, &bytes)?;
            self.mean_image = input.mean.to_vec();
        }
        copy.upload(self.device.at, &self.header)?;
        copy.upload(self.device.at + pixels as u64, input.pixels)?;
        copy.record(&self.copied)
    }

    /// Blocks until the batch has been read.
    pub(crate) fn arrived(&self) -> Result<()> {
        self.copied.synchronize()
    }

    /// Makes a tower's stream wait for the batch.
    pub(crate) fn arrive(&self, stream: &Stream) -> Result<Staged> {
        stream.wait(&self.copied)?;
        let at = self.device.at;
        let Parts { labels, pixels, .. } = self.parts;
        Ok(Staged { pixels: at + pixels as u64, views: at, labels: at + labels as u64, mean: self.mean.at })
    }

    /// The tower that recorded `event` has read the batch by then.
    pub(crate) fn release(&mut self, event: &Arc<Event>) {
        self.read.push(event.clone());
    }
}

/// `struct View { unsigned image; unsigned short crop_y, crop_x, mean_y, mean_x; unsigned mirror; float colour[3]; }`
fn write_view(bytes: &mut [u8], view: &View) {
    let (image, rest) = bytes.split_at_mut(4);
    image.copy_from_slice(&view.image.to_ne_bytes());
    let (corners, rest) = rest.split_at_mut(8);
    for (bytes, corner) in corners.chunks_exact_mut(2).zip(view.crop.iter().chain(&view.mean)) {
        bytes.copy_from_slice(&corner.to_ne_bytes());
    }
    let (mirror, colours) = rest.split_at_mut(4);
    mirror.copy_from_slice(&u32::from(view.mirror).to_ne_bytes());
    for (bytes, colour) in colours.chunks_exact_mut(4).zip(view.colour) {
        bytes.copy_from_slice(&colour.to_ne_bytes());
    }
}
