//! `search`: nearest neighbours among vectors on the disk, held against reading them and against multiplying alone.

use std::hint::black_box;
use std::time::Instant;

use ilsvrc_diagnostics::{Error, Result, WRITE_FAILED};
use ilsvrc_search::{QUERIES_A_PASS, Store, draw, drawn_vectors, peak_products, read_rate};

use crate::Run;
use crate::machine::threads;
use crate::measure::{FmaBracket, Measurement, Yardstick};

/// Elements of `fc7` of the paper's net.
const DIMENSION: usize = 4096;
/// A quarter of ImageNet's training images: more than caches hold, 1.3 GB.
const ROWS: usize = 320_000;
/// Candidates as for six neighbours.
const CANDIDATES: usize = 126;

const READ: &str = "search/read/memory";
const ONE: &str = "search/scan/one-query";
const PRODUCTS: &str = "search/products/cache";
const BATCH: &str = "search/scan/batch32";

pub(crate) fn run(run: &mut Run) -> Result<()> {
    let [wants_read, wants_one, wants_products, wants_batch] =
        [READ, ONE, PRODUCTS, BATCH].map(|name| run.wants(name));
    let memory = wants_read | wants_one;
    let products = wants_products | wants_batch;
    if !memory && !products {
        return Ok(());
    }
    let (rows, rounds) = if run.request.quick { (ROWS / 16, 5) } else { (ROWS, 5) };
    let place = tempfile::tempdir()
        .map_err(|error| Error::io(WRITE_FAILED, "write", &std::env::temp_dir(), &error))?;
    let folder = place.path().join("store");
    run.watch.step("search: drawing vectors", 0, 1)?;
    draw(&folder, rows, DIMENSION)?;
    let store = Store::open(&folder)?;
    let queries = drawn_vectors(QUERIES_A_PASS, DIMENSION, 1);
    let codes = store.codes(0..rows);
    let bytes = codes.len() as f64;
    // The first touch maps the pages; it is not what is measured.
    read_rate(codes);
    let [mut reading, mut peak, mut one, mut batch] = [const { Vec::new() }; 4];
    let bracket = FmaBracket::open(threads());
    let before = read_rate(codes) / 1e9;
    for round in 0..rounds {
        run.watch.step("search: all vectors", round, rounds)?;
        if memory {
            reading.push(read_rate(codes) / 1e9);
            one.push(bytes / 1e9 / seconds(|| store.scan(&queries[..DIMENSION], CANDIDATES)));
            run.watch.go_on()?;
        }
        if products {
            peak.push(peak_products() / 1e9);
            let products = bytes * QUERIES_A_PASS as f64 / 1e9;
            batch.push(products / seconds(|| store.scan(&queries, CANDIDATES)));
        }
    }
    let memory =
        Yardstick { name: "reading memory".into(), unit: "GB/s", before, after: read_rate(codes) / 1e9 };
    let fma = bracket.close();
    let reading = Measurement::rate(READ, "GB/s", reading).beside(&memory);
    let peak = Measurement::rate(PRODUCTS, "G/s", peak).beside(&fma);
    let one = Measurement::rate(ONE, "GB/s", one).limited_by(&reading, 1).beside(&memory);
    let batch = Measurement::rate(BATCH, "G/s", batch).limited_by(&peak, threads()).beside(&fma);
    run.measurements.extend([reading, one, peak, batch]);
    Ok(())
}

fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64()
}
