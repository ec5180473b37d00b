//! What each format that comes from outside is held to, whatever its bytes: a function a format, which says whether the
//! bytes were accepted and panics where they lead to what must not happen. `fuzz/` hands them what libFuzzer finds,
//! `tests/replay.rs` the seeds, the inputs that once did harm, and mutations of the seeds.

mod annotations;
mod models;
mod photos;
mod shards;
mod stores;

pub use annotations::{csv, lists, matlab, voc};
pub use models::{binaryproto, caffemodel, torchvision};
pub use photos::{formats, jpeg};
pub use shards::{index, manifest, sample_index, sample_manifest, tar};
pub use stores::{sample_store, sample_store_and_ids, store};
