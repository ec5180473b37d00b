//! Builds a driver with other kernels: `cargo run -p ilsvrc-cuda-mock --example build -- KERNELS OUTPUT`. Programs that load
//! the mock take the library from `MOCK_CUDA_LIBRARY`.

use ilsvrc_cuda_mock::building::{Options, build};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [kernels, output] = arguments.as_slice() else {
        eprintln!("usage: build KERNELS OUTPUT");
        return ExitCode::FAILURE;
    };
    match build(&Options { kernels: kernels.into(), output: output.into(), sanitizers: false }) {
        Ok(library) => {
            println!("{}", library.display());
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
