//! A container that exists: started, watched, killed and removed.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use containerd_client::services::v1::snapshots::RemoveSnapshotRequest;
use containerd_client::services::v1::{
    CloseIoRequest, CreateTaskRequest, DeleteContainerRequest, DeleteTaskRequest, GetRequest,
    KillRequest, StartRequest, WaitRequest,
};
pub use containerd_client::types::v1::Status as State;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::time::timeout;
use tonic::Code;

use super::stdio::{Output, Stdio};
use crate::executor::{executor, finish};
use crate::logs;
use crate::node::{Driver, Node};
use crate::patience::patient;

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code; 128 and the signal's number when it was killed.
    pub code: u32,
    /// All that it wrote to its standard output.
    pub stdout: Output,
    /// All that it wrote to its standard error.
    pub stderr: Output,
}

/// A container with its task. Dropping it kills and removes it.
#[derive(Debug)]
pub struct Task<'n> {
    pub(super) node: &'n Node,
    id: String,
    pub(super) stdio: Stdio,
    input: Option<Vec<u8>>,
    pub(super) deadline: Duration,
    pid: u32,
    removed: bool,
}

impl<'n> Task<'n> {
    pub(super) fn new(
        node: &'n Node,
        id: &str,
        stdio: Stdio,
        input: Option<Vec<u8>>,
        deadline: Duration,
    ) -> Self {
        Self {
            node,
            id: id.to_owned(),
            stdio,
            input,
            deadline,
            pid: 0,
            removed: false,
        }
    }

    pub(super) async fn create(&mut self, request: CreateTaskRequest) -> Result<()> {
        let containerd = self.node.tasks();
        let mut tasks = containerd.client().tasks();
        let created = tasks.create(containerd.request(request));
        self.pid = self.within("be created", created).await?.into_inner().pid;
        Ok(())
    }

    /// The container's id in containerd.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The process that the shim named at creation, seen from outside the node.
    ///
    /// # Errors
    /// When no process of the node has that id in the node's PID namespace.
    pub fn pid(&self) -> Result<Pid> {
        if self.node.layout().driver() == Driver::Systemd {
            // Such a node has no PID namespace.
            return Ok(Pid::from_raw(i32::try_from(self.pid)?));
        }
        crate::processes::in_namespace_of(self.node.first_process())?
            .into_iter()
            .find(|process| process.inner_pid == self.pid)
            .map(|process| process.pid)
            .with_context(|| format!("{} has no process {}", self.id, self.pid))
    }

    /// Starts it; its standard input is fed from then on.
    ///
    /// # Errors
    /// When the shim refuses or takes too long.
    pub async fn start(&mut self) -> Result<()> {
        let containerd = self.node.tasks();
        let mut tasks = containerd.client().tasks();
        let request = StartRequest {
            container_id: self.id.clone(),
            ..StartRequest::default()
        };
        self.within("start", tasks.start(containerd.request(request)))
            .await?;
        if let Some(input) = self.input.take() {
            let close = CloseIoRequest {
                container_id: self.id.clone(),
                stdin: true,
                ..CloseIoRequest::default()
            };
            let close = containerd.request(close);
            let id = self.id.clone();
            self.stdio.feed(executor()?, input, async move {
                // A shim may leave closing to the FIFO's end, and a container may have ended by now.
                if let Err(status) = tasks.close_io(close).await {
                    log::debug!(container:% = id; "standard input was closed by the FIFO alone: {status}");
                }
            });
        }
        Ok(())
    }

    /// Sends `signal` to its first process.
    ///
    /// # Errors
    /// When the shim refuses or takes too long.
    pub async fn kill(&self, signal: Signal) -> Result<()> {
        let containerd = self.node.tasks();
        let mut tasks = containerd.client().tasks();
        self.within(
            "take a signal",
            tasks.kill(containerd.request(self.kill_request(signal)?)),
        )
        .await?;
        Ok(())
    }

    fn kill_request(&self, signal: Signal) -> Result<KillRequest> {
        Ok(KillRequest {
            container_id: self.id.clone(),
            signal: u32::try_from(signal as i32)?,
            ..KillRequest::default()
        })
    }

    /// Waits for its end, and returns the exit code.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn wait(&self) -> Result<u32> {
        let containerd = self.node.tasks();
        let mut tasks = containerd.client().tasks();
        let request = WaitRequest {
            container_id: self.id.clone(),
            ..WaitRequest::default()
        };
        let ended = self
            .within("end", tasks.wait(containerd.request(request)))
            .await?;
        Ok(ended.into_inner().exit_status)
    }

    /// What state containerd says it is in.
    ///
    /// # Errors
    /// When there is no such task.
    pub async fn state(&self) -> Result<State> {
        let containerd = self.node.tasks();
        let request = GetRequest {
            container_id: self.id.clone(),
            ..GetRequest::default()
        };
        let task = containerd
            .client()
            .tasks()
            .get(containerd.request(request))
            .await?
            .into_inner();
        Ok(task.process.context("a task without a process")?.status())
    }

    /// What it has written to its standard output so far.
    #[must_use]
    pub fn stdout(&self) -> Output {
        self.stdio.stdout.so_far()
    }

    /// What it has written to its standard error so far.
    #[must_use]
    pub fn stderr(&self) -> Output {
        self.stdio.stderr.so_far()
    }

    /// Waits until its standard output contains `text`.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn says(&self, text: &str) -> Result<()> {
        let said = async {
            self.stdio.stdout.until(text).await;
            Ok(())
        };
        self.within(&format!("say {text:?}"), said).await
    }

    /// Deletes the task alone, as the shim allows it, and returns the exit code.
    ///
    /// # Errors
    /// When the shim refuses.
    pub async fn delete(&self) -> Result<u32> {
        let containerd = self.node.tasks();
        let mut tasks = containerd.client().tasks();
        let request = DeleteTaskRequest {
            container_id: self.id.clone(),
        };
        let deleted = self
            .within("be deleted", tasks.delete(containerd.request(request)))
            .await?;
        Ok(deleted.into_inner().exit_status)
    }

    /// Waits for its end, reads its output to the end, and removes it.
    ///
    /// # Errors
    /// When a step takes too long or is refused.
    pub async fn finish(mut self) -> Result<Finished> {
        let code = self.wait().await?;
        self.delete().await?;
        let finished = Finished {
            code,
            stdout: self.all(true).await?,
            stderr: self.all(false).await?,
        };
        self.remove().await?;
        Ok(finished)
    }

    /// Kills it and removes everything of it.
    ///
    /// # Errors
    /// When a step takes too long or is refused.
    pub async fn remove(&mut self) -> Result<()> {
        self.removed = true;
        let containerd = self.node.tasks();
        let client = containerd.client();
        let request = self.kill_request(Signal::SIGKILL)?;
        // Both fail where there is no task, or none that lives.
        let killed = client.tasks().kill(containerd.request(request)).await;
        if killed.is_ok() {
            self.wait().await?;
        }
        let request = DeleteTaskRequest {
            container_id: self.id.clone(),
        };
        unless_gone(client.tasks().delete(containerd.request(request)).await)
            .context("delete the task")?;
        let request = DeleteContainerRequest {
            id: self.id.clone(),
        };
        unless_gone(
            client
                .containers()
                .delete(containerd.request(request))
                .await,
        )
        .context("delete the container")?;
        let request = RemoveSnapshotRequest {
            snapshotter: containerd.snapshotter().to_owned(),
            key: self.id.clone(),
        };
        unless_gone(client.snapshots().remove(containerd.request(request)).await)
            .context("remove the snapshot")?;
        self.stdio.remove()?;
        Ok(())
    }

    async fn all(&mut self, stdout: bool) -> Result<Output> {
        let deadline = self.deadline;
        let stream = if stdout {
            &mut self.stdio.stdout
        } else {
            &mut self.stdio.stderr
        };
        match timeout(deadline, stream.all()).await {
            Ok(output) => output,
            Err(_elapsed) => Err(anyhow!(
                "{} ended, but its output did not: somebody holds the FIFO open",
                self.id
            )),
        }
    }

    /// The result of `step`, or an error that shows what there is to know.
    async fn within<T>(
        &self,
        what: &str,
        step: impl Future<Output = Result<T, tonic::Status>>,
    ) -> Result<T> {
        let failure = match timeout(self.deadline, step).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(status)) => {
                anyhow::Error::new(status).context(format!("{} could not {what}", self.id))
            }
            Err(_elapsed) => anyhow!("{} did not {what} within {:?}", self.id, self.deadline)
                .context(logs::kept(self.node.layout())),
        };
        let state = match timeout(patient(Duration::from_secs(5)), self.state()).await {
            Ok(Ok(state)) => state.as_str_name().to_owned(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_elapsed) => "no answer".to_owned(),
        };
        Err(failure.context(format!(
            "state: {state}; standard error so far: {:?}; containerd's log:\n{}",
            self.stderr(),
            logs::about(&self.node.layout().log(), &self.id),
        )))
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        logs::keep_if_panicking(self.node.layout());
        let id = self.id.clone();
        match finish(self.remove()) {
            Ok(Some(Ok(()))) => {}
            failed => log::warn!(container:% = id; "a container remains: {failed:?}"),
        }
    }
}

fn unless_gone<T>(removed: Result<T, tonic::Status>) -> Result<(), tonic::Status> {
    match removed {
        Err(status) if status.code() != Code::NotFound => Err(status),
        _ => Ok(()),
    }
}
