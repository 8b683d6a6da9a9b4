//! Collecting children that have ended.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::container::lock;
use crate::process::{Exit, Process};
use crate::readiness;

/// Which children are processes that containerd knows.
#[derive(Default)]
pub(crate) struct Children {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By process id.
    living: HashMap<i32, Arc<Process>>,
    /// How many are being made. They may end before anybody knows them.
    expected: usize,
    /// Children that ended meanwhile.
    early: HashMap<i32, Exit>,
}

/// A process is being made for as long as this is kept.
pub(crate) struct Expected<'a>(&'a Children);

impl Children {
    /// From here on, the ends of unknown children are remembered.
    pub(crate) fn expect(&self) -> Expected<'_> {
        lock(&self.state).expected += 1;
        Expected(self)
    }

    /// Whether a process is being made.
    pub(crate) fn is_expected(&self) -> bool {
        lock(&self.state).expected > 0
    }

    /// Tells the process when it ends, or has ended; answers whether it has.
    pub(crate) fn watch(&self, process: &Arc<Process>) -> bool {
        let Some(pid) = process.pid() else {
            return false;
        };
        let mut state = lock(&self.state);
        match state.early.remove(&pid) {
            Some(exit) => {
                process.ended(exit);
                true
            }
            None => {
                state.living.insert(pid, Arc::clone(process));
                false
            }
        }
    }

    /// Collects every child that has ended, and hands those over that containerd knows.
    fn collect(&self, ended: &mut Vec<Arc<Process>>) {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let (pid, code) = match status {
                WaitStatus::Exited(pid, code) => (pid, code.cast_unsigned()),
                WaitStatus::Signaled(pid, signal, _) => (pid, 128 + signal as u32),
                WaitStatus::StillAlive => return,
                _ => continue,
            };
            let exit = Exit::now(code);
            let mut state = lock(&self.state);
            match state.living.remove(&pid.as_raw()) {
                Some(process) => {
                    process.ended(exit);
                    ended.push(process);
                }
                None if state.expected > 0 => {
                    state.early.insert(pid.as_raw(), exit);
                }
                None => {}
            }
        }
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.expected -= 1;
        if state.expected == 0 {
            state.early.clear();
        }
    }
}

/// Begins to notice the ends of children. Called before the first child is forked.
///
/// By a descriptor and not by a handler: tokio's handlers have descriptors that are global to a process and
/// would be inherited, closed, by the runtimes of guests.
///
/// # Errors
/// When the kernel does not watch.
pub(crate) fn signals() -> Result<AsyncFd<OwnedFd>> {
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    ends.thread_block()?;
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    let descriptor = OwnedFd::from(SignalFd::with_flags(&ends, flags)?);
    Ok(readiness::of(descriptor, Interest::READABLE)?)
}

/// Collects children for ever, and calls `ended` with each that containerd knows.
pub(crate) async fn reap(
    signals: AsyncFd<OwnedFd>,
    children: &Children,
    mut ended: impl FnMut(Arc<Process>),
) {
    loop {
        let noticed = signals
            .async_io(Interest::READABLE, |descriptor| {
                // One read takes one kind of signal, however often it came.
                Ok(rustix::io::read(descriptor, &mut [0; SIGNAL])?)
            })
            .await;
        if let Err(error) = noticed {
            log::error!(error:% = error; "ends of children are not noticed any more");
            return;
        }
        let mut processes = Vec::new();
        children.collect(&mut processes);
        processes.into_iter().for_each(&mut ended);
    }
}

/// Bytes of one record of a signal: `struct signalfd_siginfo`.
const SIGNAL: usize = 128;
