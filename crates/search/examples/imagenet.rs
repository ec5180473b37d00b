//! How long a scan of as many vectors as ImageNet has training images takes; 5.3 GB in the folder named, removed afterwards.
//!
//!     cargo run --release -p ilsvrc-search --example imagenet -- FOLDER [ROWS]
use std::path::Path;
use std::time::Instant;

use ilsvrc_search::{QUERIES_A_PASS, Store, draw, drawn_vectors, peak_products, read_rate};

const DIMENSION: usize = 4096;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(arguments.first().ok_or("name a folder that does not exist")?);
    let rows = arguments.get(1).map_or(Ok(1_281_167), |rows| rows.parse())?;
    if folder.exists() {
        return Err("the folder exists already".into());
    }
    let measured = draw(folder, rows, DIMENSION).map_err(Into::into).and_then(|()| measure(folder));
    std::fs::remove_dir_all(folder)?;
    measured
}

fn measure(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let store = Store::open(folder)?;
    println!("opened in {:.0} ms; {} rows", start.elapsed().as_secs_f64() * 1e3, store.meta().count);
    let queries = drawn_vectors(QUERIES_A_PASS, DIMENSION, 1);
    let bytes = store.codes(0..store.meta().count);
    for round in 0..5 {
        let memory = read_rate(bytes) / 1e9;
        let one = timed(|| store.scan(&queries[..DIMENSION], 126));
        let batch = timed(|| store.scan(&queries, 126));
        let (rate, pass) = (bytes.len() as f64 / 1e9 / one, QUERIES_A_PASS as f64);
        let products = bytes.len() as f64 * pass / batch;
        println!(
            "round {round}: one query {:.0} ms ({rate:.1} GB/s, reading alone {memory:.1}); of {pass} each {:.1} ms ({:.0} of {:.0} G products/s a thread)",
            one * 1e3,
            batch / pass * 1e3,
            products / 1e9,
            peak_products() / 1e9,
        );
    }
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed().as_secs_f64()
}
