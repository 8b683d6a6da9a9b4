//! containerd's task API.

mod create;
mod delete;

use std::sync::Arc;

use async_trait::async_trait;
use containerd_shim_protos::api;
use containerd_shim_protos::events::task::{TaskPaused, TaskResumed, TaskStart};
use containerd_shim_protos::protobuf::{EnumOrUnknown, MessageField};
use containerd_shim_protos::shim_async::Task;
use containerd_shim_protos::ttrpc::asynchronous::TtrpcContext;
use containerd_shim_protos::ttrpc::{self, Code, get_status};
use coracle_cgroups::Cgroup;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;

use crate::container::{Container, Phase, lock};
use crate::metrics;
use crate::supervisor::Supervisor;

pub(crate) type Answer<T> = ttrpc::Result<T>;

/// An error with a code that containerd acts on, and a reason for people.
pub(crate) fn error(code: Code, reason: impl Into<String>) -> ttrpc::Error {
    ttrpc::Error::RpcStatus(get_status(code, reason.into()))
}

/// An error of our own side.
pub(crate) fn internal(reason: impl std::fmt::Display) -> ttrpc::Error {
    error(Code::INTERNAL, format!("{reason:#}"))
}

/// Signals that no container can be sent.
fn to_signal(number: u32) -> Answer<nix::libc::c_int> {
    match i32::try_from(number) {
        Ok(signal) if (1..=nix::libc::SIGRTMAX()).contains(&signal) => Ok(signal),
        _ => Err(error(
            Code::INVALID_ARGUMENT,
            format!(
                "{number} is no signal; accepted are 1 to {}",
                nix::libc::SIGRTMAX()
            ),
        )),
    }
}

impl Supervisor {
    /// The container of this name, and not a process beside its first.
    pub(crate) fn find(&self, id: &str, process: &str) -> Answer<Arc<Container>> {
        let found = lock(&self.containers).get(id).cloned();
        let container = found
            .ok_or_else(|| error(Code::NOT_FOUND, format!("no container {id:?} in this pod")))?;
        if process.is_empty() {
            Ok(container)
        } else {
            let reason = format!("container {id:?} has no process {process:?}");
            Err(error(Code::NOT_FOUND, reason))
        }
    }
}

fn group(container: &Container) -> Answer<&Cgroup> {
    let none = || {
        let reason = format!("container {:?} has no control group", container.id);
        error(Code::FAILED_PRECONDITION, reason)
    };
    container.group.as_ref().ok_or_else(none)
}

#[async_trait]
impl Task for Supervisor {
    async fn create(
        &self,
        _: &TtrpcContext,
        request: api::CreateTaskRequest,
    ) -> Answer<api::CreateTaskResponse> {
        create::create(self, request).await
    }

    async fn start(
        &self,
        _: &TtrpcContext,
        request: api::StartRequest,
    ) -> Answer<api::StartResponse> {
        let container = self.find(&request.id, &request.exec_id)?;
        if container.phase() != Phase::Created || container.exit().is_some() {
            let reason = format!("container {:?} was started before", request.id);
            return Err(error(Code::FAILED_PRECONDITION, reason));
        }
        coracle_container::start(&container.bundle, &container.id)
            .map_err(|e| internal(anyhow::Error::from(e)))?;
        container.set_phase(Phase::Running);
        let pid = container.pid.cast_unsigned();
        self.events.publish(&TaskStart {
            container_id: request.id,
            pid,
            ..Default::default()
        });
        Ok(api::StartResponse {
            pid,
            ..Default::default()
        })
    }

    async fn wait(&self, _: &TtrpcContext, request: api::WaitRequest) -> Answer<api::WaitResponse> {
        let container = self.find(&request.id, &request.exec_id)?;
        let exit = container.wait().await;
        Ok(api::WaitResponse {
            exit_status: exit.code,
            exited_at: exit.timestamp(),
            ..Default::default()
        })
    }

    async fn delete(
        &self,
        _: &TtrpcContext,
        request: api::DeleteRequest,
    ) -> Answer<api::DeleteResponse> {
        delete::delete(self, &request).await
    }

    async fn state(
        &self,
        _: &TtrpcContext,
        request: api::StateRequest,
    ) -> Answer<api::StateResponse> {
        let container = self.find(&request.id, &request.exec_id)?;
        let exit = container.exit();
        Ok(api::StateResponse {
            id: container.id.clone(),
            bundle: container.bundle.display().to_string(),
            pid: container.pid.cast_unsigned(),
            status: EnumOrUnknown::new(container.status()),
            stdin: container.paths.stdin.clone(),
            stdout: container.paths.stdout.clone(),
            stderr: container.paths.stderr.clone(),
            terminal: container.paths.terminal,
            exit_status: exit.map_or(0, |exit| exit.code),
            exited_at: exit.map_or_else(MessageField::none, |exit| exit.timestamp()),
            ..Default::default()
        })
    }

    async fn kill(&self, _: &TtrpcContext, request: api::KillRequest) -> Answer<api::Empty> {
        let container = self.find(&request.id, &request.exec_id)?;
        let signal = to_signal(request.signal)?;
        if request.all {
            if let Some(group) = &container.group {
                let signal = nix::sys::signal::Signal::try_from(signal);
                let signal = signal.map_err(|e| internal(e.desc()))?;
                group.kill_all(signal).map_err(internal)?;
            }
            return Ok(api::Empty::new());
        }
        let gone = || error(Code::NOT_FOUND, "process already finished");
        if container.exit().is_some() {
            return Err(gone());
        }
        match send(container.pid, signal) {
            Ok(()) => Ok(api::Empty::new()),
            Err(Errno::ESRCH) => Err(gone()),
            Err(errno) => Err(internal(errno.desc())),
        }
    }

    async fn pids(&self, _: &TtrpcContext, request: api::PidsRequest) -> Answer<api::PidsResponse> {
        let container = self.find(&request.id, "")?;
        let processes = match &container.group {
            Some(group) => group.processes().map_err(internal)?,
            None => vec![container.pid],
        };
        let info = |pid: i32| api::ProcessInfo {
            pid: pid.cast_unsigned(),
            ..Default::default()
        };
        Ok(api::PidsResponse {
            processes: processes.into_iter().map(info).collect(),
            ..Default::default()
        })
    }

    async fn pause(&self, _: &TtrpcContext, request: api::PauseRequest) -> Answer<api::Empty> {
        let container = self.find(&request.id, "")?;
        if container.phase() != Phase::Running || container.exit().is_some() {
            let reason = format!("container {:?} is not running", request.id);
            return Err(error(Code::FAILED_PRECONDITION, reason));
        }
        group(&container)?.freeze().map_err(internal)?;
        container.set_phase(Phase::Paused);
        self.events.publish(&TaskPaused {
            container_id: request.id,
            ..Default::default()
        });
        Ok(api::Empty::new())
    }

    async fn resume(&self, _: &TtrpcContext, request: api::ResumeRequest) -> Answer<api::Empty> {
        let container = self.find(&request.id, "")?;
        if container.phase() != Phase::Paused {
            let reason = format!("container {:?} is not paused", request.id);
            return Err(error(Code::FAILED_PRECONDITION, reason));
        }
        group(&container)?.thaw().map_err(internal)?;
        container.set_phase(Phase::Running);
        self.events.publish(&TaskResumed {
            container_id: request.id,
            ..Default::default()
        });
        Ok(api::Empty::new())
    }

    async fn update(
        &self,
        _: &TtrpcContext,
        request: api::UpdateTaskRequest,
    ) -> Answer<api::Empty> {
        let container = self.find(&request.id, "")?;
        let resources: LinuxResources = serde_json::from_slice(&request.resources.value)
            .map_err(|e| error(Code::INVALID_ARGUMENT, format!("no LinuxResources: {e}")))?;
        group(&container)?.update(&resources).map_err(internal)?;
        Ok(api::Empty::new())
    }

    async fn stats(
        &self,
        _: &TtrpcContext,
        request: api::StatsRequest,
    ) -> Answer<api::StatsResponse> {
        let container = self.find(&request.id, "")?;
        let statistics = group(&container)?.statistics().map_err(internal)?;
        let stats = metrics::pack(statistics).map_err(internal)?;
        Ok(api::StatsResponse {
            stats: MessageField::some(stats),
            ..Default::default()
        })
    }

    async fn connect(
        &self,
        _: &TtrpcContext,
        request: api::ConnectRequest,
    ) -> Answer<api::ConnectResponse> {
        let task_pid = self
            .find(&request.id, "")
            .map_or(0, |container| container.pid);
        Ok(api::ConnectResponse {
            shim_pid: std::process::id(),
            task_pid: task_pid.cast_unsigned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Default::default()
        })
    }

    /// containerd asks for this whenever a container is gone; the pod's last one ends the supervisor.
    async fn shutdown(
        &self,
        _: &TtrpcContext,
        request: api::ShutdownRequest,
    ) -> Answer<api::Empty> {
        if request.now || self.is_idle() {
            self.end();
        }
        Ok(api::Empty::new())
    }

    async fn resize_pty(
        &self,
        _: &TtrpcContext,
        request: api::ResizePtyRequest,
    ) -> Answer<api::Empty> {
        let container = self.find(&request.id, &request.exec_id)?;
        let resized = container.held(|held| {
            let console = held.console.as_ref()?;
            Some(console.resize(request.width, request.height))
        });
        match resized.flatten() {
            Some(resized) => resized.map(|()| api::Empty::new()).map_err(internal),
            None => {
                let reason = format!("container {:?} has no terminal", request.id);
                Err(error(Code::FAILED_PRECONDITION, reason))
            }
        }
    }

    /// The container reads containerd's pipe itself, so it ends when containerd closes it.
    async fn close_io(&self, _: &TtrpcContext, request: api::CloseIORequest) -> Answer<api::Empty> {
        self.find(&request.id, &request.exec_id)?;
        Ok(api::Empty::new())
    }

    async fn exec(&self, _: &TtrpcContext, _: api::ExecProcessRequest) -> Answer<api::Empty> {
        Err(error(Code::UNIMPLEMENTED, "exec is not supported yet"))
    }

    async fn checkpoint(
        &self,
        _: &TtrpcContext,
        _: api::CheckpointTaskRequest,
    ) -> Answer<api::Empty> {
        Err(error(Code::UNIMPLEMENTED, "checkpoints are not supported"))
    }
}

/// Sends a signal by number: real-time signals have no name in [`nix::sys::signal::Signal`].
fn send(pid: i32, signal: nix::libc::c_int) -> Result<(), Errno> {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(signal) => kill(Pid::from_raw(pid), signal),
        Err(_) => coracle_container::send_real_time(pid, signal),
    }
}
