//! The sandbox container: a process that sleeps and holds the pod's namespaces.

use caps::CapSet;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, waitpid};

/// Sleeps until it is told to end; answers with the exit code.
///
/// In a PID namespace that a pod shares, this is the first process and inherits every orphan, so it
/// reaps them.
pub(crate) fn sleep_until_told() -> i32 {
    let mut awaited = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD] {
        awaited.add(signal);
    }
    // Whoever only sleeps needs no privilege, whatever the spec of the sandbox grants.
    let given_up = [
        CapSet::Ambient,
        CapSet::Effective,
        CapSet::Permitted,
        CapSet::Inheritable,
    ]
    .into_iter()
    .all(|set| caps::clear(None, set).is_ok());
    if !given_up || awaited.thread_block().is_err() {
        return 1;
    }
    loop {
        match awaited.wait() {
            Ok(Signal::SIGCHLD) => reap(),
            Ok(_) => return 0,
            Err(Errno::EINTR) => {}
            Err(_) => return 1,
        }
    }
}

fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status.pid().is_none() {
            return;
        }
    }
}
