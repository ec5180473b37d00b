use std::fs;
use std::path::Path;

use ilsvrc_diagnostics::{OUT_OF_MEMORY, SHARD_CORRUPT, SHARD_SHORT, SPLIT_EMPTY};

use super::*;
use crate::Decoder;
use crate::samples::{SIZE, dataset};

const CROP: usize = 24;

fn training(threads: usize) -> LoaderOptions {
    LoaderOptions {
        split: "train".to_owned(),
        batch: 5,
        part: (0, 1),
        seed: 11,
        epoch: 2,
        first_batch: 0,
        images: None,
        shuffle: Shuffle::Full,
        mode: LoadMode::Train { crop: CROP, mirror: true, colour_noise: 0.1 },
        threads,
    }
}

fn windowed(threads: usize, shards: usize) -> LoaderOptions {
    LoaderOptions { shuffle: Shuffle::Window(shards), ..training(threads) }
}

fn load(dataset: &Arc<Dataset>, options: LoaderOptions) -> Vec<Batch> {
    let mut loader = Loader::new(dataset.clone(), options).unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = loader.next().unwrap() {
        batches.push(batch.clone());
        loader.recycle(batch);
    }
    assert!(loader.next().unwrap().is_none());
    batches
}

/// The samples are in four shards: windows end within batches, and batches within windows.
const SHUFFLES: [Shuffle; 4] = [Shuffle::Full, Shuffle::Window(1), Shuffle::Window(2), Shuffle::Window(9)];

#[test]
fn batches_do_not_depend_on_threads_nor_on_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    for shuffle in SHUFFLES {
        let training = |threads| LoaderOptions { shuffle, ..training(threads) };
        let expected = load(&dataset, training(1));
        assert_eq!(expected.iter().map(|batch| batch.n).collect::<Vec<_>>(), [5, 5, 5, 5, 5, 1]);
        assert_eq!(load(&dataset, training(3)), expected);
        for first_batch in 0..=7 {
            let rest = load(&dataset, LoaderOptions { first_batch, ..training(2) });
            assert_eq!(rest, expected[first_batch.min(6)..], "{shuffle:?} from batch {first_batch}");
        }
    }
}

/// Passes of several ranks are those that one process makes, so none is of another size; some ranks have none at the end.
#[test]
fn whole_images_are_shared_out_by_passes() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let whole = LoaderOptions { mode: LoadMode::Whole, ..training(2) };
    let expected = load(&dataset, whole.clone());
    for size in [2, 3, 7] {
        let part = |rank| LoaderOptions { batch: 5 * size, part: (rank, size), ..whole.clone() };
        let parts: Vec<_> = (0..size).map(|rank| load(&dataset, part(rank))).collect();
        let passes = (0..parts[0].len()).flat_map(|number| parts.iter().map(move |part| &part[number]));
        let (some, none): (Vec<&Batch>, Vec<&Batch>) = passes.partition(|batch| batch.n > 0);
        assert_eq!(some, expected.iter().collect::<Vec<_>>(), "{size} ranks");
        assert_eq!(none.len(), parts[0].len() * size - expected.len());
    }
}

/// 26 images in batches of five: of seven parts two have none of a batch, and six none of the last one.
#[test]
fn parts_of_batches_make_them_up() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    for shuffle in SHUFFLES {
        let whole = load(&dataset, LoaderOptions { shuffle, ..training(2) });
        for size in [2, 3, 7] {
            for first_batch in [0, 1, 4] {
                let part = |rank| LoaderOptions { shuffle, first_batch, part: (rank, size), ..training(2) };
                let parts: Vec<_> = (0..size).map(|rank| load(&dataset, part(rank))).collect();
                for (number, batch) in whole[first_batch..].iter().enumerate() {
                    let of_batch = || parts.iter().map(|part| &part[number]);
                    let indices: Vec<_> = of_batch().flat_map(|part| part.indices.clone()).collect();
                    let views: Vec<_> = of_batch().flat_map(|part| part.views.clone()).collect();
                    let pixels: Vec<_> = of_batch().flat_map(|part| part.pixels.to_vec()).collect();
                    assert_eq!((indices, views), (batch.indices.clone(), batch.views.clone()));
                    assert_eq!(pixels, batch.pixels.to_vec(), "{shuffle:?}, {size} parts");
                    let counts = of_batch().map(|part| part.n);
                    assert!(counts.clone().max().unwrap() - counts.min().unwrap() <= 1);
                }
            }
        }
    }
}

#[test]
fn an_epoch_is_a_permutation_and_epochs_differ() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let indices = |epoch| -> Vec<u32> {
        load(&dataset, LoaderOptions { epoch, ..training(2) })
            .into_iter()
            .flat_map(|batch| batch.indices)
            .collect()
    };
    let order = indices(0);
    assert_ne!(order, indices(1));
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..26).collect::<Vec<_>>());
    assert_ne!(order, sorted);
}

/// The first images of the split, whichever way they are shuffled: none held out is seen, none of the others missed.
#[test]
fn an_epoch_of_the_first_images() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    for shuffle in SHUFFLES {
        for (most, expected) in [(1, 1), (17, 17), (26, 26), (99, 26)] {
            let batches = load(&dataset, LoaderOptions { images: Some(most), shuffle, ..training(2) });
            let mut seen: Vec<u32> = batches.into_iter().flat_map(|batch| batch.indices).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..expected).collect::<Vec<_>>(), "{shuffle:?}");
        }
    }
}

/// Pixels, labels and views fit the stored images.
#[test]
fn crops_are_cut_from_the_stored_images() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let images = dataset.images("train").unwrap();
    let shards: Vec<Vec<u8>> =
        dataset.shard_paths("train").iter().map(|path| fs::read(path).unwrap()).collect();
    let (mut mirrored, mut corners) = (0, std::collections::HashSet::new());
    for batch in load(&dataset, training(2)) {
        assert_eq!(batch.side, CROP);
        for i in 0..batch.n {
            let (image, view) = (&images[batch.indices[i] as usize], batch.views[i]);
            assert_eq!(batch.labels[i], image.class);
            let start = image.offset as usize;
            let jpeg = &shards[image.shard as usize][start..start + image.length as usize];
            let whole = Decoder::new().decode(jpeg).unwrap().image.pixels;
            let [top, left] = view.mean.map(usize::from);
            for row in 0..CROP {
                let expected = &whole[((top + row) * SIZE + left) * 3..][..CROP * 3];
                assert_eq!(&batch.pixels[(i * CROP + row) * CROP * 3..][..CROP * 3], expected);
            }
            assert_eq!(view.crop, [0, 0]);
            assert!(view.colour.iter().any(|&value| value != 0.0));
            mirrored += usize::from(view.mirror);
            corners.insert(view.mean);
        }
    }
    assert!((5..=21).contains(&mirrored), "{mirrored} of 26");
    assert!(corners.len() > 15, "{corners:?}");
}

/// Draws cover every position up to the last; colour noise has the deviation asked for.
#[test]
fn views_have_the_right_distribution() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let loader = Loader::new(dataset.clone(), training(1)).unwrap();
    let views: Vec<CropView> = (0..20_000).map(|index| loader.work.view(index)).collect();
    let positions = SIZE - CROP + 1;
    let mut counts = vec![0; positions * positions];
    for view in &views {
        counts[usize::from(view.mean[0]) * positions + usize::from(view.mean[1])] += 1;
    }
    let expected = views.len() / counts.len();
    assert!(counts.iter().all(|&count: &usize| count.abs_diff(expected) < expected / 3), "{counts:?}");
    let mirrored = views.iter().filter(|view| view.mirror).count();
    assert!(mirrored.abs_diff(10_000) < 300, "{mirrored}");
    // Variance of a channel: sum over components of (0.1 deviation vector[channel])^2.
    let pca = dataset.manifest().pca;
    for channel in 0..3 {
        let expected: f64 = (0..3).map(|i| (0.1 * pca.deviations[i] * pca.vectors[i][channel]).powi(2)).sum();
        let found = views.iter().map(|view| f64::from(view.colour[channel]).powi(2)).sum::<f64>()
            / views.len() as f64;
        assert!((found / expected - 1.0).abs() < 0.06, "{found} {expected}");
    }
}

#[test]
fn without_noise_nothing_is_varied_and_whole_images_come_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let plain = LoadMode::Train { crop: SIZE, mirror: false, colour_noise: 0.0 };
    for batch in load(&dataset, LoaderOptions { mode: plain, ..training(2) }) {
        assert_eq!(batch.views, vec![CropView::default(); batch.n]);
    }
    let options = LoaderOptions { split: "val".to_owned(), mode: LoadMode::Whole, ..training(2) };
    let batches = load(&dataset, options);
    let indices: Vec<u32> = batches.iter().flat_map(|batch| batch.indices.clone()).collect();
    assert_eq!(indices, (0..7).collect::<Vec<_>>());
    assert!(
        batches.iter().all(|batch| batch.side == SIZE && batch.pixels.len() == batch.n * SIZE * SIZE * 3)
    );
}

#[test]
fn what_cannot_be_loaded_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let code = |options| Loader::new(dataset.clone(), options).err().unwrap().code;
    assert_eq!(code(LoaderOptions { split: "test".to_owned(), ..training(1) }), SPLIT_EMPTY);
    let mode = LoadMode::Train { crop: SIZE + 1, mirror: true, colour_noise: 0.0 };
    assert_eq!(code(LoaderOptions { mode, ..training(1) }), IMAGE_SIZE);
}

fn first_error(dataset: &Arc<Dataset>, options: LoaderOptions) -> Error {
    let mut loader = Loader::new(dataset.clone(), options).unwrap();
    let error = loop {
        match loader.next() {
            Ok(batch) => assert!(batch.is_some(), "no error"),
            Err(error) => break error,
        }
    };
    assert_eq!(loader.next().unwrap_err(), error);
    error
}

/// Damage done after the data set was opened comes out of `next`, from either stage.
#[test]
fn errors_of_every_stage_surface() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let image = dataset.images("train").unwrap()[2].clone();
    let shard: &Path = &dataset.shard_paths("train")[0];
    let good = fs::read(shard).unwrap();
    for options in [training(2), windowed(2, 2)] {
        let mut bytes = good.clone();
        bytes[image.offset as usize..][..2].fill(0);
        fs::write(shard, &bytes).unwrap();
        let error = first_error(&dataset, options.clone());
        assert_eq!(error.code, SHARD_CORRUPT);
        assert!(error.message.contains(&image.key), "{error}");
        fs::write(shard, &good[..good.len() / 2]).unwrap();
        assert_eq!(first_error(&dataset, options.clone()).code, SHARD_SHORT);
        fs::remove_file(shard).unwrap();
        assert_eq!(first_error(&dataset, options.clone()).code, SHARD_CORRUPT);
    }
}

#[test]
fn dropping_a_loader_stops_its_threads() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    for (shuffle, taken) in SHUFFLES.into_iter().flat_map(|shuffle| (0..4).map(move |taken| (shuffle, taken)))
    {
        let mut loader = Loader::new(dataset.clone(), LoaderOptions { shuffle, ..training(3) }).unwrap();
        for _ in 0..taken {
            loader.next().unwrap();
        }
        let begin = Instant::now();
        drop(loader);
        assert!(begin.elapsed().as_millis() < 500);
    }
    assert_eq!(Arc::strong_count(&dataset), 1);
}

/// Batches that the caller keeps do not stop the loader, and times are counted.
#[test]
fn kept_batches_do_not_starve_it() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let mut loader = Loader::new(dataset, LoaderOptions { batch: 1, ..training(1) }).unwrap();
    let mut kept = Vec::new();
    while let Some(batch) = loader.next().unwrap() {
        kept.push(batch);
    }
    assert_eq!(kept.len(), 26);
    let times = loader.stats();
    assert!(times.read > 0.0 && times.decode > 0.0 && times.filling > 0.0 && times.threads == 1);
    assert_eq!((times.images_read, times.images_decoded), (26, 26));
}

/// An image is the same however it was read: alone, with its neighbours, or with its whole shard.
#[test]
fn images_do_not_depend_on_how_they_were_read() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let by_index = |options| {
        let batches = load(&dataset, LoaderOptions { batch: 1, ..options });
        let mut images: Vec<_> = batches.into_iter().map(|batch| (batch.indices[0], batch)).collect();
        images.sort_by_key(|(index, _)| *index);
        images.into_iter().map(|(_, batch)| batch).collect::<Vec<_>>()
    };
    let expected = by_index(training(1));
    assert_eq!(by_index(windowed(2, 2)), expected);
    let together: Vec<_> = load(&dataset, LoaderOptions { batch: 26, ..training(1) });
    let image = CROP * CROP * 3;
    for (place, &index) in together[0].indices.iter().enumerate() {
        let pixels = &together[0].pixels[place * image..][..image];
        assert_eq!(pixels, &expected[index as usize].pixels[..], "image {index}");
    }
}

#[test]
fn windows_that_do_not_fit_into_memory_are_refused() {
    let window = |shards: &[u32]| order::Window { shards: shards.to_vec(), places: 0..1 };
    let windows = [window(&[0]), window(&[1, 2])];
    assert!(windows::check(&windows, &[10, 4, 5], Some(20)).is_ok());
    assert!(windows::check(&windows, &[10, 4, 5], None).is_ok());
    let error = windows::check(&windows, &[10, 4, 7], Some(20)).unwrap_err();
    assert_eq!(error.code, OUT_OF_MEMORY);
    assert!(windows::check(&windows, &[u64::MAX, u64::MAX, 7], Some(20)).is_err());
}
