//! Processes beside a container's first.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use containerd_shim_protos::api::{ExecProcessRequest, StartResponse};
use containerd_shim_protos::events::task::{TaskExecAdded, TaskExecStarted};
use containerd_shim_protos::ttrpc::Code;
use coracle_container::{Executed, Streams};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::console::Console;
use crate::container::{Container, Exec, Phase, lock};
use crate::process::{Exit, Process};
use crate::stdio::{Held, Paths};
use crate::supervisor::Supervisor;
use crate::task::{Answer, error, questions};

/// The exit code of a process that could not be made, as under runc.
const NOT_MADE: u32 = 255;

/// Takes note of a process that is to be started.
pub(super) fn add(supervisor: &Supervisor, request: ExecProcessRequest) -> Answer<()> {
    let container = supervisor.find(&request.id)?;
    if container.process.exit().is_some() {
        let reason = format!("container {:?} has ended", request.id);
        return Err(error(Code::FAILED_PRECONDITION, reason));
    }
    let paths = Paths {
        stdin: request.stdin,
        stdout: request.stdout,
        stderr: request.stderr,
        terminal: request.terminal,
    };
    let exec = Exec {
        spec: Some(request.spec.value.clone()),
        process: Arc::new(Process::new(&request.id, &request.exec_id, paths)),
    };
    let mut execs = lock(&container.execs);
    if request.exec_id.is_empty() || execs.contains_key(&request.exec_id) {
        let reason = format!(
            "container {:?} has a process {:?} already",
            request.id, request.exec_id
        );
        return Err(error(Code::ALREADY_EXISTS, reason));
    }
    execs.insert(request.exec_id.clone(), exec);
    supervisor.events.publish(&TaskExecAdded {
        container_id: request.id,
        exec_id: request.exec_id,
        ..Default::default()
    });
    Ok(())
}

/// Starts it. What cannot be started has ended.
pub(super) async fn start(
    supervisor: &Supervisor,
    container: &Container,
    name: &str,
) -> Answer<StartResponse> {
    let (process, spec) = take(container, name)?;
    let expected = supervisor.children.expect();
    match run(supervisor, container, &process, spec).await {
        Ok(Started::Running { pid, held }) => process.runs(pid, held),
        Ok(Started::Refused { code, reason }) => {
            process.ended(Exit::now(code));
            return Err(failed(&reason));
        }
        Err(reason) => {
            process.ended(Exit::now(NOT_MADE));
            return Err(failed(&format!("{reason:#}")));
        }
    }
    // Nothing waits between here and the event, so an end is announced after it.
    let has_ended = supervisor.children.watch(&process);
    drop(expected);
    if container.process.exit().is_some() {
        container.end_others();
    }
    supervisor.events.publish(&TaskExecStarted {
        container_id: container.id.clone(),
        exec_id: name.to_owned(),
        pid: process.number(),
        ..Default::default()
    });
    if has_ended {
        supervisor.announce_exit(&process);
    }
    Ok(StartResponse {
        pid: process.number(),
        ..Default::default()
    })
}

/// Kubernetes and people know the beginning of this sentence from runc.
fn failed(reason: &str) -> containerd_shim_protos::ttrpc::Error {
    error(Code::UNKNOWN, format!("OCI runtime exec failed: {reason}"))
}

/// What is to be run, which can be taken once.
fn take(container: &Container, name: &str) -> Answer<(Arc<Process>, Vec<u8>)> {
    let refuse = |why: &str| {
        let reason = format!("process {name:?} of container {:?} {why}", container.id);
        error(Code::FAILED_PRECONDITION, reason)
    };
    if container.process.exit().is_some() {
        return Err(refuse("cannot start: the container has ended"));
    }
    if container.phase() == Phase::Paused {
        return Err(refuse("cannot start: the container is paused"));
    }
    let mut execs = lock(&container.execs);
    let exec = execs.get_mut(name);
    let exec = exec.ok_or_else(|| error(Code::NOT_FOUND, format!("no process {name:?}")))?;
    let spec = exec.spec.take();
    let spec = spec.ok_or_else(|| refuse("was started before"))?;
    Ok((Arc::clone(&exec.process), spec))
}

enum Started {
    Running { pid: i32, held: Held },
    Refused { code: u32, reason: String },
}

async fn run(
    supervisor: &Supervisor,
    container: &Container,
    process: &Process,
    spec: Vec<u8>,
) -> Result<Started> {
    let (streams, mut held) = if process.paths.terminal {
        (Streams::Terminal, Held::default())
    } else {
        let (stdio, held) = process.paths.open()?;
        (Streams::Open(stdio), held)
    };
    let first = container.process.pid();
    let asked = coracle_container::Exec {
        bundle: container.bundle.clone(),
        first: first.context("the container has no process")?,
        process: spec,
        streams,
    };
    let first = Arc::clone(&container.process);
    let executing = supervisor
        .between_turns(move || {
            // Once it is collected, its number may mean another process.
            first
                .exit()
                .is_none()
                .then(|| coracle_container::exec(asked))
        })
        .await?
        .context("the container has ended")?
        .context("start a process that enters the container")?;
    let terminal = executing.terminal;
    let outcome = questions::answered(
        supervisor,
        executing.outcome,
        executing.questions,
        &container.clerk,
    )
    .await?;
    match Executed::hear(outcome.as_fd()).map_err(anyhow::Error::msg)? {
        Executed::Running { pid } => {
            let console = terminal.map(|terminal| console(&terminal, &process.paths));
            held.console = match console.transpose() {
                Ok(console) => console,
                Err(error) => {
                    kill(Pid::from_raw(pid), Signal::SIGKILL).context("take back a process")?;
                    return Err(anyhow::Error::from(error).context("take the terminal"));
                }
            };
            Ok(Started::Running { pid, held })
        }
        Executed::Refused { code, reason } => Ok(Started::Refused {
            code: code.into(),
            reason,
        }),
    }
}

fn console(socket: &OwnedFd, paths: &Paths) -> std::io::Result<Console> {
    // Was sent before the process was said to run.
    let terminal = coracle_container::receive_file(socket.as_fd())?;
    Console::copying(terminal, paths)
}
