//! The first process of a node's PID namespace: makes the other namespaces, runs containerd, reaps orphans.
//!
//! When it ends, however it ends, the kernel ends every process of the node and takes its mounts and network
//! devices away.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::config;
use super::layout::Layout;
use super::network;
use super::sweep::Lock;

/// The environment variable with the folder of the shim under test; it comes first on containerd's PATH.
pub const SHIM_DIR: &str = "CORACLE_SHIM_DIR";

/// What the owner may write to the lifeline.
pub(super) const RESTART: u8 = b'r';

/// Runs the node of `layout` until the lifeline, standard input, ends.
///
/// # Errors
/// When a namespace, a mount or containerd cannot be made.
pub(super) fn run(layout: &Layout) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("ask to die with the keeper")?;
    ensure!(
        Lock::of_dead(&layout.lock())?.is_none(),
        "the keeper died before its first process was ready"
    );
    make_namespaces()?;
    for folder in layout.folders() {
        fs::create_dir_all(folder)?;
    }
    let snapshotter = if overlay_works(&layout.temporary()) {
        "overlayfs"
    } else {
        "native"
    };
    fs::write(layout.snapshotter(), snapshotter)?;
    config::write(layout, snapshotter)?;
    tend(layout)
}

/// The mounts that shims and CNI plugins make outside the node's folder land on file systems that end with
/// the node: shim sockets and network namespaces in `/run`, CNI results in `/var/lib`.
fn make_namespaces() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
        .context("make a mount and a network namespace")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("make / private")?;
    let harmless = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("proc"), "/proc", Some("proc"), harmless, none).context("mount /proc")?;
    for folder in ["/run", "/var/lib"] {
        mount(
            Some("tmpfs"),
            folder,
            Some("tmpfs"),
            harmless,
            Some("mode=755"),
        )
        .with_context(|| format!("mount {folder}"))?;
    }
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SHARED, none).context("make / shared")?;
    network::loopback_up().context("bring the loopback device up")
}

/// Runs containerd and answers the lifeline, one event at a time, on one thread.
fn tend(layout: &Layout) -> Result<()> {
    let mut child_ended = SigSet::empty();
    child_ended.add(Signal::SIGCHLD);
    child_ended.thread_block()?;
    let signals = SignalFd::with_flags(&child_ended, SfdFlags::SFD_NONBLOCK)?;
    let mut lifeline = std::io::stdin();
    let mut containerd = start_containerd(layout)?;
    loop {
        let (asked, ended) = {
            let mut waited = [
                PollFd::new(lifeline.as_fd(), PollFlags::POLLIN),
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut waited, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                polled => polled?,
            };
            (waited[0].any() == Some(true), waited[1].any() == Some(true))
        };
        if ended {
            while signals.read_signal()?.is_some() {}
            reap()?;
        }
        if asked {
            let mut request = [0];
            match lifeline.read(&mut request)? {
                0 => return Ok(()),
                _ if request == [RESTART] => {
                    stop(containerd)?;
                    containerd = start_containerd(layout)?;
                }
                _ => bail!("unknown request {request:?} on the lifeline"),
            }
        }
    }
}

fn start_containerd(layout: &Layout) -> Result<Pid> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(layout.log())?;
    let own = std::env::var("PATH").unwrap_or_default();
    let path = match std::env::var(SHIM_DIR) {
        Ok(shim) => format!("{shim}:{own}:/usr/sbin:/sbin"),
        Err(_) => format!("{own}:/usr/sbin:/sbin"),
    };
    let child = Command::new("containerd")
        .arg("--config")
        .arg(layout.config())
        // As from an init system: nothing of whoever runs the tests reaches containerd, shims or containers.
        .env_clear()
        .env("PATH", path)
        .env("TMPDIR", layout.temporary())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("start containerd; Debian's package is `containerd`")?;
    Ok(Pid::from_raw(i32::try_from(child.id())?))
}

/// Asks containerd to end, and waits until it did; it may be dead already.
fn stop(containerd: Pid) -> Result<()> {
    match kill(containerd, Signal::SIGTERM) {
        Err(Errno::ESRCH) => return Ok(()),
        asked => asked?,
    }
    match waitpid(containerd, None) {
        Ok(_) | Err(Errno::ECHILD) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn reap() -> Result<()> {
    loop {
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
            ended => {
                ended?;
            }
        }
    }
}

fn overlay_works(scratch: &Path) -> bool {
    let folders = ["lower", "upper", "work", "merged"].map(|name| scratch.join(name));
    if folders
        .iter()
        .any(|folder| fs::create_dir_all(folder).is_err())
    {
        return false;
    }
    let [lower, upper, work, merged] = folders.each_ref().map(|folder| folder.display());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let flags = MsFlags::empty();
    let target = &folders[3];
    let works = mount(
        Some("overlay"),
        target,
        Some("overlay"),
        flags,
        Some(options.as_str()),
    )
    .and_then(|()| umount2(target, MntFlags::MNT_DETACH));
    log::debug!(merged:%; "overlayfs tried: {works:?}");
    works.is_ok()
}
