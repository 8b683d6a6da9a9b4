//! Removes what outlives the namespaces of a dead node: its folder, its cgroups, its lock.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::layout::Layout;
use crate::cgroup;

/// Removes the leftovers of every node whose keeper is dead, and says which those were.
///
/// # Errors
/// When something of a dead node cannot be removed.
pub fn sweep() -> Result<Vec<String>> {
    let nodes = Layout::nodes();
    let entries = match fs::read_dir(&nodes) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("list {}", nodes.display()))?,
    };
    let mut swept = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let layout = Layout::at(path.with_extension(""));
        if let Some(_lock) = Lock::of_dead(&layout.lock())? {
            remove(&layout)?;
            swept.push(layout.name());
        }
    }
    Ok(swept)
}

/// Removes what `layout` names. The caller holds the lock; the node's processes are dead or dying.
pub(super) fn remove(layout: &Layout) -> Result<()> {
    layout.driver().end(&layout.name())?;
    cgroup::remove(&layout.cgroup_parent())?;
    for gone in [
        remove_folder(layout.folder()),
        fs::remove_file(layout.lock()),
    ] {
        match gone {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove node {}", layout.name()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A process that died a moment ago may still have been writing: then a folder is not empty at once.
fn remove_folder(folder: &Path) -> io::Result<()> {
    const TRIES: usize = 5;
    for _ in 1..TRIES {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            done => return done,
        }
    }
    fs::remove_dir_all(folder)
}

/// An exclusive lock on a node, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a new node.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)?;
            file.lock()?;
            // A sweep may have removed the file between opening and locking it.
            if is_still(path, &file)? {
                return Ok(Self { _file: file });
            }
        }
    }

    /// Takes the lock of a node whose keeper is dead; `None` when it lives or is gone already.
    pub(super) fn of_dead(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        match file.try_lock() {
            Ok(()) => Ok(is_still(path, &file)?.then_some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn is_still(path: &Path, file: &File) -> io::Result<bool> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        named => Ok(named?.ino() == file.metadata()?.ino()),
    }
}
