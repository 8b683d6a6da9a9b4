//! Answering what a process asks while it is being made.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use coracle_container::Clerk;
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::Interest;

use crate::readiness;
use crate::supervisor::Supervisor;

/// Waits until there is an outcome to hear, and has a clerk answer if something is asked before.
pub(super) async fn answered(
    supervisor: &Supervisor,
    outcome: OwnedFd,
    questions: OwnedFd,
    clerk: &Clerk,
) -> Result<OwnedFd> {
    let outcome = readiness::of(outcome, Interest::READABLE)?;
    let questions = readiness::of(questions, Interest::READABLE)?;
    tokio::select! {
        biased;
        ready = outcome.readable() => ready?.retain_ready(),
        ready = questions.readable() => {
            ready?.retain_ready();
            let questions = questions.into_inner();
            if is_asked(&questions) {
                let clerk = clerk.clone();
                let forked = supervisor
                    .between_turns(move || coracle_container::answer(&questions, &clerk))
                    .await?;
                forked.context("start a process that answers the container")?;
            }
        }
    }
    outcome.readable().await?.retain_ready();
    Ok(outcome.into_inner())
}

/// Whether there is a question, and not only nobody to ask one any more.
fn is_asked(questions: &OwnedFd) -> bool {
    let peek = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(questions.as_raw_fd(), &mut [0], peek).is_ok_and(|length| length > 0)
}
