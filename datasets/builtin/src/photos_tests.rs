//! Photos are the same again, differ from each other, and have the sizes and the spectrum that benchmarks rely on.

use super::*;
use ilsvrc_images::Decoder;

const SMALL: [usize; 2] = [120, 90];

#[test]
fn a_photo_depends_on_seed_and_number_alone() {
    assert_eq!(photo(3, 7, SMALL), photo(3, 7, SMALL));
    assert_ne!(photo(3, 7, SMALL), photo(3, 8, SMALL));
    assert_ne!(photo(3, 7, SMALL), photo(4, 7, SMALL));
}

#[test]
fn a_fifth_stands_upright() {
    let upright = (0..100).filter(|&number| photo(1, number, [24, 18]).height == 24).count();
    assert!((10..=30).contains(&upright), "{upright} of 100");
}

#[test]
fn files_are_those_of_any_number_of_workers_and_as_long_as_they_say() {
    let never = AtomicBool::new(false);
    let written = |workers| {
        let folder = tempfile::tempdir().unwrap();
        let photos = write_photos(folder.path(), 11, 5, workers, &never, &|_, _| {}).unwrap();
        let files: Vec<_> =
            photos.paths.iter().map(|path| fs::read(folder.path().join(path)).unwrap()).collect();
        assert!(files.iter().zip(&photos.bytes).all(|(file, &bytes)| file.len() as u64 == bytes));
        (photos, files)
    };
    let (photos, files) = written(1);
    assert_eq!((photos.clone(), files.clone()), written(3));
    assert_eq!(photos.paths[10], "class0/000010.jpg");
    for file in files {
        assert!(!Decoder::new().decode(&file).unwrap().warned);
    }
}

/// Real photos of this size have 110 kB in the mean: ImageNet's.
#[test]
fn files_are_as_long_as_those_of_real_photos() {
    let mean = (0..24).map(|number| photo_file(0, number, SIZE).unwrap().len()).sum::<usize>() / 24;
    assert!((85_000..135_000).contains(&mean), "{mean} bytes");
}

/// Halving a scale-invariant picture leaves the differences of neighbours as they were; halving white noise halves them,
/// and of a smooth picture they double.
#[test]
fn edges_come_in_all_sizes() {
    let (mut fine, mut coarse) = (0.0, 0.0);
    for number in 0..8 {
        let Image { width, height, pixels } = photo(2, number, [256, 192]);
        let green: Vec<f64> = pixels.chunks_exact(3).map(|pixel| f64::from(pixel[1])).collect();
        // Means over 4 and 8 pixels: the camera's blur and noise are finer.
        for (sum, size) in [(&mut fine, 4), (&mut coarse, 8)] {
            let at = |x: usize, y: usize| {
                let block =
                    (0..size * size).map(|i| green[(y * size + i / size) * width + x * size + i % size]);
                block.sum::<f64>() / (size * size) as f64
            };
            let (columns, rows) = (width / size, height / size);
            let squares = (0..rows).flat_map(|y| (1..columns).map(move |x| (x, y)));
            let squares: Vec<f64> = squares.map(|(x, y)| (at(x, y) - at(x - 1, y)).powi(2)).collect();
            *sum += (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
        }
    }
    let ratio: f64 = coarse / fine;
    assert!((0.8..1.35).contains(&ratio), "{ratio:.2}");
}
