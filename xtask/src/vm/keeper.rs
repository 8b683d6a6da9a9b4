//! `cargo xtask vm-keeper`, for `vm` alone: runs QEMU as long as its standard input lasts.
//!
//! That input is a pipe from the task, and what comes through it is the machine's keyboard. It ends with the
//! task, however that ends, and never before; then the keeper ends QEMU and removes the folder of the run, which
//! otherwise is the task's to remove. Should the keeper be killed, QEMU dies with it, and the next run removes
//! the folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;

/// What to keep.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder to remove when the task is gone
    folder: PathBuf,
    /// Seconds after which QEMU is ended; without it, never
    #[arg(long)]
    deadline: Option<u64>,
    /// The command that runs the machine
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// How often the machine is looked at.
const PERIOD: Duration = Duration::from_millis(50);

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut machine = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .args(&options.command)
        .stdin(Stdio::piped())
        .spawn()
        .context("start setpriv, of util-linux")?;
    let mut keyboard = machine.stdin.take().context("the machine has no input")?;
    // Ends when the task is gone, or the machine.
    let lifeline = thread::spawn(move || io::copy(&mut io::stdin(), &mut keyboard));
    let deadline = options.deadline.map(Duration::from_secs);
    let begin = Instant::now();
    loop {
        if let Some(ended) = machine.try_wait()? {
            ensure!(ended.success(), "QEMU ended with {ended}");
            return Ok(());
        }
        if lifeline.is_finished() {
            kill(&mut machine)?;
            return Ok(remove(&options.folder)?);
        }
        if let Some(deadline) = deadline.filter(|deadline| begin.elapsed() > *deadline) {
            kill(&mut machine)?;
            bail!(
                "the machine has not come to an end within {} s",
                deadline.as_secs()
            );
        }
        thread::sleep(PERIOD);
    }
}

fn kill(machine: &mut Child) -> io::Result<()> {
    machine.kill()?;
    machine.wait().map(drop)
}

/// Removes `folder`, where it is still there.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
