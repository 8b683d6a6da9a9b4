//! The first process of a node's PID namespace: makes the other namespaces, runs containerd, reaps orphans.
//!
//! When it ends, however it ends, the kernel ends every process of the node and takes its mounts and network
//! devices away.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::config;
use super::driver::Driver;
use super::layout::Layout;
use super::network;
use super::services::{self, Requests, Services};
use super::sweep::Lock;
use crate::processes;

/// The program that every node runs.
const CONTAINERD: &str = "containerd";

/// Where a kubelet has its sockets, whatever it is told.
const KUBELET: &str = "/var/lib/kubelet";

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
    for folder in layout.folders() {
        fs::create_dir_all(folder)?;
    }
    if layout.driver() == Driver::Systemd {
        // Without a PID namespace this is what orphans of the node are handed to.
        prctl::set_child_subreaper(true).context("adopt orphans")?;
    }
    make_namespaces(layout)?;
    let snapshotter = if overlay_works(&layout.temporary()) {
        "overlayfs"
    } else {
        "native"
    };
    fs::write(layout.snapshotter(), snapshotter)?;
    config::write(layout, snapshotter)?;
    services::describe(layout, CONTAINERD, &containerd(layout))?;
    let tended = tend(layout);
    if layout.driver() == Driver::Systemd {
        end_descendants()?;
    }
    tended
}

/// The mounts that shims and CNI plugins make outside the node's folder land on file systems that end with
/// the node: shim sockets and network namespaces in `/run`, CNI results in `/var/lib`, a kubelet's links to
/// logs in `/var/log`. What a kubelet keeps is a folder of the node's own: its path cannot be configured,
/// and volumes may grow large.
fn make_namespaces(layout: &Layout) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
        .context("make a mount and a network namespace")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("make / private")?;
    let harmless = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("proc"), "/proc", Some("proc"), harmless, none).context("mount /proc")?;
    let hosts_run = layout.temporary().join("run");
    let with_systemd = layout.driver() == Driver::Systemd;
    if with_systemd {
        fs::create_dir_all(&hosts_run)?;
        bind(Path::new("/run"), &hosts_run)?;
    }
    for folder in ["/run", "/var/lib", "/var/log"] {
        mount(
            Some("tmpfs"),
            folder,
            Some("tmpfs"),
            harmless,
            Some("mode=755"),
        )
        .with_context(|| format!("mount {folder}"))?;
    }
    if with_systemd {
        // Where runtimes look for D-Bus, and for signs that systemd runs at all.
        for name in ["dbus", "systemd"] {
            let place = Path::new("/run").join(name);
            fs::create_dir(&place)?;
            bind(&hosts_run.join(name), &place)?;
        }
        umount2(&hosts_run, MntFlags::MNT_DETACH).context("let go of the host's /run")?;
    }
    fs::create_dir(KUBELET)?;
    bind(&layout.kubelet(), Path::new(KUBELET))?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SHARED, none).context("make / shared")?;
    network::loopback_up().context("bring the loopback device up")
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    let none = None::<&str>;
    mount(Some(source), target, none, MsFlags::MS_BIND, none)
        .with_context(|| format!("bind {} to {}", source.display(), target.display()))
}

fn containerd(layout: &Layout) -> Vec<String> {
    let config = layout.config().to_string_lossy().into_owned();
    [CONTAINERD, "--config", &config].map(str::to_owned).into()
}

/// Runs containerd and answers the lifeline, one event at a time, on one thread.
fn tend(layout: &Layout) -> Result<()> {
    let mut child_ended = SigSet::empty();
    child_ended.add(Signal::SIGCHLD);
    child_ended.thread_block()?;
    let signals = SignalFd::with_flags(&child_ended, SfdFlags::SFD_NONBLOCK)?;
    let lifeline = std::io::stdin();
    let mut requests = Requests::default();
    let mut services = Services::new(layout);
    services.start(CONTAINERD)?;
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
            let ended = reap()?;
            services.revive(CONTAINERD, &ended)?;
        }
        if asked {
            let Some(lines) = requests.read(&lifeline)? else {
                return Ok(());
            };
            for line in lines {
                services.answer(&line)?;
            }
        }
    }
}

/// Does what the end of a PID namespace does, where there is none.
fn end_descendants() -> Result<()> {
    let own = Pid::this();
    loop {
        for process in processes::in_namespace_of(own)? {
            if process.pid != own {
                match kill(process.pid, Signal::SIGKILL) {
                    Err(Errno::ESRCH) => {}
                    killed => killed?,
                }
            }
        }
        match waitid(Id::All, WaitPidFlag::WEXITED) {
            Err(Errno::ECHILD) => return Ok(()),
            ended => {
                ended?;
            }
        }
    }
}

/// Takes note of every child that has ended, and names them.
fn reap() -> Result<Vec<Pid>> {
    let mut children = Vec::new();
    loop {
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(children),
            ended => children.extend(ended?.pid()),
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
