//! The virtual driver, driven as a program would: through cudarc's bindings, with kernels of `tests/kernels`.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod gpu;

mod graphs;
mod launches;
mod memory;
mod races;
mod settings;
mod variants;
