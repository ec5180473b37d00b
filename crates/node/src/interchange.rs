//! Jobs that write models in other forms, and read those of other programs.

use crate::job::{Emit, Job, Outcome, parse, start};
use napi_derive::napi;

/// Writes a model in other forms: the engine's `ExportRequest` to a list of `Exported`.
#[napi(ts_args_type = "request: string, emit: (event: Event) => void")]
pub fn export_model(request: String, emit: Emit) -> napi::Result<Job> {
    start(emit, move |context| Outcome::json(&ilsvrc_engine::export(&parse(&request)?, &context.cancel)?))
}

/// Writes a model of another program as one of ours: the engine's `ImportRequest` to its `ImportReport`.
#[napi(ts_args_type = "request: string, emit: (event: Event) => void")]
pub fn import_model(request: String, emit: Emit) -> napi::Result<Job> {
    start(emit, move |context| Outcome::json(&ilsvrc_engine::import(&parse(&request)?, &context.cancel)?))
}
