//! Photos to batches: JPEG decoding, resizing, preparation of a data set into tar shards, and the loader that feeds training.
//!
//! The file formats are described where they are written: [`tar`], [`index`], [`dataset`] and [`npy`].

pub mod atomic;
pub mod dataset;
pub mod index;
mod jpeg;
mod libjpeg;
mod loader;
pub mod npy;
mod prep;
mod resize;
#[cfg(test)]
mod samples;
pub mod tar;

pub use dataset::{CheckProgress, CheckReport, Class, Dataset, ImageRef, Manifest, Pca, Preprocessing};
pub use jpeg::{Colour, Decoded, Decoder, Encoder, Header, Image, MAX_PIXELS, MAX_SIDE, read_header};
pub use loader::{Batch, CropView, LoadMode, Loader, LoaderOptions, NewMemory, Pixels, StageTimes};
pub use prep::{Item, PrepPlan, PrepProgress, PrepSummary, Source, SourceKind, SplitPlan, prep};
pub use resize::{Resize, Resizer, resize_crop};
