use super::*;

/// `shards` of `each` images, shard after shard; the images of a shard have its number as their class.
fn stored(shards: u32, each: u32) -> Vec<ImageRef> {
    let image = |index: u32| ImageRef {
        shard: index / each,
        offset: u64::from(index % each) * 1000,
        length: 900,
        class: index / each,
        key: index.to_string(),
    };
    (0..shards * each).map(image).collect()
}

fn order(images: &[ImageRef], epoch: u64, shuffle: Shuffle) -> Vec<u32> {
    Order::shuffled(images, 5, epoch, shuffle).images
}

const BOTH: [Shuffle; 2] = [Shuffle::Full, Shuffle::Window(4)];

#[test]
fn every_order_is_a_permutation_and_epochs_differ() {
    let images = stored(13, 7);
    for shuffle in
        [Shuffle::Full, Shuffle::Window(0), Shuffle::Window(1), Shuffle::Window(4), Shuffle::Window(99)]
    {
        let mut sorted = order(&images, 3, shuffle);
        assert_eq!(sorted, order(&images, 3, shuffle));
        assert_ne!(sorted, order(&images, 4, shuffle));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..91).collect::<Vec<_>>(), "{shuffle:?}");
    }
}

/// Over many epochs each image is equally often in each place. The statistic has 63 degrees of freedom: it exceeds 132
/// once in a million times, and there are 64 images.
#[test]
fn places_are_uniform() {
    const IMAGES: usize = 64;
    const EPOCHS: u64 = 6400;
    let images = stored(16, 4);
    for shuffle in BOTH {
        let mut counts = vec![0u32; IMAGES * IMAGES];
        for epoch in 0..EPOCHS {
            for (place, index) in order(&images, epoch, shuffle).into_iter().enumerate() {
                counts[index as usize * IMAGES + place] += 1;
            }
        }
        let expected = EPOCHS as f64 / IMAGES as f64;
        for (image, counts) in counts.chunks(IMAGES).enumerate() {
            let chi: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
            assert!(chi < 132.0, "{shuffle:?}: image {image} has {chi}");
        }
    }
}

/// Two images that lie side by side follow each other as rarely as any others: in a permutation of n images there are 2
/// such pairs on average, whatever n is (Poisson), so 2 for each window.
#[test]
fn neighbours_on_the_disk_are_none_in_the_order() {
    let images = stored(40, 50);
    for (shuffle, windows) in [(Shuffle::Full, 1), (Shuffle::Window(4), 10)] {
        let pairs: usize = (0..50)
            .map(|epoch| {
                let order = order(&images, epoch, shuffle);
                order.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count()
            })
            .sum();
        let expected: usize = 2 * windows * 50;
        // Five standard deviations of a Poisson variable.
        let allowed = (25 * expected).isqrt();
        assert!(pairs.abs_diff(expected) < allowed, "{shuffle:?}: {pairs} pairs instead of {expected}");
    }
}

/// Where each shard holds one class, a batch has the classes of its window, each about as often.
#[test]
fn classes_of_a_sorted_data_set_are_mixed() {
    const BATCH: usize = 80;
    let images = stored(40, 100);
    for (shuffle, classes) in [(Shuffle::Full, 40), (Shuffle::Window(4), 4)] {
        for batch in order(&images, 0, shuffle).chunks(BATCH) {
            let mut counts = [0; 40];
            batch.iter().for_each(|&index| counts[images[index as usize].class as usize] += 1);
            let present = counts.iter().filter(|&&count| count > 0).count();
            let most = *counts.iter().max().unwrap();
            // Of 40 classes 80 draws miss 5 on average; of a window's 4 they miss none.
            assert!(present >= classes.min(25), "{shuffle:?}: {counts:?}");
            assert!(most <= 2 * BATCH / classes + 6, "{shuffle:?}: {counts:?}");
        }
    }
}

/// A window holds its shards whole, and a shard that is left over makes no small window.
#[test]
fn windows_are_even_and_hold_whole_shards() {
    let mut images = stored(9, 5);
    // A shard may hold no image: all of its photos were rejected.
    images.retain(|image| image.shard != 4);
    let order = Order::shuffled(&images, 1, 0, Shuffle::Window(3));
    let sizes: Vec<usize> = order.windows.iter().map(|window| window.shards.len()).collect();
    assert_eq!(sizes, [2, 3, 3]);
    let mut end = 0;
    for window in &order.windows {
        assert_eq!(window.places.start, end);
        end = window.places.end;
        assert_eq!(window.places.len(), window.shards.len() * 5);
        for &index in &order.images[window.places.clone()] {
            assert!(window.shards.contains(&images[index as usize].shard));
        }
    }
    assert_eq!(end, images.len());
}
