//! The interface that both versions share.

use std::fmt;
use std::path::PathBuf;

use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;

use crate::mounts::{self, MountsError};
use crate::place;
use crate::stats::Stats;

/// Where hosts mount their control groups.
pub const DEFAULT_CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// What libcontainer does with the control group of a container.
pub trait CgroupManager {
    /// What can go wrong.
    type Error;

    /// Accepts a process that is in the control group already.
    ///
    /// # Errors
    /// When the process is elsewhere, or cannot be found.
    fn add_task(&self, pid: Pid) -> Result<(), Self::Error>;

    /// Does nothing: the limits were written when the control group was made.
    ///
    /// # Errors
    /// When a process asks for something that only its creation could have given.
    fn apply(&self, options: &ControllerOpt<'_>) -> Result<(), Self::Error>;

    /// Does nothing: whoever made the control group removes it, when nobody needs its figures any more.
    ///
    /// # Errors
    /// None.
    fn remove(&self) -> Result<(), Self::Error>;

    /// Refused.
    ///
    /// # Errors
    /// Always.
    fn freeze(&self, state: FreezerState) -> Result<(), Self::Error>;

    /// Refused.
    ///
    /// # Errors
    /// Always.
    fn stats(&self) -> Result<Stats, Self::Error>;

    /// Refused.
    ///
    /// # Errors
    /// Always.
    fn get_all_pids(&self) -> Result<Vec<Pid>, Self::Error>;
}

/// Why a control group cannot serve libcontainer.
#[derive(Debug, thiserror::Error)]
pub enum AnyManagerError {
    /// The process was not put there before libcontainer was called.
    #[error(
        "process {pid} is not in control group {}: it must have entered before libcontainer runs; \
         its control groups are {found:?}",
        expected.display()
    )]
    Elsewhere {
        /// The process.
        pid: i32,
        /// What the specification names.
        expected: PathBuf,
        /// The lines of the process's `cgroup` file.
        found: Vec<String>,
    },
    /// The control groups of a process cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// An operation that `coracle-cgroups` has and this crate has not.
    #[error("cannot {operation} control group {}: coracle-cgroups does that", path.display())]
    NotHere {
        /// What was asked for.
        operation: &'static str,
        /// The control group.
        path: PathBuf,
    },
}

/// Why it is not known how this host has mounted its control groups.
#[derive(Debug, thiserror::Error)]
pub enum GetCgroupSetupError {
    /// The mounts cannot be read.
    #[error(transparent)]
    Mounts(#[from] MountsError),
    /// They are none that are known.
    #[error(
        "no control groups are mounted at {DEFAULT_CGROUP_ROOT}: accepted are cgroup2, or a tmpfs with version 1"
    )]
    FailedToDetect,
}

/// Why there is no manager for a container.
#[derive(Debug, thiserror::Error)]
pub enum CreateCgroupSetupError {
    /// The host's control groups are not known.
    #[error(transparent)]
    Setup(#[from] GetCgroupSetupError),
}

/// How a host has mounted its control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupSetup {
    /// Version 1, with version 2 beside it for systemd.
    Hybrid,
    /// Version 1 alone.
    Legacy,
    /// Version 2 alone.
    Unified,
}

impl fmt::Display for CgroupSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hybrid => "hybrid",
            Self::Legacy => "legacy",
            Self::Unified => "unified",
        })
    }
}

/// What a freezer can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreezerState {
    /// Nothing is known.
    Undefined,
    /// All processes stand still.
    Frozen,
    /// All processes run.
    Thawed,
}

/// What libcontainer would have written.
#[derive(Clone, Debug)]
pub struct ControllerOpt<'a> {
    /// The limits of the container.
    pub resources: &'a LinuxResources,
    /// Whether processes wait instead of being killed when memory runs out.
    pub disable_oom_killer: bool,
    /// Adjustment of the score by which the kernel chooses whom to kill.
    pub oom_score_adj: Option<i32>,
    /// State to bring the freezer to.
    pub freezer_state: Option<FreezerState>,
}

/// The control group of a container.
#[derive(Clone, Debug)]
pub struct CgroupConfig {
    /// `linux.cgroupsPath` of the specification.
    pub cgroup_path: PathBuf,
    /// Whether systemd makes it.
    pub systemd_cgroup: bool,
    /// The container's name.
    pub container_name: String,
}

/// The control group that a container's process has to be in.
#[derive(Debug)]
pub struct AnyCgroupManager {
    path: PathBuf,
}

impl AnyCgroupManager {
    /// The same: nothing here depends on privileges.
    #[must_use]
    pub fn with_rootless(self, _rootless: bool) -> Self {
        self
    }

    fn not_here<T>(&self, operation: &'static str) -> Result<T, AnyManagerError> {
        Err(AnyManagerError::NotHere {
            operation,
            path: self.path.clone(),
        })
    }
}

impl CgroupManager for AnyCgroupManager {
    type Error = AnyManagerError;

    fn add_task(&self, pid: Pid) -> Result<(), AnyManagerError> {
        place::check(pid, &self.path)
    }

    fn apply(&self, _options: &ControllerOpt<'_>) -> Result<(), AnyManagerError> {
        Ok(())
    }

    fn remove(&self) -> Result<(), AnyManagerError> {
        Ok(())
    }

    fn freeze(&self, state: FreezerState) -> Result<(), AnyManagerError> {
        self.not_here(match state {
            FreezerState::Frozen => "freeze",
            FreezerState::Thawed | FreezerState::Undefined => "thaw",
        })
    }

    fn stats(&self) -> Result<Stats, AnyManagerError> {
        self.not_here("read the statistics of")
    }

    fn get_all_pids(&self) -> Result<Vec<Pid>, AnyManagerError> {
        self.not_here("list the processes of")
    }
}

/// How this host has mounted its control groups.
///
/// # Errors
/// When the mounts cannot be read, or are none that are known.
pub fn get_cgroup_setup() -> Result<CgroupSetup, GetCgroupSetupError> {
    mounts::read()?
        .setup
        .ok_or(GetCgroupSetupError::FailedToDetect)
}

/// The control group of a container.
///
/// # Errors
/// When this host has none.
pub fn create_cgroup_manager(
    config: CgroupConfig,
) -> Result<AnyCgroupManager, CreateCgroupSetupError> {
    get_cgroup_setup()?;
    Ok(AnyCgroupManager {
        path: config.cgroup_path,
    })
}
