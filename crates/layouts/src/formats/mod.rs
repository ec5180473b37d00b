//! Parsers of the annotations that come with images: pure functions from bytes to structs.
//!
//! Their errors name the line or the element, the value seen and what is allowed; [`in_file`] adds the file.

mod boxes;
pub mod csv;
mod lines;
pub mod lists;
mod mat5;
pub mod matlab;
pub mod sample;
pub mod tiny;
pub mod voc;

pub use boxes::Rect;

use std::fmt::Display;

use ilsvrc_diagnostics::{ANNOTATION_MALFORMED, Error};

/// The largest class number, and the most classes of a list: far above the 21,841 of the whole of ImageNet.
pub const MAX_CLASSES: u32 = 1 << 20;

/// Adds the file's name in front of a parser's message, for `map_err`.
pub fn in_file(file: impl Display) -> impl Fn(Error) -> Error {
    move |error| Error { message: format!("{file}: {}", error.message), ..error }
}

fn malformed(message: impl Into<String>) -> Error {
    Error::new(ANNOTATION_MALFORMED, message)
}

/// A value of a file as an error message shows it: quoted, control characters escaped, cut short.
fn shown(value: &[u8]) -> String {
    const LONGEST: usize = 60;
    let cut = &value[..value.len().min(LONGEST)];
    let dots = if value.len() > LONGEST { "..." } else { "" };
    format!("{:?}{dots}", String::from_utf8_lossy(cut))
}
