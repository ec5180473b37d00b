//! Times training steps of a net on the CPU, or forward passes as predictions make them, and prints JSON; `bench/step.ts` and
//! `bench/forward.ts` run it beside their peers.
//!
//! `cargo run --release -p ilsvrc-engine --example step -- --net net.json --pass step --batch 128 --threads 2 --repeats 3`
//!
//! A step begins with u8 photos in memory: crop, mean, forward, backward, update. `--pass forward` ends with probabilities,
//! without dropout. `--yardstick no` leaves the FMA peak out: `bench/ci.ts` counts instructions, and a loop that runs
//! for a time has no fixed number of them.

use ilsvrc_bench::{MadeFor, WorkingNet};
use ilsvrc_network::Use;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options: HashMap<&str, &str> = arguments
        .as_chunks()
        .0
        .iter()
        .map(|[name, value]: &[String; 2]| (name.trim_start_matches("--"), value.as_str()))
        .collect();
    let option = |name: &str| options.get(name).copied().ok_or(format!("--{name} is missing"));
    let net = serde_json::from_slice(&std::fs::read(option("net")?)?)?;
    let use_ = match option("pass")? {
        "step" => Use::Training,
        "forward" => Use::Inference,
        other => return Err(format!("--pass {other}: step or forward").into()),
    };
    let threads = option("threads")?.parse()?;
    let yardstick = || match options.get("yardstick") {
        Some(&"no") => Value::Null,
        _ => json!(ilsvrc_cpu::peak_gflops(threads)),
    };
    let before = yardstick();
    let made_for = MadeFor { net, batch: option("batch")?.parse()?, threads, use_ };
    let mut result = measure(made_for, option("repeats")?.parse()?)?;
    result["peak_gflops"] = json!({ "before": before, "after": yardstick() });
    println!("{result}");
    Ok(())
}

/// Wall time of each pass after one that is not counted (it touches the memory for the first time).
fn measure(made_for: MadeFor, repeats: usize) -> Result<Value, Box<dyn Error>> {
    let use_ = made_for.use_;
    let mut net = WorkingNet::new(made_for)?;
    let mut seconds = Vec::with_capacity(repeats);
    for repeat in 0..=repeats {
        let begin = Instant::now();
        match use_ {
            Use::Training => net.step()?,
            Use::Inference => net.forward()?,
        }
        if repeat > 0 {
            seconds.push(begin.elapsed().as_secs_f64());
        }
    }
    Ok(json!({
        "instruction_set": ilsvrc_cpu::instruction_set(),
        "gflop_per_image": net.flops() as f64 / 1e9,
        "seconds": seconds,
    }))
}
