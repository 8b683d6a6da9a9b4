//! What is there on a node although all its containers and pods were removed.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use containerd_client::services::v1::ListTasksRequest;
use tokio::time::{Instant, sleep};

use crate::cgroup;
use crate::node::Node;
use crate::patience::patient;
use crate::processes;

/// How often the node is looked at.
const PERIOD: Duration = Duration::from_millis(50);

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Command lines of processes other than the node's first one and containerd.
    pub processes: Vec<String>,
    /// Mount points below the node's state folder.
    pub mounts: Vec<String>,
    /// Cgroups below the node's own.
    pub cgroups: Vec<PathBuf>,
    /// Pinned network namespaces.
    pub networks: Vec<PathBuf>,
    /// Bundle folders.
    pub bundles: Vec<PathBuf>,
    /// Tasks, as `namespace/id`.
    pub tasks: Vec<String>,
}

impl Leftovers {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#?}")
    }
}

impl Node {
    /// What containers and pods have on the node at this moment.
    ///
    /// # Errors
    /// When the node is gone.
    pub async fn leftovers(&self) -> Result<Leftovers> {
        let mut tasks = Vec::new();
        for containerd in [self.tasks(), self.pods()] {
            let list = containerd.request(ListTasksRequest::default());
            let listed = containerd.client().tasks().list(list).await?.into_inner();
            let namespace = containerd.namespace();
            // A task's process has the container's id in `id`.
            tasks.extend(
                listed
                    .tasks
                    .into_iter()
                    .map(|task| format!("{namespace}/{}", task.id)),
            );
        }
        let state = self.layout().state();
        let mut networks = entries(&self.inside(Path::new("/run/netns")))?;
        networks.extend(entries(&state.join("io.containerd.grpc.v1.cri/netns"))?);
        let mut bundles = Vec::new();
        for namespace in entries(&self.layout().bundles())? {
            bundles.extend(entries(&namespace)?);
        }
        let parent = self.layout().cgroup_parent();
        let mut cgroups = cgroup::below(&parent)?;
        cgroups.retain(|cgroup| !cgroup.ends_with(parent.trim_start_matches('/')));
        Ok(Leftovers {
            processes: self.strangers()?,
            mounts: self.mounts_below(&state)?,
            cgroups,
            networks,
            bundles,
            tasks,
        })
    }

    /// Waits until nothing is left over; what containerd does after an answer may take a moment.
    ///
    /// # Errors
    /// When something is still there after `deadline`.
    pub async fn nothing_is_left(&self, deadline: Duration) -> Result<()> {
        let end = Instant::now() + patient(deadline);
        loop {
            let leftovers = self.leftovers().await?;
            if leftovers.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("left over after {:?}: {leftovers}", patient(deadline));
            }
            sleep(PERIOD).await;
        }
    }

    fn strangers(&self) -> Result<Vec<String>> {
        let first = self.first_process();
        Ok(processes::in_namespace_of(first)?
            .into_iter()
            .filter(|process| process.pid != first)
            .filter(|process| !(process.parent == first && process.name == "containerd"))
            .map(|process| format!("{} {} {}", process.pid, process.name, process.command))
            .collect())
    }

    fn mounts_below(&self, folder: &Path) -> Result<Vec<String>> {
        let path = format!("/proc/{}/mountinfo", self.first_process());
        let mounts = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        Ok(mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .filter(|point| Path::new(point).starts_with(folder))
            .map(str::to_owned)
            .collect())
    }

    /// `path` as the node's first process sees it.
    fn inside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.first_process()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("list {}", folder.display()))?,
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}
