//! What can go wrong with a control group.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::BusError;

/// An operation on a control group failed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// This host has no control groups where they are looked for.
    #[error(
        "no control groups are mounted: accepted are cgroup version 2, or version 1 with the \
         controllers below one folder"
    )]
    NotMounted,
    /// A specification names a path that is no place for a container.
    #[error("cgroupsPath {path:?} is refused: {reason}; accepted are {accepted}")]
    Location {
        /// What the specification says.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
        /// What would be right.
        accepted: &'static str,
    },
    /// A value that no control group can take.
    #[error("{key} cannot be {value:?}: accepted are {accepted}")]
    Value {
        /// The key of the specification.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        accepted: &'static str,
    },
    /// A limit is wanted that this host cannot enforce.
    #[error("{key} cannot be enforced: this host has no {controller} controller for {}", path.display())]
    NoController {
        /// The key of the specification.
        key: &'static str,
        /// The controller.
        controller: &'static str,
        /// The control group.
        path: PathBuf,
    },
    /// A new container's control group has processes of somebody else.
    #[error("control group {} is in use by processes {processes:?}", path.display())]
    Occupied {
        /// The folder of the group.
        path: PathBuf,
        /// The processes.
        processes: Vec<i32>,
    },
    /// A control group cannot be removed while it has processes.
    #[error("control group {} still has processes {processes:?}", path.display())]
    Busy {
        /// The folder of the group.
        path: PathBuf,
        /// The processes.
        processes: Vec<i32>,
    },
    /// Processes did not stop, or not go on, in time. They were told to be as they were before.
    #[error(
        "control group {} is not {wanted} after {} s",
        path.display(),
        patience.as_secs()
    )]
    Unsettled {
        /// The folder of the group.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
        /// How long it was given.
        patience: Duration,
    },
    /// A process cannot be sent a signal.
    #[error("cannot send {signal} to process {process}")]
    Signal {
        /// The process.
        process: i32,
        /// The signal's name.
        signal: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// systemd cannot be asked, or refuses.
    #[error("systemd cannot {operation} unit {unit}")]
    Systemd {
        /// What was asked for.
        operation: &'static str,
        /// The unit.
        unit: String,
        /// What went wrong.
        #[source]
        source: BusError,
    },
    /// The kernel refused a value.
    #[error("cannot write {value:?} to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The value.
        value: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A file has not the form that the kernel documents.
    #[error("{} has {found:?} where {expected} is expected", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What it should have.
        expected: &'static str,
    },
    /// A folder cannot be made, opened or removed.
    #[error("cannot {operation} {}", path.display())]
    Folder {
        /// What was tried.
        operation: &'static str,
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl CgroupError {
    /// For `map_err`: this operation on this folder failed.
    pub(crate) fn folder(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Folder {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}
