//! Ending all processes of a group.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::hierarchy::Version;
use crate::{Cgroup, CgroupError, file, folders, freezer};

/// Sends a signal to every process of the group and of those below it. With version 1 they stand still
/// meanwhile, so that none escapes by a fork.
pub(crate) fn signal(cgroup: &Cgroup, signal: Signal) -> Result<(), CgroupError> {
    let folder = cgroup.folder_of("freezer");
    if !folder.is_dir() {
        return Ok(());
    }
    match cgroup.version() {
        Version::V2 { .. } if signal == Signal::SIGKILL => kill_at_once(cgroup, &folder),
        Version::V2 { .. } => send(&folder, signal),
        Version::V1(_) => send_to_frozen(cgroup, &folder, signal),
    }
}

/// Version 2 kills a whole group, also one that is frozen, since Linux 5.14.
fn kill_at_once(cgroup: &Cgroup, folder: &Path) -> Result<(), CgroupError> {
    let path = folder.join("cgroup.kill");
    if !path.exists() {
        return send_to_frozen(cgroup, folder, Signal::SIGKILL);
    }
    match file::write(&path, "1") {
        Err(CgroupError::Write { source, .. }) if file::is_gone(&source) => Ok(()),
        written => written,
    }
}

/// A frozen process of version 1 takes its signal when it thaws. Whoever paused a container finds it
/// paused again, except that what is killed must not wait for that.
fn send_to_frozen(cgroup: &Cgroup, folder: &Path, signal: Signal) -> Result<(), CgroupError> {
    let was_frozen = freezer::is_frozen(cgroup)?;
    if !was_frozen && let Err(error) = freezer::set(cgroup, true) {
        // A process that cannot stop now can still be killed.
        log::warn!(path:% = folder.display(), error:% = error; "processes get a signal while they run");
    }
    let sent = send(folder, signal);
    if !was_frozen || signal == Signal::SIGKILL {
        freezer::set(cgroup, false)?;
    }
    sent
}

fn send(folder: &Path, signal: Signal) -> Result<(), CgroupError> {
    for process in folders::processes(folder)? {
        match kill(Pid::from_raw(process), signal) {
            // It has exited since.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => {
                return Err(CgroupError::Signal {
                    process,
                    signal: signal.as_str(),
                    source: errno.into(),
                });
            }
        }
    }
    Ok(())
}
