//! One test body for every backend: each op against the f64 reference ([`ops`]) and whole nets against PyTorch
//! ([`goldens`]). A failed comparison panics, as tests do; a program that checks a GPU catches it.

pub mod goldens;
pub mod ops;
mod problem;
mod subject;

pub use subject::{BF16, F32, Subject, Tolerance};
