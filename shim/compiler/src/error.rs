//! Why there is no compiled code.

use std::io;
use std::path::PathBuf;

use coracle_cache::Digest;

use crate::Limit;

/// A module could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// It is no wasm, not valid, or code compiled elsewhere.
    #[error("{reason}")]
    Refused {
        /// What the engine says of it.
        reason: String,
    },
    /// It is not what it was hashed as.
    #[error("its digest is {found}, and {expected} was expected: it was changed meanwhile")]
    OtherWasm {
        /// What it is.
        found: Digest,
        /// What it was to be.
        expected: Digest,
    },
    /// It needs more than it may have.
    #[error("{limit} is limited to {allowed} (setting `{}`)", limit.setting())]
    TooLarge {
        /// Which limit it met.
        limit: Limit,
        /// What that allows.
        allowed: String,
    },
    /// It brought the compiler down.
    #[error("the compiler crashed: {how}; it said {said:?}")]
    Crashed {
        /// The signal or the exit code.
        how: String,
        /// The end of its standard error.
        said: String,
    },
    /// The compiler could not do its work, whatever the module.
    #[error("the compiler cannot work: {said}")]
    Unable {
        /// What it said.
        said: String,
    },
    /// The compiler cannot be started.
    #[error("cannot start the compiler {}", program.display())]
    Start {
        /// Where it should be.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The compiler, or one of the files, cannot be followed.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl CompileError {
    /// For `map_err`: the error of an action.
    pub(crate) fn to(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }

    /// Whether it is about the module (exit code 126), and not about this node (125).
    #[must_use]
    pub fn is_about_the_module(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::OtherWasm { .. }
            | Self::TooLarge { .. }
            | Self::Crashed { .. } => true,
            Self::Unable { .. } | Self::Start { .. } | Self::Io { .. } => false,
        }
    }
}
