//! What the subcommands do that change a node or a cluster.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use coracle_node_installer::cluster::{Cluster, Standing};
use coracle_node_installer::installer::{InstallError, Outcome};
use coracle_node_installer::payload::Payload;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

use crate::{NodeOptions, PayloadOptions};

/// How often nodes are counted that still have the runtime.
const COUNT_EVERY: Duration = Duration::from_secs(2);

/// The longest time between two attempts at an installation that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);

/// Installs, and labels the node where it has a name.
pub(crate) fn install(node: &NodeOptions, payload: &PayloadOptions) -> Result<Outcome> {
    let host = node.host();
    let outcome = node
        .installer(&host)
        .install(&Payload::of(&payload.payload)?)?;
    if outcome == Outcome::default() {
        tracing::debug!("nothing to do");
    } else {
        tracing::info!(
            programs = outcome.programs,
            configuration = outcome.configuration,
            restarted = outcome.restarted,
            "installed"
        );
    }
    label(node, Standing::Ready)?;
    Ok(outcome)
}

/// Sees to it that no more pods come, and then removes the runtime.
pub(crate) fn uninstall(node: &NodeOptions, force: bool) -> Result<()> {
    label(node, Standing::Leaving)?;
    let host = node.host();
    if node.installer(&host).uninstall(force)? {
        tracing::info!("uninstalled");
    } else {
        tracing::info!("nothing was installed");
    }
    label(node, Standing::Gone)
}

/// Installs, and again after every `every`: a node's own upgrade may have replaced the configuration.
///
/// A failure is tried again after twice the time each: one that shows only after a restart of containerd
/// must not restart it for ever.
pub(crate) fn stay(node: &NodeOptions, payload: &PayloadOptions, every: Duration) -> Result<()> {
    let end = End::awaited()?;
    let mut pause = every;
    loop {
        let wait = match install(node, payload) {
            Ok(_) => {
                pause = every;
                every
            }
            Err(error) => {
                let seconds = pause.as_secs();
                tracing::error!(
                    error = format!("{error:#}"),
                    seconds,
                    "not installed; trying again later"
                );
                let now = pause;
                pause = (pause * 2).min(LONGEST_PAUSE.max(every));
                now
            }
        };
        if end.comes_within(wait)? {
            tracing::info!("asked to end; the runtime stays as it is");
            return Ok(());
        }
    }
}

/// Uninstalls, and stays: a DaemonSet would start a program again that ends. Where pods run, it waits for
/// them: started again after a failure, it would notice their end only after minutes.
pub(crate) fn remove(node: &NodeOptions, force: bool) -> Result<()> {
    let end = End::awaited()?;
    let mut told = None;
    while let Err(error) = uninstall(node, force) {
        let Some(InstallError::InUse { pids }) = error.downcast_ref() else {
            return Err(error);
        };
        if told.as_ref() != Some(pids) {
            tracing::warn!("{error}");
            told = Some(pids.clone());
        }
        if end.comes_within(COUNT_EVERY)? {
            return Ok(());
        }
    }
    while !end.comes_within(Duration::from_secs(3600))? {}
    Ok(())
}

/// Makes the pods of a DaemonSet uninstall, and waits until no node has the runtime. Where that fails, the
/// DaemonSet installs again, on as many nodes at a time as it is set to: who is refused has everything as
/// before.
pub(crate) fn withdraw(
    namespace: &str,
    daemonset: &str,
    max_unavailable: &str,
    force: bool,
    timeout: Duration,
) -> Result<()> {
    let cluster = Cluster::of_this_pod()?;
    let arguments: &[&str] = if force {
        &["remove", "--force"]
    } else {
        &["remove"]
    };
    cluster.rearrange(namespace, daemonset, arguments, "100%")?;
    let gone = all_gone(&cluster, timeout);
    if gone.is_err() {
        tracing::warn!("not every node could be left; the DaemonSet installs again");
        cluster.rearrange(namespace, daemonset, &["run"], max_unavailable)?;
    }
    gone
}

fn all_gone(cluster: &Cluster, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = cluster.labelled()?;
        if left.is_empty() {
            tracing::info!("no node has the runtime any more");
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!(
                "still installed on {}: pods of this runtime run there, or the DaemonSet's logs say why",
                left.join(", ")
            );
        }
        std::thread::sleep(COUNT_EVERY);
    }
}

fn label(node: &NodeOptions, standing: Standing) -> Result<()> {
    if let Some(name) = &node.node_name {
        Cluster::of_this_pod()?.label(name, standing)?;
    }
    Ok(())
}

/// The signals that end a program, held back while a node is being changed.
struct End(SignalFd);

impl End {
    fn awaited() -> Result<Self> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGINT);
        signals.thread_block()?;
        Ok(Self(SignalFd::new(&signals)?))
    }

    /// Waits for one of them, and says whether it came in time.
    fn comes_within(&self, time: Duration) -> Result<bool> {
        let milliseconds = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        let mut polled = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut polled, PollTimeout::try_from(milliseconds)?)? > 0)
    }
}
