//! Processes that are run beside a container's first one, as `ctr task exec` does.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use containerd_client::services::v1::{
    CloseIoRequest, DeleteProcessRequest, ExecProcessRequest, GetContainerRequest, GetRequest,
    KillRequest, ResizePtyRequest, StartRequest, WaitRequest,
};
use nix::sys::signal::Signal;
use oci_spec::runtime::Spec;
use prost_types::Any;
use tokio::time::timeout;

use super::handle::{Finished, State, Task};
use super::stdio::{Output, Stdio};
use crate::executor::executor;
use crate::node::Node;

/// What containerd calls a process in its messages.
const TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";

/// A process that is still being described.
#[derive(Debug)]
#[must_use]
pub struct Exec<'t, 'n> {
    task: &'t Task<'n>,
    words: Vec<String>,
    folder: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    terminal: bool,
}

impl<'n> Task<'n> {
    /// Begins to describe a process beside this container's first: its command line. The rest is as for
    /// the first one.
    pub fn exec<S: Into<String>>(&self, words: impl IntoIterator<Item = S>) -> Exec<'_, 'n> {
        Exec {
            task: self,
            words: words.into_iter().map(Into::into).collect(),
            folder: None,
            stdin: None,
            terminal: false,
        }
    }
}

impl<'t, 'n> Exec<'t, 'n> {
    /// Its working directory, instead of the container's.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// What it reads from its standard input, which ends after it.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Gives it a terminal. Its input comes from [`Process::type_in`].
    pub fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When a step is refused or takes too long. An exit code is no error.
    pub async fn run(self) -> Result<Finished> {
        self.start().await?.finish().await
    }

    /// Starts it.
    ///
    /// # Errors
    /// When a step is refused or takes too long.
    pub async fn start(self) -> Result<Process<'n>> {
        let spec = self.spec().await?;
        let Self {
            task,
            stdin,
            terminal,
            ..
        } = self;
        let name = format!("exec-{}", crate::unique());
        let folder = task.node.layout().stdio();
        let folder = folder.join(format!("{}-{name}", task.id()));
        fs::create_dir_all(&folder)?;
        let stdio = Stdio::open(executor()?, &folder, terminal || stdin.is_some())?;
        let mut process = Process {
            node: task.node,
            container: task.id().to_owned(),
            name,
            stdio,
            deadline: task.deadline,
        };
        process.add(terminal, spec).await?;
        process.start().await?;
        if let Some(stdin) = stdin {
            process.type_in(stdin)?;
        }
        Ok(process)
    }

    /// The container's own process with another command, as `ctr` has it.
    async fn spec(&self) -> Result<Any> {
        let containerd = self.task.node.tasks();
        let request = GetContainerRequest {
            id: self.task.id().to_owned(),
        };
        let mut containers = containerd.client().containers();
        let found = containers.get(containerd.request(request)).await?;
        let record = found.into_inner().container;
        let spec = record.and_then(|record| record.spec);
        let spec = spec.context("a container without a spec")?;
        let spec: Spec = serde_json::from_slice(&spec.value)?;
        let mut process = spec.process().clone().context("a spec without a process")?;
        process
            .set_args(Some(self.words.clone()))
            .set_terminal(Some(self.terminal));
        if let Some(folder) = &self.folder {
            process.set_cwd(folder.clone());
        }
        Ok(Any {
            type_url: TYPE.to_owned(),
            value: serde_json::to_vec(&process)?,
        })
    }
}

/// A process beside a container's first. It goes with the container.
#[derive(Debug)]
pub struct Process<'n> {
    node: &'n Node,
    container: String,
    name: String,
    stdio: Stdio,
    deadline: Duration,
}

impl Process<'_> {
    async fn add(&self, terminal: bool, spec: Any) -> Result<()> {
        let containerd = self.node.tasks();
        let request = ExecProcessRequest {
            container_id: self.container.clone(),
            exec_id: self.name.clone(),
            stdin: self.stdio.stdin_path(),
            stdout: self.stdio.stdout_path(),
            stderr: if terminal {
                String::new()
            } else {
                self.stdio.stderr_path()
            },
            terminal,
            spec: Some(spec),
        };
        let mut tasks = containerd.client().tasks();
        self.within("be added", tasks.exec(containerd.request(request)))
            .await?;
        Ok(())
    }

    async fn start(&self) -> Result<()> {
        let containerd = self.node.tasks();
        let request = StartRequest {
            container_id: self.container.clone(),
            exec_id: self.name.clone(),
        };
        let mut tasks = containerd.client().tasks();
        self.within("start", tasks.start(containerd.request(request)))
            .await?;
        Ok(())
    }

    /// Writes all of `bytes` to its standard input, which ends after them.
    ///
    /// # Errors
    /// When the harness has no runtime.
    pub fn type_in(&mut self, bytes: impl Into<Vec<u8>>) -> Result<()> {
        let containerd = self.node.tasks();
        let mut tasks = containerd.client().tasks();
        let close = containerd.request(CloseIoRequest {
            container_id: self.container.clone(),
            exec_id: self.name.clone(),
            stdin: true,
        });
        self.stdio.feed(executor()?, bytes.into(), async move {
            // A process may have ended by now.
            if let Err(status) = tasks.close_io(close).await {
                log::debug!("standard input was closed by the FIFO alone: {status}");
            }
        });
        Ok(())
    }

    /// Changes the size of its terminal, in characters.
    ///
    /// # Errors
    /// When it has none.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let containerd = self.node.tasks();
        let request = ResizePtyRequest {
            container_id: self.container.clone(),
            exec_id: self.name.clone(),
            width,
            height,
        };
        let mut tasks = containerd.client().tasks();
        self.within("be resized", tasks.resize_pty(containerd.request(request)))
            .await?;
        Ok(())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When the shim refuses.
    pub async fn kill(&self, signal: Signal) -> Result<()> {
        let containerd = self.node.tasks();
        let request = KillRequest {
            container_id: self.container.clone(),
            exec_id: self.name.clone(),
            signal: u32::try_from(signal as i32)?,
            ..KillRequest::default()
        };
        let mut tasks = containerd.client().tasks();
        self.within("take a signal", tasks.kill(containerd.request(request)))
            .await?;
        Ok(())
    }

    /// What state containerd says it is in.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn state(&self) -> Result<State> {
        let containerd = self.node.tasks();
        let request = GetRequest {
            container_id: self.container.clone(),
            exec_id: self.name.clone(),
        };
        let mut tasks = containerd.client().tasks();
        let found = tasks.get(containerd.request(request)).await?.into_inner();
        Ok(found.process.context("no process")?.status())
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

    /// Waits for its end, and returns the exit code.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn wait(&self) -> Result<u32> {
        let containerd = self.node.tasks();
        let request = WaitRequest {
            container_id: self.container.clone(),
            exec_id: self.name.clone(),
        };
        let mut tasks = containerd.client().tasks();
        let ended = self.within("end", tasks.wait(containerd.request(request)));
        Ok(ended.await?.into_inner().exit_status)
    }

    /// Forgets it, as the shim allows it, and returns the exit code.
    ///
    /// # Errors
    /// When the shim refuses.
    pub async fn delete(&self) -> Result<u32> {
        let containerd = self.node.tasks();
        let request = DeleteProcessRequest {
            container_id: self.container.clone(),
            exec_id: self.name.clone(),
        };
        let mut tasks = containerd.client().tasks();
        let deleted = tasks.delete_process(containerd.request(request));
        let deleted = self.within("be deleted", deleted).await?;
        Ok(deleted.into_inner().exit_status)
    }

    /// Waits for its end, reads its output to the end, and forgets it.
    ///
    /// # Errors
    /// When a step takes too long or is refused.
    pub async fn finish(mut self) -> Result<Finished> {
        let code = self.wait().await?;
        let deleted = self.delete().await?;
        anyhow::ensure!(deleted == code, "{code} has become {deleted}");
        let stdout = self.stdio.stdout.all();
        let stdout = timeout(self.deadline, stdout).await??;
        let stderr = self.stdio.stderr.all();
        let stderr = timeout(self.deadline, stderr).await??;
        self.stdio.remove()?;
        Ok(Finished {
            code,
            stdout,
            stderr,
        })
    }

    async fn within<T>(
        &self,
        what: &str,
        step: impl Future<Output = Result<T, tonic::Status>>,
    ) -> Result<T> {
        let name = format!("{} of {}", self.name, self.container);
        match timeout(self.deadline, step).await {
            Ok(done) => done.with_context(|| {
                let said: Output = self.stdio.stderr.so_far();
                format!("{name} could not {what}; it said {said:?}")
            }),
            Err(_elapsed) => Err(anyhow!(
                "{name} did not {what} within {:?}; it said {:?}",
                self.deadline,
                self.stdio.stdout.so_far()
            )),
        }
    }
}
