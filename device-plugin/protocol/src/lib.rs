//! How an Akri discovery handler in wasm and its native proxy speak through one shared folder.
//!
//! The proxy asks ([`Asker`]): a folder for each distinct question. The handler answers ([`Answerer`]): one
//! file in that folder, replaced whenever the devices change. `docs/akri-file-protocol.md` is the
//! specification; this crate is its implementation for both sides.
//!
//! Architecture invariant: no threads, no clocks, no async, and only file operations that WASI preview 1 has;
//! all of them go through [`Files`], so that a test can stop either side between any two.

mod answerer;
mod asker;
mod base64;
mod files;
mod layout;
mod message;

pub use answerer::{Answered, Answerer};
pub use asker::Asker;
pub use files::{Disk, Files};
pub use layout::{Layout, Side};
pub use message::{Answer, Beat, Bytes, Device, DeviceSpec, Mount, Outcome, Properties, Request};

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The version of the protocol that every message states.
pub const VERSION: u32 = 1;

/// A message cannot be read or written.
#[derive(Debug, Error)]
pub enum ProtocolError {
    /// A file or folder cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is there and holds no message: something else than this protocol wrote it.
    #[error("{} holds no message", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where it stops being one.
        #[source]
        source: serde_json::Error,
    },
    /// The other side speaks another version.
    #[error("{} is in version {found} of the protocol, this side speaks {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version that it states.
        found: u32,
    },
    /// What is to be the name of a request is none.
    #[error("{id:?} cannot name a request: 1 to 64 of a-z, 0-9 and `-`")]
    Id {
        /// What was given.
        id: String,
    },
}

impl ProtocolError {
    /// For `map_err`: the error of an operation on this path.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// Whether a file or folder was not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
