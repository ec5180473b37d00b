//! Jobs on archives, data sets and model files.

use crate::job::{Emit, Job, Outcome, parse, start};
use ilsvrc_images::{Dataset, PrepPlan};
use napi_derive::napi;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The files of a tar archive: `[{name, offset, size}]`.
#[napi(ts_args_type = "path: string, emit: (event: Event) => void")]
pub fn scan_tar(path: String, emit: Emit) -> napi::Result<Job> {
    start(emit, move |_| Outcome::json(&ilsvrc_images::tar::scan(Path::new(&path))?))
}

/// Prepares a data set from a plan (JSON).
#[napi(ts_args_type = "plan: string, emit: (event: Event) => void")]
pub fn prep(plan: String, emit: Emit) -> napi::Result<Job> {
    start(emit, move |context| {
        let plan: PrepPlan = parse(&plan)?;
        let summary = ilsvrc_images::prep(&plan, &context.cancel, &|progress| context.progress(&progress))?;
        Outcome::json(&summary)
    })
}

/// Compares every byte of a prepared data set with its manifest.
#[napi(ts_args_type = "folder: string, emit: (event: Event) => void")]
pub fn check_dataset(folder: String, emit: Emit) -> napi::Result<Job> {
    start(emit, move |context| {
        let report =
            Dataset::check(Path::new(&folder), &context.cancel, &mut |progress| context.progress(&progress))?;
        Outcome::json(&report)
    })
}

/// Draws the built-in data set: options `{out, images, seed, workers}`.
#[napi(ts_args_type = "options: string, emit: (event: Event) => void")]
pub fn generate_builtin(options: String, emit: Emit) -> napi::Result<Job> {
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
        let options = ilsvrc_builtin::Options { out, images, seed, workers };
        let progress = |done, total| context.progress(&Progress { done, total });
        Outcome::json(&ilsvrc_builtin::generate(&options, &context.cancel, &progress)?)
    })
}

/// The metadata of a model file, an object of strings.
#[napi(ts_args_type = "path: string, emit: (event: Event) => void")]
pub fn read_model_metadata(path: String, emit: Emit) -> napi::Result<Job> {
    start(emit, move |_| Outcome::json(&ilsvrc_engine::read_metadata(Path::new(&path))?))
}
