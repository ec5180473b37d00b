//! How long a plan of ImageNet's size takes, and how much memory: 1,300,000 empty files of 1,000 classes in one tar
//! (0.7 GB, of headers alone), which is written first.
//!
//!     cargo run --release -p ilsvrc-layouts --example plan_memory -- FOLDER

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ilsvrc_images::tar::Writer;
use ilsvrc_layouts::{Request, describe, plan};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: plan_memory FOLDER")?;
    let archive = Path::new(&folder).join("plan-memory.tar");
    write(&archive)?;
    let request: Request = serde_json::from_value(serde_json::json!({
        "sources": [archive], "name": "memory", "size": 256, "resize": "crop", "quality": 85, "seed": 0,
        "shard_images": 1000, "max_rejected": 0.01,
    }))?;
    let start = Instant::now();
    let plan = plan(&request, &AtomicBool::new(false), &|_| ()).map_err(|error| format!("{error:?}"))?;
    let seconds = start.elapsed().as_secs_f64();
    let images: Vec<u64> = describe(&plan).splits.iter().map(|split| split.images).collect();
    println!("{images:?} images, {seconds:.1} s, {}", peak().unwrap_or_default());
    fs::remove_file(&archive)?;
    Ok(())
}

fn write(archive: &Path) -> std::io::Result<()> {
    let mut writer = Writer::new(BufWriter::new(File::create(archive)?));
    for i in 0..1_300_000 {
        let split = if i % 26 == 0 { "val" } else { "train" };
        let class = i % 1000;
        writer.append(&format!("{split}/n{class:08}/n{class:08}_{i}.JPEG"), b"")?;
    }
    writer.finish()?.0.into_inner()?.sync_all()
}

/// The most memory that this process had, where the system tells.
fn peak() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find(|line| line.starts_with("VmHWM")).map(str::to_owned)
}
