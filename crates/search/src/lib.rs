//! Nearest neighbours by features, exactly: a store of vectors on the disk and a search that reads all of it.
//!
//! A vector is kept twice. Bytes with a scale of their own (a quarter of `f32`) are what every query is compared with, by
//! integer dot products; the few rows that could be among the nearest are then compared with their full values. How
//! far the bytes are from the values is known for every row, so the search knows when it has looked at enough of them:
//! its answer is that of comparing with all full values, not an approximation.

mod code;
mod drawn;
mod export;
mod half;
mod ids;
mod kernels;
mod meta;
mod pca;
mod search;
mod store;
mod writer;

pub use drawn::{draw, vectors as drawn_vectors};
pub use export::{Format, export};
pub use ids::Id;
pub use kernels::{InstructionSet, peak_products, read_rate};
pub use meta::{About, Class, Fitted, Meta, Precision};
pub use search::{Candidate, Neighbour, QUERIES_A_PASS, merge};
pub use store::Store;
pub use writer::{StoreWriter, WriterOptions};

#[cfg(test)]
mod tests;
