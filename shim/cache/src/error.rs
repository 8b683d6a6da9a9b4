//! What can be wrong with the cache itself, and with a fetch from it.

use std::io;
use std::path::{Path, PathBuf};

/// The cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file or folder cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file of wasm cannot be read.
    #[error("cannot read the wasm")]
    Wasm {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others could put code of their own there.
    #[error(
        "{} belongs to user {owner} with mode {mode:o}; accepted is a folder of user {expected} \
         that nobody else can write",
        path.display()
    )]
    Untrusted {
        /// The folder.
        path: PathBuf,
        /// The user id that it belongs to.
        owner: u32,
        /// Its permission bits.
        mode: u32,
        /// The user id of this process.
        expected: u32,
    },
    /// A name that would lead out of the cache.
    #[error(
        "{name:?} cannot name an engine: accepted are 1 to 64 letters, digits, `.`, `_` and `-`"
    )]
    Name {
        /// What was given.
        name: String,
    },
}

impl CacheError {
    /// For `map_err`: the error of an operation on this path.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// There is no entry to give.
#[derive(Debug, thiserror::Error)]
pub enum FetchError<E> {
    /// It could not be compiled.
    #[error("cannot compile")]
    Compile(#[source] E),
    /// Another caller wanted the same at the same time, and it could not be compiled for him.
    #[error("cannot compile: {reason}")]
    Shared {
        /// What compiling it failed of.
        reason: String,
    },
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}
