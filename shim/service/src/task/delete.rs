//! Taking a container away.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use containerd_shim_protos::api::{DeleteRequest, DeleteResponse};
use containerd_shim_protos::events::task::TaskDelete;
use containerd_shim_protos::ttrpc::Code;
use tokio::io::Interest;

use crate::container::{Container, Phase, lock};
use crate::process::Exit;
use crate::readiness;
use crate::supervisor::Supervisor;
use crate::task::{Answer, error, internal, no_process};

pub(super) async fn delete(
    supervisor: &Supervisor,
    request: &DeleteRequest,
) -> Answer<DeleteResponse> {
    let container = supervisor.find(&request.id)?;
    if !request.exec_id.is_empty() {
        return delete_exec(&container, &request.exec_id);
    }
    if container.process.exit().is_none() && container.phase() != Phase::Created {
        let reason = format!("container {:?} is running: kill it first", request.id);
        return Err(error(Code::FAILED_PRECONDITION, reason));
    }
    let bundle = container.bundle.clone();
    let removing = supervisor
        .between_turns(move || coracle_container::remove_apart(&bundle))
        .await;
    wait_for(removing).await.map_err(internal)?;
    // One that was never started has been killed by now, and its end is on the way.
    let exit = container.process.wait().await;
    for other in container.others() {
        if other.pid().is_some() {
            other.wait().await;
        } else {
            other.ended(Exit::killed());
        }
    }
    lock(&supervisor.containers).remove(&request.id);
    let pid = container.process.number();
    supervisor.events.publish(&TaskDelete {
        container_id: request.id.clone(),
        pid,
        exit_status: exit.code,
        exited_at: exit.timestamp(),
        ..Default::default()
    });
    Ok(DeleteResponse {
        pid,
        exit_status: exit.code,
        exited_at: exit.timestamp(),
        ..Default::default()
    })
}

/// Forgets a process beside the first one.
fn delete_exec(container: &Container, name: &str) -> Answer<DeleteResponse> {
    let mut execs = lock(&container.execs);
    let exec = execs
        .get(name)
        .ok_or_else(|| no_process(&container.id, name))?;
    let process = Arc::clone(&exec.process);
    let exit = match (process.exit(), &exec.spec) {
        (Some(exit), _) => exit,
        (None, Some(_)) => {
            // Whoever waits for one that was never started.
            process.ended(Exit::now(0));
            Exit::now(0)
        }
        (None, None) => {
            let reason = format!(
                "process {name:?} of container {:?} is running: kill it first",
                container.id
            );
            return Err(error(Code::FAILED_PRECONDITION, reason));
        }
    };
    execs.remove(name);
    Ok(DeleteResponse {
        pid: process.number(),
        exit_status: exit.code,
        exited_at: exit.timestamp(),
        ..Default::default()
    })
}

/// Waits for the outcome of a removal.
pub(super) async fn wait_for(removing: Result<std::io::Result<OwnedFd>>) -> Result<()> {
    let removing = removing?.context("start a process that removes the container")?;
    let outcome = readiness::of(removing, Interest::READABLE)?;
    outcome.readable().await?.retain_ready();
    coracle_container::removed(outcome.get_ref().as_fd()).map_err(anyhow::Error::msg)
}
