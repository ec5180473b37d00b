//! The order of an epoch's images: one permutation of all, or a permutation of the shards and of the images of a few shards
//! at a time. Both are pure functions of seed and epoch.

use std::ops::Range;

use ilsvrc_random::{Purpose, Stream, permutation};
use serde::{Deserialize, Serialize};

use crate::ImageRef;

/// How the images of an epoch are shuffled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shuffle {
    /// One permutation of all images. Reads anywhere in the shards.
    #[default]
    Full,
    /// Shards in a random order, and the images of so many consecutive ones (1 at least) permuted together. Reads shards
    /// from end to end.
    Window(usize),
}

/// The order of an epoch.
pub(super) struct Order {
    /// Numbers of images.
    pub(super) images: Vec<u32>,
    /// The windows in their order; none where images are read one by one.
    pub(super) windows: Vec<Window>,
}

/// Shards whose images are permuted together.
pub(super) struct Window {
    pub(super) shards: Vec<u32>,
    /// Their images' places in the order.
    pub(super) places: Range<usize>,
}

/// Streams of [`Purpose::Order`], by their index: the images of all shards, the shards, and from here the windows.
const ALL: u32 = 0;
const SHARDS: u32 = 1;
const WINDOWS: u32 = 2;

impl Order {
    /// The images as they are stored.
    pub(super) fn stored(images: usize) -> Self {
        Self { images: (0..images as u32).collect(), windows: Vec::new() }
    }

    /// The images of an epoch, shuffled.
    pub(super) fn shuffled(images: &[ImageRef], seed: u64, epoch: u64, shuffle: Shuffle) -> Self {
        let stream = |index| Stream::new(seed, Purpose::Order, epoch, index);
        match shuffle {
            Shuffle::Full => {
                Self { images: permutation(&stream(ALL), images.len() as u32), windows: Vec::new() }
            }
            Shuffle::Window(shards) => Self::windowed(images, shards.max(1), stream),
        }
    }

    fn windowed(images: &[ImageRef], most: usize, stream: impl Fn(u32) -> Stream) -> Self {
        let mut of_shard: Vec<Vec<u32>> = Vec::new();
        for (index, image) in images.iter().enumerate() {
            let shard = image.shard as usize;
            of_shard.resize_with(of_shard.len().max(shard + 1), Vec::new);
            of_shard[shard].push(index as u32);
        }
        of_shard.retain(|images| !images.is_empty());
        let shards = permutation(&stream(SHARDS), of_shard.len() as u32);
        // As even as can be: a shard left over would be a window of its own, with nothing to mix with.
        let count = shards.len().div_ceil(most);
        let mut order = Self { images: Vec::with_capacity(images.len()), windows: Vec::with_capacity(count) };
        for number in 0..count {
            let members = &shards[shards.len() * number / count..shards.len() * (number + 1) / count];
            let groups: Vec<&[u32]> = members.iter().map(|&group| &of_shard[group as usize][..]).collect();
            let together = groups.concat();
            let start = order.images.len();
            let places = permutation(&stream(WINDOWS + number as u32), together.len() as u32);
            order.images.extend(places.into_iter().map(|place| together[place as usize]));
            let shards = groups.iter().map(|group| images[group[0] as usize].shard).collect();
            order.windows.push(Window { shards, places: start..order.images.len() });
        }
        order
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
