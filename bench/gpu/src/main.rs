//! What runs on a machine with a GPU and nothing of ours but this program: `check`, `train` and `time` print JSON, and what
//! a person reads on the way on stderr. `costs` and `net` need no GPU. `bench/gpu/run.sh` calls all of them.

mod ceilings;
mod check;
mod costs;
mod data;
mod layers;
mod learn;
mod nets;
mod options;
mod sums;
mod table;
mod time;
mod training;
mod wrappers;

use options::Options;
use std::process::ExitCode;

const USAGE: &str = "usage: gpu COMMAND [--flag value]...

  check   every kernel against the f64 reference, nets against PyTorch and the CPU
          [--quick] [--areas a,b] [--precisions bf16,tf32,f32] [--images N] [--in-process]
  train   loss curves of a small net on the GPU and on the CPU [--steps N] [--batch N] [--precisions ...]
  sums    sums over ranks by NCCL, a rank a GPU, against the host's [--mebibytes N] [--repeats N]
  time    parts of a step, steps and forward passes against their floors
          [--batch 128,1024] [--repeats N] [--steps N] [--precisions ...] [--product SIDE] [--copy-mib N]
          [--tensor-tflops bf16=790,tf32=...] [--copy-tbs 3.0]   ceilings that were measured otherwise
          [--rehearse]   a tiny net instead of alexnet
  costs   docs/kernels.md: what the parts must cost
  net     the description of alexnet as JSON

exit status: 0 all is well, 1 a check failed, 2 the command line is wrong, 4 no GPU can be used";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else { return refuse("no command") };
    let flags: &[&str] = match command.as_str() {
        "check" => &check::FLAGS,
        "train" => &learn::FLAGS,
        "sums" => &sums::FLAGS,
        "time" => &time::FLAGS,
        "costs" | "net" => &[],
        _ => return refuse(&format!("no command {command}")),
    };
    let options = match Options::parse(rest, flags) {
        Ok(options) => options,
        Err(reason) => return refuse(&reason),
    };
    if !matches!(command.as_str(), "costs" | "net")
        && let Err(error) = ilsvrc_cuda::driver_version()
    {
        eprintln!("{}", check::explain(error));
        return ExitCode::from(4);
    }
    let result = match command.as_str() {
        "check" => check::run(&options, rest).map(|(report, ok)| (report.to_string(), ok)),
        "train" => learn::run(&options).map(|(report, ok)| (report.to_string(), ok)),
        "sums" => sums::run(&options).map(|(report, ok)| (report.to_string(), ok)),
        "time" => time::run(&options).map(|report| (report.to_string(), true)),
        "costs" => table::markdown().map(|page| (page.trim_end().to_string(), true)),
        _ => serde_json::to_string(&ilsvrc_network::examples::alexnet())
            .map(|net| (net, true))
            .map_err(|e| e.to_string()),
    };
    match result {
        Ok((text, ok)) => {
            println!("{text}");
            if ok { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(1)
        }
    }
}

fn refuse(reason: &str) -> ExitCode {
    eprintln!("{reason}\n\n{USAGE}");
    ExitCode::from(2)
}
