//! What the subcommands do that change a node.

use std::time::Duration;

use anyhow::Result;
use coracle_node_installer::installer::Outcome;
use coracle_node_installer::label;
use nix::sys::signal::{SigSet, Signal};

use crate::{NodeOptions, ShimOptions};

/// Installs, and labels the node where it has a name.
pub(crate) fn install(node: &NodeOptions, shim: &ShimOptions) -> Result<Outcome> {
    let host = node.host();
    let outcome = node.installer(&host).install(&shim.shim)?;
    if outcome == Outcome::default() {
        tracing::debug!("nothing to do");
    } else {
        tracing::info!(
            shim = outcome.program,
            configuration = outcome.configuration,
            restarted = outcome.restarted,
            "installed"
        );
    }
    if let Some(name) = &node.node_name {
        label::set(name, true)?;
    }
    Ok(outcome)
}

/// Removes the label first, so that no more pods come, and then the runtime.
pub(crate) fn uninstall(node: &NodeOptions, force: bool) -> Result<()> {
    if let Some(name) = &node.node_name {
        label::set(name, false)?;
    }
    let host = node.host();
    if node.installer(&host).uninstall(force)? {
        tracing::info!("uninstalled");
    } else {
        tracing::info!("nothing was installed");
    }
    Ok(())
}

/// Installs, and again after every `every`: a node's own upgrade may have replaced the configuration.
pub(crate) fn stay(node: &NodeOptions, shim: &ShimOptions, every: Duration) -> Result<()> {
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGTERM);
    ends.add(Signal::SIGINT);
    ends.thread_block()?;
    install(node, shim)?;
    loop {
        if ended_within(&ends, every)? {
            tracing::info!("asked to end; the runtime stays installed");
            return Ok(());
        }
        install(node, shim)?;
    }
}

/// Waits for one of `signals`, and says whether it came in time.
fn ended_within(signals: &SigSet, time: Duration) -> Result<bool> {
    let file = nix::sys::signalfd::SignalFd::new(signals)?;
    let milliseconds = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
    let mut polled = [nix::poll::PollFd::new(
        std::os::fd::AsFd::as_fd(&file),
        nix::poll::PollFlags::POLLIN,
    )];
    let timeout = nix::poll::PollTimeout::try_from(milliseconds)?;
    Ok(nix::poll::poll(&mut polled, timeout)? > 0)
}
