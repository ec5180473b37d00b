//! A net as data. A [`Net`] (layers, as presets or users write them) becomes a [`Plan`]: for each tower the ops
//! forward and backward, the buffers they use with their places in one arena, the parameters, and the exchanges
//! where towers meet. A [`Backend`] executes a plan's ops; an [`Executor`] drives a backend through a plan.
//! No I/O and no arithmetic on weights but their initial draw.
//!
//! The way from net to plan: [`Net::validate`], `shapes`, `forward`, `backward`, `fuse`, `arena`.

mod arena;
mod backend;
mod backward;
mod collective;
mod description;
mod draft;
#[doc(hidden)]
pub mod examples;
mod executor;
mod forward;
mod fuse;
mod initialise;
mod input;
mod op;
mod operands;
mod parameters;
mod plan;
mod replica;
mod score;
mod shapes;
mod summary;
mod validate;

pub use backend::*;
pub use collective::*;
pub use description::*;
pub use executor::*;
pub use op::*;
pub use operands::*;
pub use plan::*;
pub use score::*;
pub use shapes::{LayerShape, Shape};
pub use summary::*;
