//! What a node said: shown in errors, and kept when a test fails.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::node::Layout;

/// The environment variable with the folder where the logs of failed tests are kept.
pub const TEST_LOGS: &str = "CORACLE_TEST_LOGS";

/// How many lines of a log an error shows.
const TAIL: usize = 30;

/// The last lines of the log at `path`.
#[must_use]
pub fn tail(path: &Path) -> String {
    lines(path, |_| true)
}

/// The last lines of the log at `path` that contain `word`.
#[must_use]
pub fn about(path: &Path, word: &str) -> String {
    lines(path, |line| line.contains(word))
}

fn lines(path: &Path, wanted: impl Fn(&str) -> bool) -> String {
    match fs::read(path) {
        Err(error) => format!("({}: {error})", path.display()),
        Ok(log) => {
            let log = String::from_utf8_lossy(&log);
            let mut last: Vec<&str> = log
                .lines()
                .rev()
                .filter(|line| wanted(line))
                .take(TAIL)
                .collect();
            last.reverse();
            last.join("\n")
        }
    }
}

/// Copies the node's logs and its containers' output to a folder that outlives it, and names that folder.
///
/// # Errors
/// When a log cannot be copied.
pub fn keep(layout: &Layout) -> Result<PathBuf> {
    let kept = folder()?.join(layout.name());
    fs::create_dir_all(&kept)?;
    for entry in fs::read_dir(layout.folder())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            copy(&path, &kept)?;
        }
    }
    for folder in [layout.stdio(), layout.pod_logs()] {
        copy_below(&folder, &kept)?;
    }
    Ok(kept)
}

/// In the unwinding of a failed test: keeps the logs, and prints where, once for all that unwinds.
pub(crate) fn keep_if_panicking(layout: &Layout) {
    thread_local! {
        static ANNOUNCED: Cell<bool> = const { Cell::new(false) };
    }
    if std::thread::panicking() {
        let kept = kept(layout);
        if !ANNOUNCED.replace(true) {
            announce(&kept);
        }
    }
}

/// Keeps the logs, and says where.
pub(crate) fn kept(layout: &Layout) -> String {
    match keep(layout) {
        Ok(kept) => format!("logs of the node are in {}", kept.display()),
        Err(error) => format!("logs of the node are lost: {error:#}"),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the person at the terminal has to learn it, with or without a logger"
)]
fn announce(message: &str) {
    eprintln!("{message}");
}

fn copy_below(folder: &Path, kept: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let below = kept.join(entry.file_name());
            fs::create_dir_all(&below)?;
            copy_below(&entry.path(), &below)?;
        } else if kind.is_file() {
            copy(&entry.path(), kept)?;
        }
    }
    Ok(())
}

fn copy(file: &Path, kept: &Path) -> Result<()> {
    let name = file.file_name().context("a log without a name")?;
    if file.exists() {
        fs::copy(file, kept.join(name)).with_context(|| format!("copy {}", file.display()))?;
    }
    Ok(())
}

fn folder() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(TEST_LOGS) {
        return Ok(named.into());
    }
    let this = std::env::current_exe()?;
    Ok(this.with_file_name("coracle-test-logs"))
}
