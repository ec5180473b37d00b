//! Benchmarks, a look at a disk, and the photos that benchmarks and their peers work on.

use crate::job::{Emit, Job, Outcome, parse, start};
use napi_derive::napi;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Measures: the bench crate's `Request` to its `Report`.
#[napi(ts_args_type = "request: string, emit: (event: Event) => void")]
pub fn bench(request: String, emit: Emit) -> napi::Result<Job> {
    start(emit, move |context| {
        let report =
            ilsvrc_bench::run(&parse(&request)?, &context.cancel, &|progress| context.progress(&progress))?;
        Outcome::json(&report)
    })
}

/// How fast the disk below a folder is: the bench crate's `DiskSpeed`.
#[napi(ts_args_type = "folder: string, emit: (event: Event) => void")]
pub fn disk_speed(folder: String, emit: Emit) -> napi::Result<Job> {
    start(emit, move |context| {
        Outcome::json(&ilsvrc_bench::disk_speed(&PathBuf::from(folder), &context.cancel)?)
    })
}

/// Draws the photos of the benchmarks: options `{out, images, seed, workers}` to their paths and lengths.
#[napi(ts_args_type = "options: string, emit: (event: Event) => void")]
pub fn generate_photos(options: String, emit: Emit) -> napi::Result<Job> {
    #[derive(Deserialize)]
    struct Request {
        out: PathBuf,
        images: usize,
        seed: u64,
        workers: usize,
    }
    #[derive(Serialize)]
    struct Progress {
        done: usize,
        total: usize,
    }
    start(emit, move |context| {
        let Request { out, images, seed, workers } = parse(&options)?;
        let progress = |done, total| context.progress(&Progress { done, total });
        let cancel = &context.cancel;
        let photos = ilsvrc_builtin::photos::write_photos(&out, images, seed, workers, cancel, &progress)?;
        Outcome::json(&photos)
    })
}
