//! What people have on disk, as a plan of preparation: layouts and the annotation formats that come with them.
//!
//! [`listing`] sees folders and archives as one list of paths, a [`Layout`](layouts) says what each file is, and [`plan`]
//! makes of both what `ilsvrc-images` prepares. [`recipe`] knows public data sets.

mod assignment;
mod describe;
pub mod formats;
pub mod layouts;
pub mod listing;
mod names;
mod objects;
mod plan;
pub mod recipe;
mod request;
#[cfg(test)]
mod samples;
mod split;
mod verify;

pub use describe::{Description, SplitDescription, describe};
pub use layouts::{LayoutName, layout_names};
pub use plan::plan;
pub use recipe::{Recipe, recipes};
pub use request::Request;
pub use verify::{Verified, verify};
