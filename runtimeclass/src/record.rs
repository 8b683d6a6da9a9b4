//! What this program has changed on a node, kept on the node, so that it can be undone.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::node::NodeRoot;
use crate::plan::Place;
use crate::transaction::{ChangeError, Transaction};

/// The record itself.
pub const FILE: &str = "/var/lib/coracle/installer/record.json";

/// The record. Paths are the node's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The file with the runtime's entry.
    pub configuration: Option<Configured>,
    /// The programs.
    pub programs: Vec<PathBuf>,
    /// The folders that were made, the outermost first.
    pub folders: Vec<PathBuf>,
}

/// A changed configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configured {
    /// What kind of file it is.
    pub place: Place,
    /// The file.
    pub path: PathBuf,
    /// Whether there was a file before; then its bytes are in [`BEFORE`].
    pub existed: bool,
}

/// The configuration's bytes before.
pub const BEFORE: &str = "/var/lib/coracle/installer/configuration.before";

/// The configuration's bytes as they were written.
pub const AFTER: &str = "/var/lib/coracle/installer/configuration.after";

/// Why the record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what this program writes.
    #[error("{FILE} is not a record of this program")]
    Syntax(#[source] serde_json::Error),
    /// It cannot be written.
    #[error("cannot keep a record")]
    Write(#[source] ChangeError),
    /// A path cannot be followed on the node.
    #[error("cannot follow {path}")]
    Follow {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Record {
    /// The record of `node`; `None` where nothing is installed.
    ///
    /// # Errors
    /// When there is a record that cannot be understood.
    pub fn read(node: &NodeRoot) -> Result<Option<Self>, RecordError> {
        backup(node, FILE)?
            .map(|bytes| serde_json::from_slice(&bytes).map_err(RecordError::Syntax))
            .transpose()
    }

    /// Writes the record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, node: &NodeRoot, changes: &mut Transaction) -> Result<(), RecordError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(RecordError::Syntax)?;
        bytes.push(b'\n');
        keep(node, changes, FILE, &bytes)
    }
}

/// Keeps `bytes` in the node's file `path`.
///
/// # Errors
/// When it cannot be written.
pub fn keep(
    node: &NodeRoot,
    changes: &mut Transaction,
    path: &str,
    bytes: &[u8],
) -> Result<(), RecordError> {
    let here = node.at(path).map_err(|source| RecordError::Follow {
        path: Path::new(path).to_owned(),
        source,
    })?;
    // A configuration may hold a registry's password.
    changes
        .write(&here, bytes, 0o600)
        .map_err(RecordError::Write)?;
    Ok(())
}

/// What was kept in `path`.
///
/// # Errors
/// When there is a file that cannot be read.
pub fn backup(node: &NodeRoot, path: &str) -> Result<Option<Vec<u8>>, RecordError> {
    node.read(path).map_err(|source| RecordError::Read {
        path: Path::new(path).to_owned(),
        source,
    })
}
