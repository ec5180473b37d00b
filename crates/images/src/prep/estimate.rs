//! What a preparation will take, from a few photos that are prepared and thrown away.

use std::time::Instant;

use ilsvrc_diagnostics::Result;
use serde::Serialize;

use super::convert::Converter;
use super::plan::PrepPlan;

/// Photos tried: a fraction of a second, and a few per cent of error.
const TRIED: usize = 100;
/// Bytes of an image beside its JPEG: two tar headers, the label's block, half a block of padding, a row of the index.
const OVERHEAD: u64 = 2 * 512 + 512 + 256 + 120;

/// What a preparation will take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Of what will be written.
    pub bytes: u64,
    /// With the plan's workers, as fast as these photos came from the disk.
    pub seconds: f64,
}

/// Tries photos spread over the plan.
pub fn estimate(plan: &PrepPlan) -> Result<Estimate> {
    plan.check()?;
    let mut converter = Converter::new(plan);
    let items: Vec<_> = plan.splits.iter().flat_map(|split| &split.items).collect();
    let step = items.len().div_ceil(TRIED);
    let (mut tried, mut kept, mut bytes, mut jpeg) = (0u64, 0u64, 0, Vec::new());
    let begin = Instant::now();
    for item in items.iter().step_by(step) {
        tried += 1;
        if let Ok(stored) = converter.convert(item, jpeg, None)? {
            kept += 1;
            bytes += stored.jpeg.len() as u64 + OVERHEAD;
            jpeg = stored.jpeg;
        } else {
            jpeg = Vec::new();
        }
    }
    let scale = items.len() as f64 / tried as f64;
    let seconds = begin.elapsed().as_secs_f64() * scale / plan.workers as f64;
    Ok(Estimate { bytes: if kept == 0 { 0 } else { (bytes as f64 * scale) as u64 }, seconds })
}
