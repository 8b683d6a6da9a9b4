//! Taking a container away.

use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use containerd_shim_protos::api::{DeleteRequest, DeleteResponse};
use containerd_shim_protos::events::task::TaskDelete;
use containerd_shim_protos::ttrpc::Code;
use tokio::io::Interest;

use crate::container::{Phase, lock};
use crate::readiness;
use crate::supervisor::Supervisor;
use crate::task::{Answer, error, internal};

pub(super) async fn delete(
    supervisor: &Supervisor,
    request: &DeleteRequest,
) -> Answer<DeleteResponse> {
    let container = supervisor.find(&request.id, &request.exec_id)?;
    if container.exit().is_none() && container.phase() != Phase::Created {
        let reason = format!("container {:?} is running: kill it first", request.id);
        return Err(error(Code::FAILED_PRECONDITION, reason));
    }
    let bundle = container.bundle.clone();
    let removing = supervisor
        .between_turns(move || coracle_container::remove_apart(&bundle))
        .await;
    wait_for(removing).await.map_err(internal)?;
    // One that was never started has been killed by now, and its end is on the way.
    let exit = container.wait().await;
    lock(&supervisor.containers).remove(&request.id);
    let pid = container.pid.cast_unsigned();
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

/// Waits for the outcome of a removal.
pub(super) async fn wait_for(removing: Result<std::io::Result<OwnedFd>>) -> Result<()> {
    let removing = removing?.context("start a process that removes the container")?;
    let outcome = readiness::of(removing, Interest::READABLE)?;
    outcome.readable().await?.retain_ready();
    coracle_container::removed(outcome.get_ref().as_fd()).map_err(anyhow::Error::msg)
}
