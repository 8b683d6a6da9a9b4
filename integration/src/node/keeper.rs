//! The outer process of a node: holds its lock, starts its first process, and sweeps when that has ended.
//!
//! Standard input is the *lifeline*: a pipe whose other end only the node's owner has. The first process
//! inherits it and ends at its end of file, so that the owner need not do anything to take the node down,
//! not even end in an orderly way. Should the keeper itself be killed, the first process dies with it, and
//! the next node, or an explicit sweep, takes the lock and removes the rest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};

use super::driver::Driver;
use super::layout::Layout;
use super::sweep::{self, Lock};

/// Keeps the node of `layout` until its lifeline or its first process ends, then sweeps it.
///
/// Prints the process id of the first process on standard output.
///
/// # Errors
/// When the node cannot be started or swept.
pub(super) fn run(layout: &Layout) -> Result<()> {
    fs::create_dir_all(Layout::nodes()).context("create the folder of all nodes")?;
    let lock = Lock::take(&layout.lock()).context("lock the node")?;
    fs::create_dir_all(layout.folder()).context("create the node's folder")?;
    if let Err(error) = sweep::sweep() {
        log::warn!("leftovers of another node remain: {error:#}");
    }
    let ended = first_process(layout);
    let swept = sweep::remove(layout);
    drop(lock);
    ended.and(swept)
}

/// Starts the node's first process and waits for its end.
///
/// The parent-death signal is tied to the thread that spawned, so this has to stay on the main thread.
fn first_process(layout: &Layout) -> Result<()> {
    let log = File::create(layout.keeper_log()).context("create the keeper's log")?;
    if layout.driver() == Driver::Cgroupfs {
        unshare(CloneFlags::CLONE_NEWPID).context("make a PID namespace; this needs root")?;
    }
    let mut child = Command::new(std::env::current_exe()?)
        .arg(super::process::FIRST_PROCESS)
        .arg(layout.folder())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("start the node's first process")?;
    let told = writeln!(io::stdout(), "{}", child.id()).context("tell the owner");
    if told.is_err() {
        child.kill().context("kill the node's first process")?;
    }
    child.wait().context("wait for the node's first process")?;
    told
}
