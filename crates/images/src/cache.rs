//! Decoded images kept in memory from epoch to epoch, whole, so that any crop can be cut from them. First come, first kept:
//! what does not fit is decoded each time, and what was kept stays.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::Dataset;
use crate::memory::available_memory;

/// How much memory a cache may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheLimit {
    /// Half of what is available now.
    Ram,
    /// So many bytes, and no more than is available now.
    Bytes(u64),
}

/// What fits into a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CacheSize {
    /// Images that fit.
    pub images: usize,
    /// Images of all splits.
    pub of: usize,
    /// Bytes of those that fit.
    pub bytes: u64,
}

/// Decoded images of all splits of a data set.
pub struct Cache {
    dataset: Arc<Dataset>,
    size: CacheSize,
    /// Images that still find room.
    room: AtomicUsize,
    splits: HashMap<String, Vec<OnceLock<Kept>>>,
}

/// An image in a block that it shares with those decoded together with it: memory is asked for a batch at a time.
struct Kept {
    block: Arc<Vec<u8>>,
    start: usize,
}

impl Cache {
    /// An empty cache for `dataset`.
    pub fn new(dataset: Arc<Dataset>, limit: CacheLimit) -> Self {
        let available = available_memory();
        let bytes = match limit {
            CacheLimit::Ram => available.unwrap_or(0) / 2,
            CacheLimit::Bytes(bytes) => bytes.min(available.unwrap_or(u64::MAX)),
        };
        Self::with_bytes(dataset, bytes)
    }

    fn with_bytes(dataset: Arc<Dataset>, bytes: u64) -> Self {
        let names = dataset.manifest().splits.iter().map(|split| split.name.clone());
        // A split without images has none to keep.
        let count = |name: &str| dataset.images(name).map_or(0, <[_]>::len);
        let splits: HashMap<String, Vec<OnceLock<Kept>>> = names
            .map(|name| {
                let slots = (0..count(&name)).map(|_| OnceLock::new()).collect();
                (name, slots)
            })
            .collect();
        let of = splits.values().map(Vec::len).sum();
        let image = image_bytes(&dataset) as u64;
        let images = usize::try_from(bytes / image).unwrap_or(usize::MAX).min(of);
        let size = CacheSize { images, of, bytes: images as u64 * image };
        Self { dataset, size, room: AtomicUsize::new(images), splits }
    }

    /// What fits.
    pub fn size(&self) -> CacheSize {
        self.size
    }

    /// Whether it keeps images of `dataset`.
    pub(crate) fn is_of(&self, dataset: &Arc<Dataset>) -> bool {
        Arc::ptr_eq(&self.dataset, dataset)
    }

    /// An image, `size x size x 3`, where it was kept.
    pub(crate) fn get(&self, split: &str, index: u32) -> Option<&[u8]> {
        let kept = self.splits.get(split)?.get(index as usize)?.get()?;
        Some(&kept.block[kept.start..kept.start + image_bytes(&self.dataset)])
    }

    /// Room for at most `images` more; less where the cache is nearly full, or the system has no more memory.
    pub(crate) fn reserve(&self, images: usize) -> Block<'_> {
        let mut taken = 0;
        let _ = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| {
            taken = room.min(images);
            Some(room - taken)
        });
        let mut bytes = Vec::new();
        let length = taken * image_bytes(&self.dataset);
        if bytes.try_reserve_exact(length).is_err() {
            self.room.fetch_add(taken, Ordering::Relaxed);
            taken = 0;
        } else {
            bytes.resize(length, 0);
        }
        Block { cache: self, bytes, room: taken, indices: Vec::with_capacity(taken) }
    }
}

fn image_bytes(dataset: &Dataset) -> usize {
    dataset.manifest().size.pow(2) * 3
}

/// Memory for images that are being decoded. They are kept when all are ready; a block that is dropped gives its room back.
pub(crate) struct Block<'a> {
    cache: &'a Cache,
    bytes: Vec<u8>,
    room: usize,
    /// Images in it so far.
    indices: Vec<u32>,
}

impl Block<'_> {
    /// A place for image `index`, if there is one left.
    pub(crate) fn place(&mut self, index: u32) -> Option<&mut [u8]> {
        if self.indices.len() == self.room {
            return None;
        }
        let image = image_bytes(&self.cache.dataset);
        let start = self.indices.len() * image;
        self.indices.push(index);
        Some(&mut self.bytes[start..start + image])
    }

    /// Keeps all images of `split` that were placed.
    pub(crate) fn keep(mut self, split: &str) {
        let Some(slots) = self.cache.splits.get(split).filter(|_| !self.indices.is_empty()) else { return };
        let block = Arc::new(std::mem::take(&mut self.bytes));
        let image = image_bytes(&self.cache.dataset);
        for (place, &index) in self.indices.iter().enumerate() {
            let kept = Kept { block: block.clone(), start: place * image };
            // Where another loader was first, its image is as good.
            let _ = slots[index as usize].set(kept);
        }
        // What is kept takes its room for good.
        self.room = 0;
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        self.cache.room.fetch_add(self.room, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
