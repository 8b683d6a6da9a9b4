//! Where a node keeps what it has: one folder, one lock beside it, one cgroup parent.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::driver::Driver;

/// The folder below the system's temporary folder where all nodes of this machine stand.
const NODES: &str = "coracle-nodes";

/// The paths of one node, all derived from its folder.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// The layout of the node in `folder`, whose last component is the node's name.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// A layout with a name that no other node of this machine has.
    #[must_use]
    pub fn unique(driver: Driver) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.subsec_nanos());
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Socket paths end at 108 bytes, so the name stays short.
        let name = format!("{:x}-{count}-{:x}", std::process::id(), nanos >> 10);
        Self::at(Self::nodes().join(driver.mark(&name)))
    }

    /// The folder that holds all nodes of this machine.
    #[must_use]
    pub fn nodes() -> PathBuf {
        std::env::temp_dir().join(NODES)
    }

    /// The node's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The node's name, part of everything that outlives its namespaces.
    #[must_use]
    pub fn name(&self) -> String {
        self.folder
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The file that the node's keeper holds an exclusive lock on as long as it lives.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.folder.with_extension("lock")
    }

    /// The parent, in every hierarchy, of all cgroups that belong to the node.
    #[must_use]
    pub fn cgroup_parent(&self) -> String {
        self.driver().parent(&self.name())
    }

    /// The cgroup of the pod called `pod`.
    #[must_use]
    pub fn pod_cgroup(&self, pod: &str) -> String {
        self.driver().pod(&self.name(), pod)
    }

    /// The cgroup of a container without a pod, as its OCI spec names it.
    #[must_use]
    pub fn container_cgroup(&self, container: &str) -> String {
        self.driver().container(&self.name(), container)
    }

    /// Who makes the cgroups.
    #[must_use]
    pub fn driver(&self) -> Driver {
        Driver::of(&self.name())
    }

    /// containerd's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    /// containerd's configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("containerd.toml")
    }

    /// containerd's log; the shims' lines are in it too.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.service_log("containerd")
    }

    /// What the keeper and the node's first process had to say.
    #[must_use]
    pub fn keeper_log(&self) -> PathBuf {
        self.folder.join("keeper.log")
    }

    /// containerd's root: content and snapshots.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// containerd's state: bundles, mounts and pinned network namespaces.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The bundles of all tasks, below a folder for each containerd namespace.
    #[must_use]
    pub fn bundles(&self) -> PathBuf {
        self.state().join("io.containerd.runtime.v2.task")
    }

    /// The folder with the CNI configuration.
    #[must_use]
    pub fn cni(&self) -> PathBuf {
        self.folder.join("cni")
    }

    /// The addresses that host-local handed out.
    #[must_use]
    pub fn addresses(&self) -> PathBuf {
        self.folder.join("addresses")
    }

    /// The log folders of CRI pods.
    #[must_use]
    pub fn pod_logs(&self) -> PathBuf {
        self.folder.join("pods")
    }

    /// The stdio of tasks.
    #[must_use]
    pub fn stdio(&self) -> PathBuf {
        self.folder.join("stdio")
    }

    /// Temporary files of containerd and of the shims.
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    /// The file that names the snapshotter in use.
    #[must_use]
    pub fn snapshotter(&self) -> PathBuf {
        self.folder.join("snapshotter")
    }

    /// The descriptions of the programs that the node's first process runs.
    #[must_use]
    pub fn services(&self) -> PathBuf {
        self.folder.join("services")
    }

    /// What the program `service` wrote.
    #[must_use]
    pub fn service_log(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}.log"))
    }

    /// What stands as `/var/lib/kubelet` in the node's mount namespace.
    #[must_use]
    pub fn kubelet(&self) -> PathBuf {
        self.folder.join("kubelet")
    }

    /// All folders that have to be there before containerd starts.
    pub(crate) fn folders(&self) -> [PathBuf; 9] {
        [
            self.services(),
            self.kubelet(),
            self.root(),
            self.state(),
            self.cni(),
            self.addresses(),
            self.pod_logs(),
            self.stdio(),
            self.temporary(),
        ]
    }
}
