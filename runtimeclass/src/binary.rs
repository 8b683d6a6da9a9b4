//! The folder of the programs on the node.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use crate::distribution::Distribution;
use crate::node::NodeRoot;

/// The name by which containerd looks for the shim of `io.containerd.coracle.v1`.
pub const SHIM: &str = "containerd-shim-coracle-v1";

/// Where programs go, in order of preference; only the first one is on containerd's PATH.
const FOLDERS: [&str; 3] = ["/usr/local/bin", "/opt/coracle/bin", "/var/lib/coracle/bin"];

/// Where the programs go: all into one folder, as the shim looks for the others beside itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The folder on the node.
    pub folder: PathBuf,
    /// Whether containerd's configuration has to name the path of the shim.
    pub named: bool,
}

/// Why the programs have nowhere to go.
#[derive(Debug, thiserror::Error)]
pub enum SeatError {
    /// No folder can take programs.
    #[error(
        "no folder for programs: {tried} (read-only, or mounted noexec); name another one with --bin-dir"
    )]
    NoFolder {
        /// The folders that were tried.
        tried: String,
    },
    /// A folder cannot be looked at.
    #[error("cannot look at {path}")]
    Look {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Seat {
    /// The first folder of `node` that takes programs: `declared` alone where it is declared.
    ///
    /// # Errors
    /// When every folder is read-only or mounted noexec.
    pub fn of(
        node: &NodeRoot,
        distribution: Distribution,
        declared: Option<&Path>,
    ) -> Result<Self, SeatError> {
        let folders = match declared {
            Some(folder) => vec![folder],
            None => FOLDERS.into_iter().map(Path::new).collect(),
        };
        for folder in &folders {
            let takes = takes_programs(node, folder).map_err(|source| SeatError::Look {
                path: folder.to_path_buf(),
                source,
            })?;
            if takes {
                return Ok(Self {
                    folder: folder.to_path_buf(),
                    named: *folder != Path::new(FOLDERS[0]) || !distribution.finds_by_name(),
                });
            }
        }
        let tried: Vec<_> = folders
            .iter()
            .map(|one| one.display().to_string())
            .collect();
        Err(SeatError::NoFolder {
            tried: tried.join(", "),
        })
    }

    /// Where a program goes.
    #[must_use]
    pub fn of_program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The path of the shim, where the configuration has to name it.
    #[must_use]
    pub fn shim(&self) -> Option<PathBuf> {
        self.named.then(|| self.of_program(SHIM))
    }
}

fn takes_programs(node: &NodeRoot, folder: &Path) -> io::Result<bool> {
    let folder = node.at(folder)?;
    let there = folder
        .ancestors()
        .find(|folder| folder.exists())
        .unwrap_or(&folder);
    let flags = statvfs(there)?.flags();
    Ok(!flags.intersects(FsFlags::ST_RDONLY | FsFlags::ST_NOEXEC))
}
