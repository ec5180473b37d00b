//! Errors that teach: every failure a user can cause has a code, what happened, why and what to do.
//! `docs/errors/<code>.md` holds a page for each code; `packages/diagnostics` maps codes to exit statuses.

use std::path::Path;

mod codes;
pub use codes::*;

/// A failure with its code. `message` says what happened, `info` why, `hint` what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// A constant of this crate, for example [`SHARD_SHORT`].
    pub code: &'static str,
    /// What happened, one line, with the value seen and the value allowed.
    pub message: String,
    /// Why, where that is known.
    pub info: Option<String>,
    /// The command or action that helps.
    pub hint: Option<String>,
}

/// The result of everything here that can fail because of its input.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with no explanation yet.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), info: None, hint: None }
    }

    /// The same error with the reason.
    #[must_use]
    pub fn info(mut self, info: impl Into<String>) -> Self {
        self.info = Some(info.into());
        self
    }

    /// The same error with the remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// `cannot <action> <path>` with the system's reason. A full disk has its own code whatever the action.
    pub fn io(code: &'static str, action: &str, path: &Path, error: &std::io::Error) -> Self {
        if matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) {
            return Self::new(WRITE_FAILED, format!("the disk is full: cannot {action} {}", path.display()))
                .info(error.to_string())
                .hint("free space or choose another disk, then run the same command again: it goes on where it stopped");
        }
        Self::new(code, format!("cannot {action} {}", path.display())).info(error.to_string())
    }
}
