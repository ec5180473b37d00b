//! `search`: nearest neighbours among vectors on the disk, held against reading them and against multiplying alone.

use std::hint::black_box;
use std::time::Instant;

use ilsvrc_diagnostics::{Error, Result, WRITE_FAILED};
use ilsvrc_search::{QUERIES_A_PASS, Store, draw, drawn_vectors, peak_products, read_rate};

use crate::Run;
use crate::machine::threads;
use crate::measure::{Limit, Measurement};

/// Elements of `fc7` of the paper's net.
const DIMENSION: usize = 4096;
/// A quarter of ImageNet's training images: more than caches hold, 1.3 GB.
const ROWS: usize = 320_000;
/// Candidates as for six neighbours.
const CANDIDATES: usize = 126;

pub(crate) fn run(run: &mut Run) -> Result<()> {
    let (rows, rounds) = if run.request.quick { (ROWS / 16, 3) } else { (ROWS, 5) };
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
    for round in 0..rounds {
        run.watch.step("search: all vectors", round, rounds)?;
        reading.push(read_rate(codes) / 1e9);
        one.push(bytes / 1e9 / seconds(|| store.scan(&queries[..DIMENSION], CANDIDATES)));
        run.watch.go_on()?;
        peak.push(peak_products() / 1e9);
        let products = bytes * QUERIES_A_PASS as f64 / 1e9;
        batch.push(products / seconds(|| store.scan(&queries, CANDIDATES)));
    }
    let measurement =
        |name: &str, unit, samples| Measurement { name: name.into(), unit, samples, limit: None };
    let reading = measurement("search/read/memory", "GB/s", reading);
    let peak = measurement("search/products/cache", "G/s", peak);
    let limit = Limit { name: reading.name.clone(), value: reading.median() };
    let one = Measurement { limit: Some(limit), ..measurement("search/scan/one-query", "GB/s", one) };
    let batch = measurement("search/scan/batch32", "G/s", batch).limited_by(&peak, threads());
    run.measurements.extend([reading, one, peak, batch]);
    Ok(())
}

fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64()
}
