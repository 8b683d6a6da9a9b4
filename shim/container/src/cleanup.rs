//! Removing a container, whatever state it is in.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use coracle_cgroups::{Cgroup, Hierarchy};
use nix::sys::signal::Signal;

use crate::narrow::{self, Bundle};
use crate::{message, mount, outcome, spawn};

/// How long processes may take to die of SIGKILL. Longer means that the kernel holds them, as in a read
/// from a network file system that is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kills what is left of the container in this bundle, and removes its control group, its mounts and its
/// state. Removing what is gone already succeeds.
///
/// # Errors
/// When a process does not die, or the kernel refuses to take something away; whatever could be removed
/// is, also then.
pub fn remove(bundle: &Path) -> Result<()> {
    let loaded = match Bundle::load(bundle) {
        Ok(loaded) => Some(loaded),
        // Without a spec no container was ever made of it.
        Err(_) if !bundle.join("config.json").exists() => None,
        Err(error) => return Err(error),
    };
    let root = loaded
        .as_ref()
        .map_or_else(|| bundle.join("rootfs"), Bundle::root);
    let processes = match loaded.as_ref().and_then(Bundle::control_group) {
        Some(path) => remove_group(&path),
        None => Ok(()),
    };
    let mounts = mount::unmount(&root).with_context(|| format!("unmount {}", root.display()));
    let folder = narrow::own_folder(bundle);
    let state = match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
    .with_context(|| format!("remove {}", folder.display()));
    processes.and(mounts).and(state)
}

/// As [`remove`], in a process of its own: file systems may take long to unmount. What is returned becomes
/// readable when it is done: [`removed`].
///
/// # Errors
/// When the kernel has no socket or process to give.
///
/// The calling process must have one thread and a handler that reaps its children.
pub fn remove_apart(bundle: &Path) -> io::Result<OwnedFd> {
    let (here, there) = message::pair()?;
    spawn::fork(&[there.as_raw_fd()], || {
        outcome::tell(
            there.as_fd(),
            remove(bundle).map_err(|error| format!("{error:#}")),
        )
    })?;
    Ok(here)
}

/// How a removal went; blocks until it is done.
///
/// # Errors
/// What could not be removed.
pub fn removed(outcome: BorrowedFd<'_>) -> Result<(), String> {
    outcome::hear(outcome)
}

/// What errors of control groups are about.
pub(crate) const GROUP: &str = "the container's control group";

/// The control group of this path, in either form.
pub(crate) fn group(path: &str) -> Result<Cgroup> {
    let hierarchy = Hierarchy::detect().context(GROUP)?;
    hierarchy.cgroup(Path::new(path)).context(GROUP)
}

fn remove_group(path: &str) -> Result<()> {
    let group = group(path)?;
    group.kill_all(Signal::SIGKILL).context(GROUP)?;
    group.delete(PATIENCE).context(GROUP)
}
