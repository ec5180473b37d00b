//! Photos to batches: JPEG decoding, resizing, preparation of a data set into tar shards, and the loader that feeds training.
//!
//! The file formats are described where they are written: [`tar`], [`index`], [`dataset`] and [`npy`].

pub mod atomic;
mod cache;
pub mod dataset;
mod formats;
pub mod index;
mod jpeg;
mod libjpeg;
mod loader;
mod lookup;
mod memory;
pub mod npy;
mod photo;
mod prep;
mod resize;
#[cfg(test)]
mod samples;
pub mod tar;

pub use cache::{Cache, CacheLimit, CacheSize};
pub use dataset::{
    CheckProgress, CheckReport, Class, Damaged, Dataset, ImageRef, Manifest, Pca, Preprocessing,
};
pub use index::{Row, ShardIndex};
pub use jpeg::{Colour, Decoded, Decoder, Encoder, Header, Image, MAX_PIXELS, MAX_SIDE, read_header};
pub use loader::{
    Batch, CropView, LoadMode, Loader, LoaderOptions, NewMemory, Pixels, Shuffle, StageTimes, part, pass,
};
pub use lookup::{ImageRow, NamedRow, image_rows};
pub use memory::available_memory;
pub use photo::{DECODER, Fit, Mapping, Square, Squarer};
pub use prep::{
    About, Changes, Estimate, Item, Part, PrepEvent, PrepPlan, PrepProgress, PrepSummary, Rejected,
    RepairReport, Settings, Source, SourceKind, SplitPlan, adopt, estimate, merge, prep, repair,
};
pub use resize::{Resize, Resizer, resize_crop};
