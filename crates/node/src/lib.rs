//! The binding to Node: conversion, threads, cancellation, and nothing else. `packages/engine` is its typed face; requests
//! and reports are JSON with the field names of the Rust types, large arrays are typed arrays.

pub mod data;
pub mod job;
pub mod session;

use ilsvrc_diagnostics::{Error, NET_INVALID, Result};
use ilsvrc_network::Net;
use job::{Event, Outcome, guarded};
use napi_derive::napi;
use serde::Serialize;

/// Counts of a net (JSON), and the memory of a pass of `batch` images.
#[napi]
pub fn summarize(net: String, batch: u32) -> Event {
    guarded(|| Outcome::json(&parse_net(&net)?.summary(batch as usize)?))
}

/// What this machine computes with.
#[napi]
pub fn cpu() -> Event {
    #[derive(Serialize)]
    struct Cpu {
        instruction_set: &'static str,
        threads: usize,
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    guarded(|| Outcome::json(&Cpu { instruction_set: ilsvrc_cpu::instruction_set(), threads }))
}

fn parse_net(json: &str) -> Result<Net> {
    serde_json::from_str(json).map_err(|error| {
        Error::new(NET_INVALID, "the description of the net is not valid").info(error.to_string())
    })
}
