//! The binding to Node: conversion, threads, cancellation, and nothing else. `packages/engine` is its typed face; requests
//! and reports are JSON with the field names of the Rust types, large arrays are typed arrays.

pub mod bench;
pub mod data;
pub mod interchange;
pub mod job;
pub mod session;
pub mod store;

use ilsvrc_diagnostics::{Error, NET_INVALID, Result};
use ilsvrc_engine::{Machine, current_ranks, join, leave, memory};
use ilsvrc_network::Net;
use job::{Emit, Event, Job, Outcome, guarded, parse, start};
use napi::bindgen_prelude::Float32Array;
use napi_derive::napi;
use serde_json::Value;

/// Counts of a net (JSON), and the memory of a pass of `batch` images.
#[napi]
pub fn summarize(net: String, batch: u32) -> Event {
    guarded(|| Outcome::json(&parse_net(&net)?.summary(batch as usize)?))
}

/// What this machine computes with: the engine's `Machine`.
#[napi]
pub fn devices() -> Event {
    guarded(|| Outcome::json(&Machine::inspect()))
}

/// Memory that a net takes, device by device: the engine's `MemoryRequest` to its `Memory`.
#[napi]
pub fn estimate(request: String) -> Event {
    guarded(|| {
        let value: Value = parse(&request)?;
        // By itself first, as for a session: a bad net is the user's mistake.
        parse_net(&value["net"].to_string())?;
        Outcome::json(&memory(&parse(&request)?)?)
    })
}

/// Joins the processes that a launcher started with this one: the engine's `JoinRequest` to its `World`.
#[napi(ts_args_type = "request: string, emit: (event: Event) => void")]
pub fn join_ranks(request: String, emit: Emit) -> napi::Result<Job> {
    start(emit, move |_| Outcome::json(&join(&parse(&request)?)?))
}

/// Leaves them, when all are ready to.
#[napi(ts_args_type = "emit: (event: Event) => void")]
pub fn leave_ranks(emit: Emit) -> napi::Result<Job> {
    start(emit, |_| Outcome::json(&leave()?))
}

/// Sums each value over all ranks, as data; alone these are the values themselves. Exact where all but one have zeros.
#[napi(ts_args_type = "values: Float32Array, emit: (event: Event) => void")]
pub fn sum_ranks(values: Float32Array, emit: Emit) -> napi::Result<Job> {
    let values = values.to_vec();
    start(emit, move |_| Ok(Outcome::json(&())?.data(current_ranks().together(values)?)))
}

fn parse_net(json: &str) -> Result<Net> {
    serde_json::from_str(json).map_err(|error| {
        Error::new(NET_INVALID, "the description of the net is not valid").info(error.to_string())
    })
}
