//! `gpu costs`: the table of kernels in `docs/kernels.md`.

use crate::costs::{Cost, Costs, H100, floor};
use ilsvrc_cuda::{Part, Precision};
use ilsvrc_network::{Plan, Use, examples};
use std::fmt::Write;

const BATCH: usize = 128;

const HEAD: &str = "# The kernels of a step and what they must cost

Made by `cargo run --release -p ilsvrc-gpu-bench -- costs > docs/kernels.md`; a test keeps it true. Nothing here is
measured: it is what the plan of `alexnet` says at batch 128 in bf16, so a figure to hold measurements against.

- **GFLOP**: two for each multiply-add of convolutions and dense layers, for all images of the batch. Other arithmetic hides behind memory.
- **MB**: everything the part reads and writes, once each, in 10^6 bytes: maps in bf16, weights as the kernel reads them (bf16), weights
  that learn and their velocities in f32.
- **floor**: the longer of both at the ceilings of an H100, 790 TFLOP/s of bf16 products and 3.0 TB/s, figures that large
  products and copies reach on such a GPU. `bench/gpu/run.sh` measures the ceilings of the GPU at hand and holds each part
  and each step against the floors that follow from them.
- **kernels**: files of `crates/cuda/kernels`. A dense layer's weights learn in the kernel that makes their gradient, which is never
  stored; sums that are split to fill the GPU are added by `split_sum`.

Parts marked `*` are work that neighbours could do on the way, and between towers on one GPU could be spared: they have a
floor of their own here, but none in the floor of a step.

The parts are tower 0's. Tower 1 does the same, but for fc8 and the loss, which tower 0 computes for both. Parts where
towers meet are counted for both together.

| part | kernels | GFLOP | MB | floor, us | bound by |
|---|---|---|---|---|---|
";

/// The page.
pub(crate) fn markdown() -> Result<String, String> {
    let plan = Plan::new(&examples::alexnet(), BATCH, Use::Training).map_err(|error| error.message)?;
    let parts = Costs::new(&plan, Precision::Bf16).step();
    let mut page = HEAD.to_string();
    for (part, cost) in &parts {
        if matches!(part, Part::Op(1.., _) | Part::Update(1..)) {
            continue;
        }
        let bound = if cost.memory_bound(&H100) { "memory" } else { "arithmetic" };
        let (gflop, megabytes, floor) = (cost.flop / 1e9, cost.bytes / 1e6, 1e6 * cost.floor(&H100));
        let gflop = if gflop > 0.0 { format!("{gflop:.2}") } else { String::new() };
        let mark = if cost.on_the_way { " *" } else { "" };
        writeln!(
            page,
            "| {}{mark} | {} | {gflop} | {megabytes:.2} | {floor:.1} | {bound} |",
            cost.name, cost.kernels
        )
        .expect("strings can be written");
    }
    let sum = |of: fn(&Cost) -> f64| parts.iter().map(|(_, cost)| of(cost)).sum::<f64>();
    let (gflop, megabytes) = (sum(|cost| cost.flop) / 1e9, sum(|cost| cost.bytes) / 1e6);
    let (one, two) = (floor(&parts, &[0, 0], &H100), floor(&parts, &[0, 1], &H100));
    writeln!(
        page,
        "\nBoth towers: {gflop:.0} GFLOP and {megabytes:.0} MB a step. Its floor is {:.2} ms where both towers share a GPU\n\
         ({:.0} images/s), and {:.2} ms where each has its own (links between GPUs not counted).",
        1e3 * one,
        BATCH as f64 / one,
        1e3 * two,
    )
    .expect("strings can be written");
    Ok(page)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernels_that_parts_name_are_there() {
        let plan = super::Plan::new(&super::examples::alexnet(), 1, super::Use::Training).unwrap();
        let files: Vec<&str> = ilsvrc_cuda::cubins::sources().iter().map(|source| source.0).collect();
        for (_, cost) in super::Costs::new(&plan, super::Precision::Bf16).step() {
            for kernel in cost.kernels.split(", ") {
                assert!(files.contains(&format!("{kernel}.cu").as_str()), "{kernel} of {}", cost.name);
            }
        }
    }

    #[test]
    fn the_page_in_the_docs_is_this_one() {
        let page = include_str!("../../../docs/kernels.md");
        let now = super::markdown().unwrap();
        assert!(page == now, "run `cargo run --release -p ilsvrc-gpu-bench -- costs > docs/kernels.md`");
    }
}
