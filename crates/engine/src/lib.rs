//! A training or inference session: a planned net on a backend, fed by the loader. Trains a given number of steps,
//! evaluates a split, classifies photos, and reads and writes model files. Knows nothing of epochs to come, schedules
//! or run directories: those are decisions, and decisions live above.

mod among;
mod boxes;
mod classify;
mod devices;
mod evaluate;
mod interchange;
mod join;
mod machine;
mod memory;
mod model_file;
mod options;
mod places;
mod ranks;
mod replicas;
mod session;
mod stages;
mod train;
mod views;
mod walk;

pub use among::Among;
pub use boxes::{BoxProgress, BoxRequest, Head, HeadRecord, LocateRequest, Located, Method};
pub use classify::{ClassifyRequest, EmbedRequest, Embedded, Placed};
pub use devices::{Layout, Place};
pub use evaluate::{EvaluateReport, EvaluateRequest};
pub use interchange::{
    Class, ExportFile, ExportRequest, Exported, Format, ImportReport, ImportRequest, export, import,
};
pub use join::{JoinRequest, World, current as current_ranks, join, leave};
pub use machine::Machine;
pub use memory::{Memory, MemoryRequest, PlaceMemory, memory};
pub use model_file::{ModelFile, read_metadata};
pub use options::{CacheOptions, Options, Purpose};
pub use ranks::Ranks;
pub use session::Session;
pub use stages::{Stage, StageShares};
pub use train::{TrainReport, TrainRequest, TrainStep};
pub use views::Views;
pub use walk::{Progress, Rows, WalkRequest};
