//! Why a node could not be changed.

use std::io;
use std::path::PathBuf;

use crate::binary::SeatError;
use crate::distribution::DistributionError;
use crate::host::HostError;
use crate::payload::PayloadError;
use crate::plan::PlanError;
use crate::record::RecordError;
use crate::transaction::ChangeError;

/// Why an installation or a removal failed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The distribution is not known.
    #[error(transparent)]
    Distribution(#[from] DistributionError),
    /// The programs have nowhere to go.
    #[error(transparent)]
    Seat(#[from] SeatError),
    /// The configuration cannot take the entry.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The record cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A file cannot be changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A running program did not do what it was asked.
    #[error(transparent)]
    Host(#[from] HostError),
    /// What is to be installed cannot be.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The lock cannot be had.
    #[error("cannot lock {path}")]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// containerd does not accept what would stand in its configuration.
    #[error("containerd refuses the configuration with {path} in it; nothing was changed")]
    Refused {
        /// The file that would have been written.
        path: PathBuf,
        /// What it says.
        #[source]
        source: HostError,
    },
    /// containerd reads the configuration and does not see the entry.
    #[error("containerd does not see the entry in {path}; nothing was changed")]
    Ignored {
        /// The file that would have been written.
        path: PathBuf,
    },
    /// containerd did not come back.
    #[error("containerd is not back after {seconds} s")]
    NotBack {
        /// How long was waited.
        seconds: u64,
        /// The last attempt.
        #[source]
        source: HostError,
    },
    /// containerd runs, and has not loaded the handler.
    #[error("containerd runs without handler `coracle`; loaded: {loaded}")]
    NotLoaded {
        /// The handlers that it has.
        loaded: String,
    },
    /// The installation failed, and everything is as before.
    #[error("not installed; every file is as it was, and containerd runs as before")]
    Undone {
        /// Why it failed.
        #[source]
        cause: Box<InstallError>,
    },
    /// The installation failed, and a file could not be restored.
    #[error("not installed ({cause}), and not everything could be undone")]
    HalfUndone {
        /// Why it failed.
        cause: Box<InstallError>,
        /// What could not be undone.
        #[source]
        error: ChangeError,
    },
    /// The installation failed, every file is as before, and containerd does not run.
    #[error(
        "not installed ({cause}); every file is as it was, and containerd does not come back even so"
    )]
    StillDown {
        /// Why it failed.
        cause: Box<InstallError>,
        /// What happened after the files were restored.
        #[source]
        then: Box<InstallError>,
    },
    /// Pods of this runtime run.
    #[error(
        "pods of this runtime run on the node (shims: {pids}); remove them first, or say --force"
    )]
    InUse {
        /// Their shims.
        pids: String,
    },
}
