//! Processors and memory nodes of a new group of version 1: none, until they are written.

use std::path::Path;

use crate::{CgroupError, file};

const FILES: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// Gives a new group what its parent has: a process cannot enter one that has nothing.
pub(crate) fn inherit(folder: &Path) -> Result<(), CgroupError> {
    let Some(parent) = folder.parent() else {
        return Ok(());
    };
    for name in FILES {
        let path = folder.join(name);
        // With `cgroup.clone_children` the kernel has done it.
        if file::read(&path)?.trim().is_empty() {
            file::write(&path, file::read(&parent.join(name))?.trim())?;
        }
    }
    Ok(())
}
