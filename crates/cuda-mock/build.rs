//! Compiles the driver and the kernels into `$OUT_DIR/mock/libcuda.so`.

// The library shares both modules and shows the first.
#[allow(dead_code, unreachable_pub)]
#[path = "src/building.rs"]
mod building;
#[path = "src/generating.rs"]
mod generating;

use std::path::Path;

fn main() {
    if !building::SUPPORTED {
        println!("cargo::warning=the mock CUDA driver needs Linux on x86-64: tests that load it fail here");
        return;
    }
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cuda/kernels");
    for path in ["build.rs", "src", "driver", "shim"] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-changed={}", kernels.display());
    let out = Path::new(&std::env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("mock");
    let options = building::Options { kernels, output: out, sanitizers: false };
    if let Err(reason) = building::build(&options) {
        println!("cargo::error={}", reason.replace('\n', "\ncargo::error="));
        std::process::exit(1);
    }
}
