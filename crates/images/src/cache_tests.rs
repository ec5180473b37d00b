use std::fs;

use super::*;
use crate::samples::{SIZE, dataset};
use crate::{Batch, LoadMode, Loader, LoaderOptions, NewMemory, Shuffle};

const IMAGE: u64 = (SIZE * SIZE * 3) as u64;

fn training(shuffle: Shuffle) -> LoaderOptions {
    LoaderOptions {
        split: "train".to_owned(),
        batch: 5,
        part: (0, 1),
        seed: 11,
        epoch: 0,
        first_batch: 0,
        images: None,
        shuffle,
        mode: LoadMode::Train { crop: 24, mirror: true, colour_noise: 0.1 },
        threads: 2,
    }
}

fn load_with(dataset: &Arc<Dataset>, options: LoaderOptions, cache: Option<&Arc<Cache>>) -> Vec<Batch> {
    let memory: NewMemory = Arc::new(|bytes| Ok(Box::new(vec![0; bytes])));
    let mut loader = Loader::with_memory(dataset.clone(), options, memory, cache.cloned()).unwrap();
    std::iter::from_fn(|| loader.next().unwrap()).collect()
}

fn load(dataset: &Arc<Dataset>, epoch: u64, shuffle: Shuffle, cache: Option<&Arc<Cache>>) -> Vec<Batch> {
    load_with(dataset, LoaderOptions { epoch, ..training(shuffle) }, cache)
}

/// None, some or all images cached: the batches are the same, in every epoch.
#[test]
fn batches_do_not_depend_on_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    for shuffle in [Shuffle::Full, Shuffle::Window(2)] {
        let expected: Vec<_> = (0..3).map(|epoch| load(&dataset, epoch, shuffle, None)).collect();
        for images in [0, 1, 9, 26, 99] {
            let cache = Arc::new(Cache::with_bytes(dataset.clone(), images * IMAGE + 5));
            for (epoch, expected) in expected.iter().enumerate() {
                let batches = load(&dataset, epoch as u64, shuffle, Some(&cache));
                assert_eq!(&batches, expected, "{images} images, epoch {epoch}, {shuffle:?}");
            }
            let kept = (0..26).filter(|&index| cache.get("train", index).is_some()).count();
            assert_eq!(kept as u64, images.min(26));
        }
    }
}

/// Validation images find room too, and are kept whole.
#[test]
fn evaluation_uses_it_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let cache = Arc::new(Cache::with_bytes(dataset.clone(), 33 * IMAGE));
    let whole = |cache| {
        let options =
            LoaderOptions { split: "val".to_owned(), mode: LoadMode::Whole, ..training(Shuffle::Full) };
        load_with(&dataset, options, cache)
    };
    let expected = whole(None);
    assert_eq!(whole(Some(&cache)), expected);
    dataset.shard_paths("val").iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!(whole(Some(&cache)), expected);
}

/// What is cached is neither read nor decoded again.
#[test]
fn shards_are_not_needed_once_all_is_cached() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let cache = Arc::new(Cache::with_bytes(dataset.clone(), 33 * IMAGE));
    load(&dataset, 0, Shuffle::Full, Some(&cache));
    let expected = [Shuffle::Full, Shuffle::Window(2)].map(|shuffle| load(&dataset, 1, shuffle, None));
    dataset.shard_paths("train").iter().for_each(|path| fs::remove_file(path).unwrap());
    let cached = [Shuffle::Full, Shuffle::Window(2)].map(|shuffle| load(&dataset, 1, shuffle, Some(&cache)));
    assert_eq!(cached, expected);
    assert!(cache.get("val", 0).is_none());
}

#[test]
fn it_says_what_fits() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let size = |bytes| Cache::with_bytes(dataset.clone(), bytes).size();
    assert_eq!(size(10 * IMAGE - 1), CacheSize { images: 9, of: 33, bytes: 9 * IMAGE });
    assert_eq!(size(u64::MAX), CacheSize { images: 33, of: 33, bytes: 33 * IMAGE });
    let limited = Cache::new(dataset.clone(), CacheLimit::Bytes(IMAGE)).size();
    assert_eq!(limited.images, 1);
}

/// A batch that fails keeps nothing, and its room is there for the next.
#[test]
fn a_block_that_is_dropped_gives_its_room_back() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::with_bytes(dataset(folder.path()), 3 * IMAGE);
    let mut block = cache.reserve(2);
    assert!(block.place(4).is_some());
    drop(block);
    assert!(cache.get("train", 4).is_none());
    let mut block = cache.reserve(9);
    let placed = (0..9).filter(|&index| block.place(index).is_some()).count();
    assert_eq!(placed, 3);
    block.keep("train");
    assert!(cache.get("train", 2).is_some());
    assert!(cache.reserve(1).place(5).is_none());
}

/// Images of another data set would be wrong ones.
#[test]
fn a_cache_of_another_data_set_is_not_used() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, two) = (dataset(one.path()), dataset(two.path()));
    let cache = Arc::new(Cache::with_bytes(one, 33 * IMAGE));
    load(&two, 0, Shuffle::Full, Some(&cache));
    assert!((0..26).all(|index| cache.get("train", index).is_none()));
}
