//! Models of other programs, and models for them. Reading gives a net with slices of the file it came from; writing streams
//! a model tensor by tensor, so that one of them is in memory at a time. No paths here: files are bytes and writers.

mod caffe;
mod export;
mod import;
mod onnx;
mod protobuf;
mod side_by_side;
mod torchvision;
mod torchvision_file;

pub use caffe::{caffemodel, mean_image};
pub use export::{Model, Sink};
pub use import::{Imported, Origin, Tensor, read};
pub use onnx::write_onnx;
pub use torchvision::torchvision;
pub use torchvision_file::write_safetensors;

use ilsvrc_diagnostics::{Error, IMPORT_CORRUPT};

/// Why bytes are not of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(String);

impl From<Malformed> for Error {
    fn from(Malformed(reason): Malformed) -> Self {
        Self::new(IMPORT_CORRUPT, "the file is damaged")
            .info(reason)
            .hint("copy or download it again and compare its checksum with the one that was published")
    }
}
