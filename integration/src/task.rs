//! Containers by containerd's task API, written as sentences.

mod exec;
mod handle;
mod options;
mod spec;
mod stdio;

pub use exec::{Exec, Process};
pub use handle::{Finished, State, Task};
pub use nix::sys::signal::Signal;
pub use oci_spec::runtime::Capability;
pub use stdio::Output;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use containerd_client::services::v1::container::Runtime as RuntimeRecord;
use containerd_client::services::v1::snapshots::PrepareSnapshotRequest;
use containerd_client::services::v1::{
    Container as Record, CreateContainerRequest, CreateTaskRequest,
};

use crate::executor::executor;
use crate::image::Image;
use crate::node::{Node, SHIM_DIR};
use crate::patience::patient;
use stdio::Stdio;

/// How long anything may take unless a test says otherwise.
const DEADLINE: Duration = Duration::from_secs(60);

/// What runs a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// containerd's shim for runc.
    #[default]
    Runc,
    /// The shim under test, from the folder that `CORACLE_SHIM_DIR` names.
    Coracle,
    /// Another one, by its full name.
    Other(String),
}

impl Runtime {
    fn name(&self) -> Result<&str> {
        match self {
            Self::Runc => Ok("io.containerd.runc.v2"),
            Self::Coracle => {
                require_shim()?;
                Ok("io.containerd.coracle.v1")
            }
            Self::Other(name) => Ok(name),
        }
    }
}

/// Says what is missing when there is no shim to test.
pub(crate) fn require_shim() -> Result<()> {
    const BINARY: &str = "containerd-shim-coracle-v1";
    let folder = std::env::var(SHIM_DIR).with_context(|| {
        format!("{SHIM_DIR} does not name the folder of {BINARY}: run `cargo xtask test`")
    })?;
    let binary = Path::new(&folder).join(BINARY);
    anyhow::ensure!(
        binary.is_file(),
        "no {} ({SHIM_DIR} names that folder): run `cargo xtask test`",
        binary.display()
    );
    Ok(())
}

/// A bind mount.
#[derive(Clone, Debug)]
struct Mount {
    source: PathBuf,
    target: String,
    writable: bool,
}

/// A container that is still being described.
#[derive(Clone, Debug)]
#[must_use]
pub struct Container<'n> {
    node: &'n Node,
    id: String,
    image: Option<Image>,
    runtime: Runtime,
    words: Option<Vec<String>>,
    args: Option<Vec<String>>,
    env: Vec<String>,
    mounts: Vec<Mount>,
    annotations: HashMap<String, String>,
    stdin: Option<Vec<u8>>,
    user: Option<(u32, u32)>,
    capabilities: Option<HashSet<Capability>>,
    forbidden_call: Option<String>,
    shares_processes: bool,
    deadline: Duration,
}

impl Node {
    /// Begins to describe a container; its id is `name` and something that makes it unique.
    pub fn container(&self, name: &str) -> Container<'_> {
        Container {
            node: self,
            id: format!("{name}-{}", crate::unique()),
            image: None,
            runtime: Runtime::default(),
            words: None,
            args: None,
            env: Vec::new(),
            mounts: Vec::new(),
            annotations: HashMap::new(),
            stdin: None,
            user: None,
            capabilities: None,
            forbidden_call: None,
            shares_processes: false,
            deadline: patient(DEADLINE),
        }
    }
}

impl<'n> Container<'n> {
    /// The image, which is pushed if containerd does not have it.
    pub fn image(mut self, image: &Image) -> Self {
        self.image = Some(image.clone());
        self
    }

    /// What runs it; runc unless another is named.
    pub fn runtime(mut self, runtime: Runtime) -> Self {
        self.runtime = runtime;
        self
    }

    /// The whole command line, instead of the image's.
    pub fn command<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.words = Some(words.into_iter().map(Into::into).collect());
        self
    }

    /// What follows the image's entrypoint.
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push(format!("{name}={value}"));
        self
    }

    /// Binds the host's `source` to `target`, writable.
    pub fn mount(mut self, source: &Path, target: &str) -> Self {
        self.mounts.push(Mount {
            source: source.to_owned(),
            target: target.to_owned(),
            writable: true,
        });
        self
    }

    /// Binds the host's `source` to `target`, read-only.
    pub fn mount_read_only(mut self, source: &Path, target: &str) -> Self {
        self.mounts.push(Mount {
            source: source.to_owned(),
            target: target.to_owned(),
            writable: false,
        });
        self
    }

    /// Adds an annotation to the OCI spec.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// What the container reads from its standard input, which ends after it.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Runs as this user and group, instead of root.
    pub fn user(mut self, user: u32, group: u32) -> Self {
        self.user = Some((user, group));
        self
    }

    /// Grants these capabilities, instead of the usual ones.
    pub fn capabilities(mut self, granted: impl IntoIterator<Item = Capability>) -> Self {
        self.capabilities = Some(granted.into_iter().collect());
        self
    }

    /// Adds a seccomp profile that allows everything but one system call, which is answered with EPERM.
    pub fn forbid(mut self, call: &str) -> Self {
        self.forbidden_call = Some(call.to_owned());
        self
    }

    /// Has no PID namespace of its own, but the shim's.
    pub fn share_processes(mut self) -> Self {
        self.shares_processes = true;
        self
    }

    /// How long any one step may take, instead of a minute.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it from its creation to its removal.
    ///
    /// # Errors
    /// When a step is refused or takes too long. An exit code is no error.
    pub async fn run(self) -> Result<Finished> {
        self.start().await?.finish().await
    }

    /// Creates and starts it.
    ///
    /// # Errors
    /// When a step is refused or takes too long.
    pub async fn start(self) -> Result<Task<'n>> {
        let mut task = self.create().await?;
        task.start().await?;
        Ok(task)
    }

    /// Creates container and task, without starting it.
    ///
    /// # Errors
    /// When a step is refused or takes too long.
    pub async fn create(self) -> Result<Task<'n>> {
        let id = self.id.clone();
        let log = self.node.layout().log();
        self.created().await.with_context(|| {
            format!(
                "create {id}; containerd said:\n{}",
                crate::logs::about(&log, &id)
            )
        })
    }

    async fn created(self) -> Result<Task<'n>> {
        let image = self.image.clone().context("a container needs an image")?;
        let runtime = self.runtime.name()?.to_owned();
        let containerd = self.node.tasks();
        if !containerd.has(&image).await? {
            containerd.push(&image).await?;
        }
        let spec = spec::spec(&self, &image)?;
        let folder = self.node.layout().stdio().join(&self.id);
        fs::create_dir_all(&folder)?;
        let stdio = Stdio::open(executor()?, &folder, self.stdin.is_some())?;
        // From here on the destructor removes what there is.
        let mut task = Task::new(self.node, &self.id, stdio, self.stdin, self.deadline);
        let prepare = PrepareSnapshotRequest {
            snapshotter: containerd.snapshotter().to_owned(),
            key: self.id.clone(),
            parent: image.chain_id().unwrap_or_default(),
            ..PrepareSnapshotRequest::default()
        };
        let record = Record {
            id: self.id.clone(),
            image: image.name.clone(),
            runtime: Some(RuntimeRecord {
                name: runtime,
                options: None,
            }),
            spec: Some(spec),
            snapshotter: containerd.snapshotter().to_owned(),
            snapshot_key: self.id.clone(),
            ..Record::default()
        };
        let client = containerd.client();
        // The record comes first: the garbage collector may take a snapshot that nothing refers to.
        client
            .containers()
            .create(containerd.request(CreateContainerRequest {
                container: Some(record),
            }))
            .await
            .context("create the container")?;
        let mounts = client
            .snapshots()
            .prepare(containerd.request(prepare))
            .await
            .context("prepare the root file system")?
            .into_inner()
            .mounts;
        let create = CreateTaskRequest {
            container_id: self.id.clone(),
            rootfs: mounts,
            stdin: task.stdio.stdin_path(),
            stdout: task.stdio.stdout_path(),
            stderr: task.stdio.stderr_path(),
            options: options::of(&self.runtime, self.node.layout().driver()),
            ..CreateTaskRequest::default()
        };
        task.create(create).await?;
        Ok(task)
    }
}
