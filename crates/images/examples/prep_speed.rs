//! How fast `prep` is on this machine, and the ceiling: the same work of decoding, resizing and encoding timed alone.
//!
//! `cargo run --release -p ilsvrc-images --example prep_speed [workers]`

use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ilsvrc_images::{
    Class, Decoder, Encoder, Image, Item, PrepPlan, Resize, Resizer, Source, SourceKind, SplitPlan, prep,
};
use ilsvrc_random::{Purpose, Stream};

const PHOTOS: u32 = 1000;

/// 500 x 375 pixels with as much detail as makes a JPEG of about 110 KB, the mean of ImageNet.
fn photo(seed: u32) -> Image {
    let noise = Stream::new(1, Purpose::Drawing, 0, seed);
    let pixels = (0..500 * 375 * 3u32).map(|i| {
        let (x, y) = ((i / 3 % 500) as f32, (i / 1500) as f32);
        (120.0 + 60.0 * (x / 40.0 + y / 31.0).sin() + 42.0 * noise.uniform(i / 3)) as u8
    });
    Image { width: 500, height: 375, pixels: pixels.collect() }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let workers: usize = std::env::args().nth(1).map_or(Ok(1), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let files: Vec<Vec<u8>> =
        (0..20).map(|i| Encoder::new(92).encode(&photo(i))).collect::<Result<_, _>>()?;
    let bytes = files.iter().map(Vec::len).sum::<usize>() / files.len();
    let mut items = Vec::new();
    for i in 0..PHOTOS {
        let path = format!("{i}.jpg");
        std::fs::write(folder.path().join(&path), &files[i as usize % files.len()])?;
        items.push(Item { source: 0, path, offset: None, size: None, class: 0 });
    }

    let (mut decoder, mut resizer, mut encoder) = (Decoder::new(), Resizer::default(), Encoder::new(85));
    let mut seconds = [0.0; 3];
    for file in files.iter().cycle().take(300) {
        let start = Instant::now();
        let whole = decoder.decode(file)?.image;
        let decoded = Instant::now();
        let square = resizer.resize(&whole, 256, Resize::Crop);
        let resized = Instant::now();
        black_box(encoder.encode(&square)?);
        let times = [decoded - start, resized - decoded, resized.elapsed()];
        seconds.iter_mut().zip(times).for_each(|(sum, time)| *sum += time.as_secs_f64() / 300.0);
    }
    let [decode, resize, encode] = seconds.map(|time| 1.0 / time);
    let ceiling = workers as f64 / seconds.iter().sum::<f64>();
    println!(
        "{bytes} bytes a photo; images/s of a core: decode {decode:.0}, resize {resize:.0}, encode {encode:.0}"
    );

    let plan = PrepPlan {
        out: folder.path().join("out"),
        name: "speed".to_owned(),
        size: 256,
        resize: Resize::Crop,
        quality: 85,
        workers,
        seed: 0,
        shard_images: 250,
        max_rejected: 0.0,
        force: false,
        layout: "image folder".to_owned(),
        sources: vec![Source { path: folder.path().to_owned(), kind: SourceKind::Folder }],
        classes: vec![Class { wnid: "a".to_owned(), name: "a".to_owned() }],
        splits: vec![SplitPlan { name: "train".to_owned(), items }],
        ignored: 0,
    };
    let speed = prep(&plan, &AtomicBool::new(false), &|_| {})?.images_per_second;
    let share = speed / ceiling * 100.0;
    println!("prep with {workers} workers: {speed:.0} images/s, {share:.0} % of the ceiling of {ceiling:.0}");
    Ok(())
}
