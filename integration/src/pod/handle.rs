//! A pod that runs: its sandbox, its containers, their logs, and its end.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    ContainerState, ContainerStatus, ContainerStatusRequest, CreateContainerRequest, ImageSpec,
    ImageStatusRequest, PodSandboxConfig, PodSandboxState, PodSandboxStatus,
    PodSandboxStatusRequest, RemoveContainerRequest, RemovePodSandboxRequest, RunPodSandboxRequest,
    StartContainerRequest, StopContainerRequest, StopPodSandboxRequest,
};
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;

use super::{PodContainer, log as cri_log};
use crate::cgroup;
use crate::executor::finish;
use crate::image::Image;
use crate::logs;
use crate::node::Node;
use crate::patience::patient;
use crate::processes::{self, Process};
use crate::task::Output;

/// How often a condition is looked at.
const PERIOD: Duration = Duration::from_millis(20);

/// How long CRI may take to notice an image that was pushed.
const IMAGE_SEEN_BY: Duration = Duration::from_secs(10);

/// How a container of a pod ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// What CRI calls the reason: `Completed`, `Error`, `OOMKilled`.
    pub reason: String,
    /// All that it wrote to its standard output.
    pub stdout: Output,
    /// All that it wrote to its standard error.
    pub stderr: Output,
}

/// A pod. Dropping it stops and removes it.
#[derive(Debug)]
pub struct Pod<'n> {
    node: &'n Node,
    name: String,
    id: String,
    config: PodSandboxConfig,
    /// Name and CRI id of each container.
    containers: Vec<(String, String)>,
    deadline: Duration,
    removed: bool,
}

impl<'n> Pod<'n> {
    pub(super) async fn run(
        node: &'n Node,
        name: String,
        config: PodSandboxConfig,
        runtime: &str,
        deadline: Duration,
    ) -> Result<Self> {
        let mut pod = Self {
            node,
            name,
            id: String::new(),
            config,
            containers: Vec::new(),
            deadline,
            removed: false,
        };
        let request = RunPodSandboxRequest {
            config: Some(pod.config.clone()),
            runtime_handler: runtime.to_owned(),
        };
        let mut cri = pod.cri();
        match pod
            .within("run its sandbox", cri.run_pod_sandbox(request))
            .await
        {
            Ok(sandbox) => pod.id = sandbox.into_inner().pod_sandbox_id,
            Err(error) => {
                // CRI removes what it could not run.
                pod.removed = true;
                return Err(error);
            }
        }
        Ok(pod)
    }

    /// Creates a container.
    ///
    /// # Errors
    /// When CRI does not see the image, refuses, or takes too long.
    pub async fn create(&mut self, container: PodContainer) -> Result<()> {
        let name = container.name().to_owned();
        self.see(&container.image).await?;
        let request = CreateContainerRequest {
            pod_sandbox_id: self.id.clone(),
            config: Some(container.config),
            sandbox_config: Some(self.config.clone()),
        };
        let mut cri = self.cri();
        let created = self
            .within(
                &format!("create container {name}"),
                cri.create_container(request),
            )
            .await?;
        self.containers
            .push((name, created.into_inner().container_id));
        Ok(())
    }

    /// Pushes `image` if need be, and waits until CRI has noticed.
    async fn see(&self, image: &Image) -> Result<()> {
        let containerd = self.node.pods();
        if !containerd.has(image).await? {
            containerd.push(image).await?;
        }
        let mut images = ImageServiceClient::new(containerd.client().channel());
        let deadline = Instant::now() + patient(IMAGE_SEEN_BY);
        loop {
            let request = ImageStatusRequest {
                image: Some(ImageSpec {
                    image: image.name.clone(),
                    ..ImageSpec::default()
                }),
                verbose: false,
            };
            let status = images
                .image_status(request)
                .await
                .with_context(|| format!("ask CRI for image {}", image.name))?;
            if status.into_inner().image.is_some() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(anyhow!(
                    "CRI does not see image {}; containerd's log:\n{}",
                    image.name,
                    logs::about(&self.node.layout().log(), &image.name)
                ));
            }
            sleep(PERIOD).await;
        }
    }

    /// Starts container `name`.
    ///
    /// # Errors
    /// When there is no such container, or CRI refuses or takes too long.
    pub async fn start(&self, name: &str) -> Result<()> {
        let request = StartContainerRequest {
            container_id: self.container_id(name)?,
        };
        let mut cri = self.cri();
        self.within(
            &format!("start container {name}"),
            cri.start_container(request),
        )
        .await?;
        Ok(())
    }

    /// Asks container `name` to end, kills it after `grace`.
    ///
    /// # Errors
    /// When there is no such container, or CRI refuses or takes too long.
    pub async fn stop(&self, name: &str, grace: Duration) -> Result<()> {
        let request = StopContainerRequest {
            container_id: self.container_id(name)?,
            timeout: i64::try_from(grace.as_secs())?,
        };
        let mut cri = self.cri();
        self.within(
            &format!("stop container {name}"),
            cri.stop_container(request),
        )
        .await?;
        Ok(())
    }

    /// Removes container `name`.
    ///
    /// # Errors
    /// When there is no such container, or CRI refuses or takes too long.
    pub async fn remove_container(&mut self, name: &str) -> Result<()> {
        let request = RemoveContainerRequest {
            container_id: self.container_id(name)?,
        };
        let mut cri = self.cri();
        self.within(
            &format!("remove container {name}"),
            cri.remove_container(request),
        )
        .await?;
        self.containers.retain(|(known, _)| known != name);
        Ok(())
    }

    /// What CRI says about container `name`.
    ///
    /// # Errors
    /// When there is no such container.
    pub async fn status(&self, name: &str) -> Result<ContainerStatus> {
        let request = ContainerStatusRequest {
            container_id: self.container_id(name)?,
            verbose: false,
        };
        let status = self.cri().container_status(request).await?.into_inner();
        status.status.context("a container without a status")
    }

    /// Waits until container `name` is running.
    ///
    /// # Errors
    /// When it does not run in time.
    pub async fn running(&self, name: &str) -> Result<()> {
        self.until(name, "run", |status| {
            status.state() == ContainerState::ContainerRunning
        })
        .await?;
        Ok(())
    }

    /// Waits until container `name` has ended.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn ended(&self, name: &str) -> Result<Ended> {
        let status = self
            .until(name, "end", |status| {
                status.state() == ContainerState::ContainerExited
            })
            .await?;
        let (stdout, stderr) = self.logs(name)?;
        Ok(Ended {
            code: status.exit_code,
            reason: status.reason,
            stdout,
            stderr,
        })
    }

    async fn until(
        &self,
        name: &str,
        what: &str,
        reached: impl Fn(&ContainerStatus) -> bool,
    ) -> Result<ContainerStatus> {
        let deadline = Instant::now() + self.deadline;
        loop {
            let status = self.status(name).await?;
            if reached(&status) {
                return Ok(status);
            }
            if Instant::now() > deadline {
                let error = anyhow!(
                    "container {name} did not {what} within {:?}: {status:?}",
                    self.deadline
                );
                return Err(self.late(error));
            }
            sleep(PERIOD).await;
        }
    }

    /// Waits until the standard output of container `name` contains `text`.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn says(&self, name: &str, text: &str) -> Result<()> {
        let deadline = Instant::now() + self.deadline;
        while !self.logs(name)?.0.contains(text) {
            if Instant::now() > deadline {
                let error = anyhow!(
                    "container {name} did not say {text:?} but {:?}",
                    self.logs(name)?
                );
                return Err(self.late(error));
            }
            sleep(PERIOD).await;
        }
        Ok(())
    }

    /// What container `name` has written so far, to its standard output and its standard error.
    ///
    /// # Errors
    /// When the log cannot be read. A log that is not there yet is empty.
    pub fn logs(&self, name: &str) -> Result<(Output, Output)> {
        let path = Path::new(&self.config.log_directory).join(format!("{name}.log"));
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Default::default()),
            log => Ok(cri_log::parse(
                &log.with_context(|| format!("read {}", path.display()))?,
            )),
        }
    }

    /// What CRI says about the sandbox.
    ///
    /// # Errors
    /// When the sandbox is gone.
    pub async fn sandbox(&self) -> Result<PodSandboxStatus> {
        let request = PodSandboxStatusRequest {
            pod_sandbox_id: self.id.clone(),
            verbose: false,
        };
        let status = self.cri().pod_sandbox_status(request).await?.into_inner();
        status.status.context("a sandbox without a status")
    }

    /// Whether the sandbox is ready.
    ///
    /// # Errors
    /// When the sandbox is gone.
    pub async fn is_ready(&self) -> Result<bool> {
        Ok(self.sandbox().await?.state() == PodSandboxState::SandboxReady)
    }

    /// The pod's address.
    ///
    /// # Errors
    /// When it has none.
    pub async fn address(&self) -> Result<IpAddr> {
        let network = self
            .sandbox()
            .await?
            .network
            .context("a sandbox without a network")?;
        network
            .ip
            .parse()
            .with_context(|| format!("{:?} is no address", network.ip))
    }

    /// The sandbox's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// All processes of the pod: its shims, whose command line has the sandbox's id, and whatever is in its cgroup.
    ///
    /// # Errors
    /// When the process table cannot be read.
    pub fn processes(&self) -> Result<Vec<Process>> {
        let cgroup = format!("{}/", self.cgroup());
        Ok(processes::in_namespace_of(self.node.first_process())?
            .into_iter()
            .filter(|process| {
                process.command.contains(&self.id) || process.cgroups.contains(&cgroup)
            })
            .collect())
    }

    /// Stops and removes the pod.
    ///
    /// # Errors
    /// When CRI refuses or takes too long.
    pub async fn remove(mut self) -> Result<()> {
        self.removed = true;
        self.take_down().await
    }

    async fn take_down(&self) -> Result<()> {
        let mut cri = self.cri();
        let request = StopPodSandboxRequest {
            pod_sandbox_id: self.id.clone(),
        };
        self.within("stop", cri.stop_pod_sandbox(request)).await?;
        let request = RemovePodSandboxRequest {
            pod_sandbox_id: self.id.clone(),
        };
        self.within("be removed", cri.remove_pod_sandbox(request))
            .await?;
        cgroup::remove_childless(self.cgroup()).context("remove the pod's cgroup")
    }

    fn cgroup(&self) -> &str {
        let linux = self.config.linux.as_ref();
        linux.map_or("", |linux| &linux.cgroup_parent)
    }

    pub(super) fn cri(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.node.pods().client().channel())
    }

    pub(super) fn container_id(&self, name: &str) -> Result<String> {
        self.containers
            .iter()
            .find_map(|(known, id)| (known == name).then(|| id.clone()))
            .with_context(|| format!("pod {} has no container {name}", self.name))
    }

    /// The result of `step`, or an error that shows what there is to know.
    pub(super) async fn within<T>(
        &self,
        what: &str,
        step: impl Future<Output = Result<T, tonic::Status>>,
    ) -> Result<T> {
        let failure = match timeout(self.deadline, step).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(status)) => {
                anyhow::Error::new(status).context(format!("pod {} could not {what}", self.name))
            }
            Err(_elapsed) => {
                let failure = anyhow!(
                    "pod {} did not {what} within {:?}",
                    self.name,
                    self.deadline
                );
                return Err(self.late(failure));
            }
        };
        Err(self.explain(failure))
    }

    /// A deadline that passed is never what a test wants: the logs are kept.
    fn late(&self, failure: anyhow::Error) -> anyhow::Error {
        self.explain(failure.context(logs::kept(self.node.layout())))
    }

    fn explain(&self, failure: anyhow::Error) -> anyhow::Error {
        let word = if self.id.is_empty() {
            &self.name
        } else {
            &self.id
        };
        let said = logs::about(&self.node.layout().log(), word);
        failure.context(format!("containerd's log about {word}:\n{said}"))
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        logs::keep_if_panicking(self.node.layout());
        match finish(self.take_down()) {
            Ok(Some(Ok(()))) => {}
            failed => log::warn!(sandbox:% = self.id; "a pod remains: {failed:?}"),
        }
    }
}
