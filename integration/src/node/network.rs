//! A node's network: its loopback device, and requests made from inside it.

use std::fs::File;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns};
use nix::unistd::Pid;

/// How long one HTTP request may take.
const ANSWER_BY: Duration = Duration::from_secs(10);

/// Runs `work` in the network namespace of `process`, on a thread of its own.
pub(super) fn inside<T: Send>(process: Pid, work: impl FnOnce() -> T + Send) -> Result<T> {
    let path = format!("/proc/{process}/ns/net");
    let namespace = File::open(&path).with_context(|| format!("open {path}"))?;
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                setns(&namespace, CloneFlags::CLONE_NEWNET).context("enter the node's network")?;
                Ok(work())
            })
            .join()
            .map_err(|_panic| anyhow!("the closure in the node's network panicked"))?
    })
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// One request from the caller's network namespace: a POST where there is something to send, else a GET.
pub(super) fn request(address: SocketAddr, path: &str, body: Option<&str>) -> Result<Answer> {
    // The client connects on the calling thread, which is the one that entered the namespace. Codes of
    // failure are answers like others.
    let client = ureq::Agent::new_with_config(
        ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_BY))
            .http_status_as_error(false)
            .build(),
    );
    let url = format!("http://{address}{path}");
    let answer = match body {
        Some(body) => client.post(&url).send(body),
        None => client.get(&url).call(),
    };
    let mut answer = answer.with_context(|| format!("ask {url}"))?;
    Ok(Answer {
        status: answer.status().as_u16(),
        body: answer
            .body_mut()
            .read_to_string()
            .with_context(|| format!("read what {url} answers"))?,
    })
}

/// Brings `lo` of the caller's network namespace up.
pub(super) fn loopback_up() -> Result<()> {
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()
        .context("start `ip` (Debian package iproute2)")?;
    ensure!(status.success(), "`ip link set lo up` ended with {status}");
    Ok(())
}
