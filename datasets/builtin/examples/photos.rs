//! Writes the photos that benchmarks use, and says how long their files are.
//!
//! `cargo run --release -p ilsvrc-builtin --example photos FOLDER [COUNT] [SEED]`

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ilsvrc_builtin::photos::write_photos;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("the folder is missing")?);
    let count: usize = arguments.next().map_or(Ok(2000), |text| text.parse())?;
    let seed: u64 = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let workers = std::thread::available_parallelism()?.get();
    let start = Instant::now();
    let photos = write_photos(&folder, count, seed, workers, &AtomicBool::new(false), &|_, _| {})?;
    let seconds = start.elapsed().as_secs_f64();
    let mean = photos.bytes.iter().sum::<u64>() as f64 / count as f64;
    let squares: f64 = photos.bytes.iter().map(|&bytes| (bytes as f64 - mean).powi(2)).sum();
    let deviation = (squares / count as f64).sqrt();
    println!(
        "{count} photos, {mean:.0} bytes in the mean, deviation {deviation:.0}; {seconds:.1} s, {workers} workers"
    );
    Ok(())
}
