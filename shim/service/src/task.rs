//! containerd's task API.

mod create;
mod delete;
mod exec;
mod questions;

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
use oci_spec::runtime::LinuxResources;

use crate::container::{Container, Phase, lock};
use crate::metrics;
use crate::process::Process;
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
    /// The container of this name.
    pub(crate) fn find(&self, id: &str) -> Answer<Arc<Container>> {
        let found = lock(&self.containers).get(id).cloned();
        found.ok_or_else(|| error(Code::NOT_FOUND, format!("no container {id:?} in this pod")))
    }

    /// The container's process of this name, or its first.
    fn process(&self, id: &str, exec: &str) -> Answer<Arc<Process>> {
        let process = self.find(id)?.process(exec);
        process.ok_or_else(|| no_process(id, exec))
    }
}

pub(crate) fn no_process(container: &str, name: &str) -> ttrpc::Error {
    let reason = format!("container {container:?} has no process {name:?}");
    error(Code::NOT_FOUND, reason)
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
        let container = self.find(&request.id)?;
        if !request.exec_id.is_empty() {
            return exec::start(self, &container, &request.exec_id).await;
        }
        if container.phase() != Phase::Created || container.process.exit().is_some() {
            let reason = format!("container {:?} was started before", request.id);
            return Err(error(Code::FAILED_PRECONDITION, reason));
        }
        coracle_container::start(&container.bundle, &container.id)
            .map_err(|e| internal(anyhow::Error::from(e)))?;
        container.set_phase(Phase::Running);
        let pid = container.process.number();
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
        let process = self.process(&request.id, &request.exec_id)?;
        let exit = process.wait().await;
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
        let container = self.find(&request.id)?;
        let process = self.process(&request.id, &request.exec_id)?;
        let exit = process.exit();
        Ok(api::StateResponse {
            id: process.name().to_owned(),
            bundle: container.bundle.display().to_string(),
            pid: process.number(),
            status: EnumOrUnknown::new(container.status(&process)),
            stdin: process.paths.stdin.clone(),
            stdout: process.paths.stdout.clone(),
            stderr: process.paths.stderr.clone(),
            terminal: process.paths.terminal,
            exit_status: exit.map_or(0, |exit| exit.code),
            exited_at: exit.map_or_else(MessageField::none, |exit| exit.timestamp()),
            exec_id: process.exec.clone(),
            ..Default::default()
        })
    }

    async fn kill(&self, _: &TtrpcContext, request: api::KillRequest) -> Answer<api::Empty> {
        let process = self.process(&request.id, &request.exec_id)?;
        let signal = to_signal(request.signal)?;
        if request.all && request.exec_id.is_empty() {
            if let Some(group) = &self.find(&request.id)?.group {
                let signal = nix::sys::signal::Signal::try_from(signal);
                let signal = signal.map_err(|e| internal(e.desc()))?;
                group.kill_all(signal).map_err(internal)?;
            }
            return Ok(api::Empty::new());
        }
        match process.signal(signal) {
            Ok(()) => Ok(api::Empty::new()),
            Err(Errno::ESRCH) if process.pid().is_none() && process.exit().is_none() => {
                let reason = format!("process {:?} was not started", request.exec_id);
                Err(error(Code::FAILED_PRECONDITION, reason))
            }
            Err(Errno::ESRCH) => Err(error(Code::NOT_FOUND, "process already finished")),
            Err(errno) => Err(internal(errno.desc())),
        }
    }

    async fn pids(&self, _: &TtrpcContext, request: api::PidsRequest) -> Answer<api::PidsResponse> {
        let container = self.find(&request.id)?;
        let processes = match &container.group {
            Some(group) => group.processes().map_err(internal)?,
            None => container.process.pid().into_iter().collect(),
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
        let container = self.find(&request.id)?;
        if container.phase() != Phase::Running || container.process.exit().is_some() {
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
        let container = self.find(&request.id)?;
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
        let container = self.find(&request.id)?;
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
        let container = self.find(&request.id)?;
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
            .find(&request.id)
            .map_or(0, |container| container.process.number());
        Ok(api::ConnectResponse {
            shim_pid: std::process::id(),
            task_pid,
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
        let process = self.process(&request.id, &request.exec_id)?;
        let resized = process.held(|held| {
            let console = held.console.as_ref()?;
            Some(console.resize(request.width, request.height))
        });
        match resized.flatten() {
            Some(resized) => resized.map(|()| api::Empty::new()).map_err(internal),
            None => {
                let reason = format!("process {:?} has no terminal", process.name());
                Err(error(Code::FAILED_PRECONDITION, reason))
            }
        }
    }

    /// A process reads containerd's pipe itself, so it ends when containerd closes it.
    async fn close_io(&self, _: &TtrpcContext, request: api::CloseIORequest) -> Answer<api::Empty> {
        self.process(&request.id, &request.exec_id)?;
        Ok(api::Empty::new())
    }

    async fn exec(&self, _: &TtrpcContext, request: api::ExecProcessRequest) -> Answer<api::Empty> {
        exec::add(self, request).map(|()| api::Empty::new())
    }

    async fn checkpoint(
        &self,
        _: &TtrpcContext,
        _: api::CheckpointTaskRequest,
    ) -> Answer<api::Empty> {
        Err(error(Code::UNIMPLEMENTED, "checkpoints are not supported"))
    }
}
