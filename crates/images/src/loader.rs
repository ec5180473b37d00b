//! Batches for training and evaluation: one thread reads, others decode, the caller takes batches in their order.
//!
//! Every random draw is a pure function of seed, epoch and image, so batches do not depend on the number of threads nor on
//! where an epoch was entered. Buffers go round: nothing is allocated per image. A [`Cache`] spares reading and decoding.

use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use ilsvrc_diagnostics::{Error, IMAGE_SIZE, Result};
use ilsvrc_random::{Purpose, Stream};
use serde::Serialize;

use crate::memory::available_memory;
use crate::{Cache, Dataset, ImageRef};

mod decode;
mod order;
mod pixels;
mod queue;
mod read;
mod scattered;
mod shards;
mod windows;

use order::Order;
pub use order::Shuffle;
pub use pixels::{NewMemory, Pixels};
use queue::Queue;

/// What is done to each image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LoadMode {
    /// The split, shuffled, cropped and varied at random.
    Train {
        /// Side of the crop; its corner is uniform over all positions.
        crop: usize,
        /// Mirror half of the images.
        mirror: bool,
        /// Standard deviation of the colour noise in units of the principal components; 0.1 in the paper.
        colour_noise: f32,
    },
    /// The images as they are stored, whole.
    Whole,
}

/// Which batches of what.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderOptions {
    /// The split.
    pub split: String,
    /// Images in a batch, over all parts; the last one of an epoch may be shorter.
    pub batch: usize,
    /// Which part of each batch, `(rank, size)`: `(0, 1)` for all of it; as of [`part`], whole images as of [`pass`]. A short
    /// batch may leave some without an image.
    pub part: (usize, usize),
    /// Seed of order and augmentation.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The batch to start with, from 0.
    pub first_batch: usize,
    /// [`LoadMode::Train`] takes the first so many images of the split; all where absent.
    pub images: Option<usize>,
    /// How the images of [`LoadMode::Train`] are shuffled.
    pub shuffle: Shuffle,
    /// What is done to each image.
    pub mode: LoadMode,
    /// Threads that decode.
    pub threads: usize,
}

/// How an image was cut and varied. Offsets are (row, column).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CropView {
    /// Corner of the crop in the pixels of the batch: always 0, as the batch holds crops.
    pub crop: [u16; 2],
    /// Corner of the crop in the stored image, so also in the mean image.
    pub mean: [u16; 2],
    /// To be read from right to left.
    pub mirror: bool,
    /// To be added to the channels, on a scale of 0 to 255.
    pub colour: [f32; 3],
}

/// Some images of a split.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Images.
    pub n: usize,
    /// Side of an image.
    pub side: usize,
    /// `n x side x side x 3`, not yet mirrored or coloured.
    pub pixels: Pixels,
    /// The class of each.
    pub labels: Vec<u32>,
    /// How each is to be seen.
    pub views: Vec<CropView>,
    /// The number of each in its split.
    pub indices: Vec<u32>,
}

/// What the stages have done since the loader was made; times in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StageTimes {
    /// Reading shards.
    pub read: f64,
    /// Images read in that time, or found in the cache.
    pub images_read: usize,
    /// Decoding, the sum over the threads.
    pub decode: f64,
    /// Images decoded in that time, or cut from the cache.
    pub images_decoded: usize,
    /// Threads that decode.
    pub threads: usize,
    /// The caller waited for its first batch: nothing can be ready then.
    pub filling: f64,
    /// The caller waited for later batches.
    pub waited: f64,
}

/// What all threads know.
struct Work {
    dataset: Arc<Dataset>,
    options: LoaderOptions,
    order: Order,
    /// Lengths of the split's shards.
    shard_bytes: Vec<u64>,
    cache: Option<Arc<Cache>>,
    /// For pixels.
    memory: NewMemory,
    queue: Queue,
}

impl Work {
    /// The places in the order of the images of our part of batch `number`.
    fn places(&self, number: usize) -> Range<usize> {
        let start = number * self.options.batch;
        let whole = self.order.images.len().min(start + self.options.batch) - start;
        let part = match self.options.mode {
            LoadMode::Train { .. } => part(whole, self.options.part),
            LoadMode::Whole => pass(whole, self.options.batch, self.options.part),
        };
        start + part.start..start + part.end
    }

    /// The numbers of the images of our part of batch `number`.
    fn batch(&self, number: usize) -> &[u32] {
        &self.order.images[self.places(number)]
    }

    /// Whether a batch that is still to come has images of ours in the window.
    fn needs(&self, window: &order::Window) -> bool {
        let batch = self.options.batch;
        let first = self.queue.first().max(window.places.start / batch);
        (first..window.places.end.div_ceil(batch)).any(|number| {
            let ours = self.places(number);
            !ours.is_empty() && ours.start < window.places.end && window.places.start < ours.end
        })
    }

    fn batches(&self) -> usize {
        self.order.images.len().div_ceil(self.options.batch)
    }

    /// The images of the split; there are some.
    fn images(&self) -> &[ImageRef] {
        self.dataset.images(&self.options.split).unwrap_or_default()
    }

    /// Image `index` as it was kept.
    fn cached(&self, index: u32) -> Option<&[u8]> {
        self.cache.as_ref()?.get(&self.options.split, index)
    }

    /// Once true it stays true.
    fn is_cached(&self, index: u32) -> bool {
        self.cached(index).is_some()
    }

    fn side(&self) -> usize {
        match self.options.mode {
            LoadMode::Train { crop, .. } => crop,
            LoadMode::Whole => self.dataset.manifest().size,
        }
    }

    /// The random view of image `index` in this epoch.
    fn view(&self, index: u32) -> CropView {
        let LoadMode::Train { crop, mirror, colour_noise } = self.options.mode else {
            return CropView::default();
        };
        let stream = Stream::new(self.options.seed, Purpose::Augmentation, self.options.epoch, index);
        let positions = (self.dataset.manifest().size - crop + 1) as u32;
        let mean = [stream.below(0, positions) as u16, stream.below(1, positions) as u16];
        let mirror = mirror && stream.uniform(2) < 0.5;
        let mut colour = [0.0; 3];
        if colour_noise > 0.0 {
            // The second block: the first gave the position.
            let ([a, b], [c, _]) = (stream.normal_pair(2), stream.normal_pair(3));
            let pca = &self.dataset.manifest().pca;
            for ((alpha, vector), deviation) in [a, b, c].into_iter().zip(pca.vectors).zip(pca.deviations) {
                for (sum, component) in colour.iter_mut().zip(vector) {
                    *sum += alpha * colour_noise * (component * deviation) as f32;
                }
            }
        }
        CropView { crop: [0, 0], mean, mirror, colour }
    }
}

/// The part of rank `rank` in `whole` things that are shared out to `size` ranks: consecutive, and none more than one larger than
/// another.
pub fn part(whole: usize, (rank, size): (usize, usize)) -> Range<usize> {
    whole * rank / size..whole * (rank + 1) / size
}

/// The part of rank `rank` in a batch of `whole` images, which is `batch` where it is not short: passes through the net that one
/// process would make, one after the other, so that none is of another size and computed in another way.
pub fn pass(whole: usize, batch: usize, (rank, size): (usize, usize)) -> Range<usize> {
    let images = batch.div_ceil(size);
    whole.min(rank * images)..whole.min((rank + 1) * images)
}

/// Loads one epoch in the background. Dropping it stops its threads.
pub struct Loader {
    work: Arc<Work>,
    threads: Vec<JoinHandle<()>>,
    /// Seconds that the caller waited for the first batch, once it has come.
    filling: Option<f64>,
    waited: f64,
}

impl Loader {
    /// Starts to load.
    ///
    /// # Errors
    /// `SPLIT_EMPTY`, `IMAGE_SIZE`; `OUT_OF_MEMORY` where the windows of [`Shuffle::Window`] do not fit.
    pub fn new(dataset: Arc<Dataset>, options: LoaderOptions) -> Result<Self> {
        Self::with_memory(dataset, options, Arc::new(|bytes| Ok(Box::new(vec![0; bytes]))), None)
    }

    /// As [`Loader::new`], decoding into memory that `memory` makes, and keeping images in `cache` where that is of `dataset`.
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn with_memory(
        dataset: Arc<Dataset>,
        options: LoaderOptions,
        memory: NewMemory,
        cache: Option<Arc<Cache>>,
    ) -> Result<Self> {
        let images = dataset.images(&options.split)?;
        let size = dataset.manifest().size;
        if let LoadMode::Train { crop, .. } = options.mode
            && !(1..=size).contains(&crop)
        {
            return Err(Error::new(
                IMAGE_SIZE,
                format!("crops of {crop} px cannot be cut from images of {size} px"),
            )
            .hint(format!("prepare the photos with --size {crop} or more")));
        }
        let options =
            LoaderOptions { batch: options.batch.max(1), threads: options.threads.max(1), ..options };
        let order = match options.mode {
            LoadMode::Train { .. } => {
                let taken = options.images.map_or(images.len(), |most| most.clamp(1, images.len()));
                Order::shuffled(&images[..taken], options.seed, options.epoch, options.shuffle)
            }
            LoadMode::Whole => Order::stored(images.len()),
        };
        let split = dataset.manifest().splits.iter().find(|split| split.name == options.split);
        let shard_bytes: Vec<u64> =
            split.map_or(vec![], |split| split.shards.iter().map(|shard| shard.bytes).collect());
        windows::check(&order.windows, &shard_bytes, available_memory())?;
        let cache = cache.filter(|cache| cache.is_of(&dataset));
        let queue = Queue::new(options.first_batch, options.threads);
        let decoders = options.threads;
        let work = Arc::new(Work { dataset, options, order, shard_bytes, cache, memory, queue });
        let mut loader = Self { work, threads: Vec::new(), filling: None, waited: 0.0 };
        loader.spawn("read", read::run)?;
        for _ in 0..decoders {
            loader.spawn("decode", decode::run)?;
        }
        Ok(loader)
    }

    fn spawn(&mut self, name: &str, run: fn(&Work)) -> Result<()> {
        let work = self.work.clone();
        let guarded = move || {
            let _guard = work.queue.guard();
            run(&work);
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(guarded).map_err(|error| {
            Error::new(ilsvrc_diagnostics::OUT_OF_MEMORY, format!("cannot start a thread to {name} images"))
                .info(error.to_string())
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// The next batch, or nothing after the last. After an error the same error comes again.
    #[allow(clippy::should_implement_trait, reason = "an iterator could not take buffers back")]
    pub fn next(&mut self) -> Result<Option<Batch>> {
        let begin = Instant::now();
        let batch = self.work.queue.take(self.work.batches());
        let seconds = begin.elapsed().as_secs_f64();
        match self.filling {
            None => self.filling = Some(seconds),
            Some(_) => self.waited += seconds,
        }
        batch
    }

    /// Gives a batch's buffers back for later ones.
    pub fn recycle(&mut self, batch: Batch) {
        self.work.queue.recycle(batch);
    }

    /// What each stage has done.
    pub fn stats(&self) -> StageTimes {
        let (read, decoded) = self.work.queue.work_done();
        StageTimes {
            read: read.seconds,
            images_read: read.images,
            decode: decoded.seconds,
            images_decoded: decoded.images,
            threads: self.work.options.threads,
            filling: self.filling.unwrap_or(0.0),
            waited: self.waited,
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.work.queue.stop();
        for thread in self.threads.drain(..) {
            // A panic of the thread was reported by `next`.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[path = "loader_tests.rs"]
mod tests;
