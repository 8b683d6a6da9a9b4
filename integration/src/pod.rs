//! Pods by CRI, as a kubelet makes them.

mod exec;
mod handle;
mod log;

pub use handle::{Ended, Pod};
pub use k8s_cri::v1::{ContainerState, PodSandboxState};

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_cri::v1::{
    ContainerConfig, ContainerMetadata, DnsConfig, ImageSpec, KeyValue, LinuxContainerConfig,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, Mount,
    NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata,
};

use crate::image::Image;
use crate::node::Node;
use crate::patience::patient;
use crate::task::require_shim;

/// How long anything may take unless a test says otherwise.
const DEADLINE: Duration = Duration::from_secs(60);

/// The handler of the shim under test.
pub const CORACLE: &str = "coracle";

/// The handler of runc.
pub const RUNC: &str = "runc";

/// What a kubelet asks for unless a pod says otherwise: a PID namespace for each container, the rest shared.
/// CRI's own default shares the PID namespace too.
fn kubelets_namespaces() -> NamespaceOption {
    NamespaceOption {
        pid: NamespaceMode::Container.into(),
        ..NamespaceOption::default()
    }
}

/// A container of a pod, described.
#[derive(Clone, Debug)]
#[must_use]
pub struct PodContainer {
    image: Image,
    config: ContainerConfig,
}

impl PodContainer {
    /// A container called `name` that runs what `image` says.
    pub fn new(name: &str, image: &Image) -> Self {
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata {
                name: name.to_owned(),
                attempt: 0,
            }),
            image: Some(ImageSpec {
                image: image.name.clone(),
                ..ImageSpec::default()
            }),
            log_path: format!("{name}.log"),
            linux: Some(LinuxContainerConfig {
                security_context: Some(LinuxContainerSecurityContext {
                    namespace_options: Some(kubelets_namespaces()),
                    ..LinuxContainerSecurityContext::default()
                }),
                ..LinuxContainerConfig::default()
            }),
            ..ContainerConfig::default()
        };
        Self {
            image: image.clone(),
            config,
        }
    }

    /// Replaces the image's entrypoint.
    pub fn command<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.config.command = words.into_iter().map(Into::into).collect();
        self
    }

    /// Replaces the image's arguments.
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.config.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.config.envs.push(KeyValue {
            key: name.to_owned(),
            value: value.to_owned(),
        });
        self
    }

    /// Binds the host's `source` to `target`, writable.
    pub fn mount(mut self, source: &Path, target: &str) -> Self {
        self.config.mounts.push(Mount {
            container_path: target.to_owned(),
            host_path: source.to_string_lossy().into_owned(),
            ..Mount::default()
        });
        self
    }

    fn name(&self) -> &str {
        self.config
            .metadata
            .as_ref()
            .map_or("", |metadata| &metadata.name)
    }
}

/// A pod that is still being described.
#[derive(Clone, Debug)]
#[must_use]
pub struct Description<'n> {
    node: &'n Node,
    name: String,
    runtime: String,
    containers: Vec<PodContainer>,
    annotations: HashMap<String, String>,
    deadline: Duration,
}

impl Node {
    /// Begins to describe a pod; its name in CRI is `name` and something that makes it unique.
    pub fn pod(&self, name: &str) -> Description<'_> {
        Description {
            node: self,
            name: format!("{name}-{}", crate::unique()),
            runtime: RUNC.to_owned(),
            containers: Vec::new(),
            annotations: HashMap::new(),
            deadline: patient(DEADLINE),
        }
    }
}

impl<'n> Description<'n> {
    /// The runtime handler; `runc` unless another is named.
    pub fn runtime(mut self, handler: &str) -> Self {
        handler.clone_into(&mut self.runtime);
        self
    }

    /// Adds a container.
    pub fn container(mut self, container: PodContainer) -> Self {
        self.containers.push(container);
        self
    }

    /// Adds an annotation to the pod.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// How long any one step may take, instead of a minute.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs the sandbox, then creates and starts the containers, one after the other.
    ///
    /// # Errors
    /// When a step is refused or takes too long.
    pub async fn start(mut self) -> Result<Pod<'n>> {
        let containers = std::mem::take(&mut self.containers);
        let mut pod = self.sandbox().await?;
        for container in containers {
            let name = container.name().to_owned();
            pod.create(container).await?;
            pod.start(&name).await?;
        }
        Ok(pod)
    }

    /// Runs the sandbox alone.
    ///
    /// # Errors
    /// When CRI refuses or takes too long.
    pub async fn sandbox(self) -> Result<Pod<'n>> {
        if self.runtime == CORACLE {
            require_shim()?;
        }
        let logs = self.node.layout().pod_logs().join(&self.name);
        std::fs::create_dir_all(&logs).context("make the pod's log folder")?;
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: self.name.clone(),
                uid: self.name.clone(),
                namespace: "default".to_owned(),
                attempt: 0,
            }),
            hostname: self.name.clone(),
            log_directory: logs.to_string_lossy().into_owned(),
            // Else CRI copies /etc/resolv.conf, which may be a link to nowhere in the node's mounts.
            dns_config: Some(DnsConfig {
                servers: vec!["127.0.0.1".to_owned()],
                ..DnsConfig::default()
            }),
            annotations: self.annotations,
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: self.node.layout().pod_cgroup(&self.name),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(kubelets_namespaces()),
                    ..LinuxSandboxSecurityContext::default()
                }),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        };
        Pod::run(self.node, self.name, config, &self.runtime, self.deadline).await
    }
}
