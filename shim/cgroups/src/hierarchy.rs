//! What this host has mounted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::location::Location;
use crate::{Cgroup, CgroupError, file};

const MOUNTS: &str = "/proc/self/mountinfo";

/// Where version 2 alone is mounted, on hosts that have no version 1.
const ROOT: &str = "/sys/fs/cgroup";

/// Controllers in which a container has a group of its own. Other named hierarchies belong to others.
const CONTROLLERS: [&str; 14] = [
    "blkio",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
    "cpu",
];

/// Controllers of version 2 that limits or figures of a container need.
const UNIFIED: [&str; 8] = [
    "cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma",
];

/// The hierarchy in which systemd keeps its units on hosts with version 1.
pub(crate) const NAMED: &str = "name=systemd";

/// The control groups of this host, as they are mounted. A copy is cheap and shares what was found.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    pub(crate) version: Arc<Version>,
}

#[derive(Debug)]
pub(crate) enum Version {
    /// Version 1; also where version 2 is mounted beside it, without controllers.
    V1(Vec<Mount>),
    /// Version 2, with the controllers at its root.
    V2 {
        root: PathBuf,
        controllers: Vec<String>,
    },
}

/// A mounted hierarchy of version 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) point: PathBuf,
    pub(crate) controllers: Vec<String>,
}

impl Mount {
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|one| one == controller)
    }
}

impl Hierarchy {
    /// Finds out what is mounted, from one read of this process's mounts.
    ///
    /// # Errors
    /// When they cannot be read, or control groups are not among them.
    pub fn detect() -> Result<Self, CgroupError> {
        let version = match parse(&file::read(Path::new(MOUNTS))?) {
            Some(Version::V2 { root, .. }) => Version::V2 {
                controllers: controllers_at(&root)?,
                root,
            },
            Some(version) => version,
            None => return Err(CgroupError::NotMounted),
        };
        Ok(Self {
            version: Arc::new(version),
        })
    }

    /// The control group that `linux.cgroupsPath` of a specification names; nothing is made yet. A
    /// relative path starts, as an absolute one does, where the hierarchy is mounted.
    ///
    /// # Errors
    /// When the path leads elsewhere, or its form is none that is known.
    pub fn cgroup(&self, path: &Path) -> Result<Cgroup, CgroupError> {
        Ok(Cgroup::new(self.clone(), Location::parse(path)?))
    }

    /// Whether this host has version 2 alone, so that it has all controllers.
    #[must_use]
    pub fn is_unified(&self) -> bool {
        matches!(*self.version, Version::V2 { .. })
    }
}

fn controllers_at(root: &Path) -> Result<Vec<String>, CgroupError> {
    let path = root.join("cgroup.controllers");
    let text = file::read(&path)?;
    Ok(text
        .split_whitespace()
        .filter(|name| UNIFIED.contains(name))
        .map(str::to_owned)
        .collect())
}

/// Version 1 where any controller is mounted so, else version 2 where it is mounted.
fn parse(text: &str) -> Option<Version> {
    let mut mounts: Vec<Mount> = Vec::new();
    let mut unified: Option<PathBuf> = None;
    for line in text.lines().filter_map(Line::parse) {
        match line.kind {
            "cgroup" => mounts.extend(line.mount().filter(|mount| is_new(&mounts, mount))),
            "cgroup2" if unified.is_none() || line.point == Path::new(ROOT) => {
                unified = Some(line.point);
            }
            _ => {}
        }
    }
    let has_controllers = mounts.iter().any(|mount| !mount.has(NAMED));
    if has_controllers {
        // Entering the group of `cpu` gives the processor away when the machine is busy: it comes last.
        mounts.sort_by_key(|mount| mount.has("cpu"));
        return Some(Version::V1(mounts));
    }
    unified.map(|root| Version::V2 {
        root,
        controllers: Vec::new(),
    })
}

/// Containers of other hosts' making mount the same hierarchy again; the first is the host's own.
fn is_new(mounts: &[Mount], mount: &Mount) -> bool {
    mounts
        .iter()
        .all(|other| other.controllers != mount.controllers)
}

struct Line<'a> {
    point: PathBuf,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Line<'a> {
    /// From `ID PARENT DEV ROOT POINT OPTIONS … - TYPE SOURCE SUPER-OPTIONS`.
    fn parse(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        Some(Self {
            point: before.split(' ').nth(4)?.into(),
            kind: after.next()?,
            options: after.nth(1)?,
        })
    }

    fn mount(self) -> Option<Mount> {
        let is_known = |option: &&str| *option == NAMED || CONTROLLERS.contains(option);
        let controllers: Vec<String> = self
            .options
            .split(',')
            .filter(is_known)
            .map(str::to_owned)
            .collect();
        let is_usable = !controllers.is_empty() && fs::exists(&self.point).unwrap_or(false);
        is_usable.then_some(Mount {
            point: self.point,
            controllers,
        })
    }
}

#[cfg(test)]
mod tests;
