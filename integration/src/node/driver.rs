//! Who makes the cgroups of pods and containers, and what they are called for it.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The cgroup driver of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The runtimes themselves, in the file system of cgroups.
    #[default]
    Cgroupfs,
    /// systemd, asked through D-Bus, as most kubelets have it.
    ///
    /// systemd understands only process ids of its own PID namespace, so such a node has none of its own: what
    /// is left of it when its keeper is killed stays until somebody sweeps.
    Systemd,
}

/// How names of nodes with the systemd driver begin: a node is known by its folder alone.
const MARK: &str = "systemd-";

impl Driver {
    /// The driver of the node called `name`.
    pub(super) fn of(name: &str) -> Self {
        if name.starts_with(MARK) {
            Self::Systemd
        } else {
            Self::Cgroupfs
        }
    }

    /// `name` as a node with this driver has it.
    pub(super) fn mark(self, name: &str) -> String {
        match self {
            Self::Cgroupfs => name.to_owned(),
            Self::Systemd => format!("{MARK}{name}"),
        }
    }

    /// The cgroup of the node called `name`.
    pub(super) fn parent(self, name: &str) -> String {
        match self {
            Self::Cgroupfs => format!("/coracle-test-{name}"),
            Self::Systemd => format!("/{}.slice", stem(name)),
        }
    }

    /// The cgroup of a pod on the node called `node`, as a kubelet says it to CRI.
    pub(super) fn pod(self, node: &str, pod: &str) -> String {
        let parent = self.parent(node);
        match self {
            Self::Cgroupfs => format!("{parent}/{pod}"),
            // A hyphen stands for a level of slices, so the names of nodes and pods lose theirs.
            Self::Systemd => format!("{parent}/{}-{}.slice", stem(node), flat(pod)),
        }
    }

    /// The cgroup of a container without a pod, as it stands in its OCI spec.
    pub(super) fn container(self, node: &str, container: &str) -> String {
        match self {
            Self::Cgroupfs => format!("{}/{container}", self.parent(node)),
            Self::Systemd => format!("{}.slice:coracle:{container}", stem(node)),
        }
    }

    /// Has systemd end what is left in the slice of the node called `name`, and forget it.
    pub(super) fn end(self, name: &str) -> Result<()> {
        if self == Self::Cgroupfs {
            return Ok(());
        }
        let slice = format!("{}.slice", stem(name));
        let stopped = Command::new("systemctl")
            .args(["stop", &slice])
            .status()
            .context("start systemctl")?;
        ensure!(stopped.success(), "systemctl stop {slice}: {stopped}");
        Ok(())
    }
}

fn stem(node: &str) -> String {
    format!("coracletest_{}", flat(node))
}

fn flat(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_have_a_hyphen_for_each_level() {
        let name = Driver::Systemd.mark("1-0");
        assert_eq!(Driver::of(&name), Driver::Systemd);
        let node = "coracletest_systemd_1_0";
        assert_eq!(
            Driver::Systemd.pod(&name, "web-1"),
            format!("/{node}.slice/{node}-web_1.slice")
        );
        assert_eq!(
            Driver::Systemd.container(&name, "sh-2"),
            format!("{node}.slice:coracle:sh-2")
        );
    }

    #[test]
    fn the_usual_driver_has_paths() {
        assert_eq!(Driver::of("1-0"), Driver::Cgroupfs);
        assert_eq!(Driver::Cgroupfs.pod("1-0", "web"), "/coracle-test-1-0/web");
    }
}
