//! Making and removing the folders that are control groups.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::{CgroupError, file};

/// The file with the processes of a group.
pub(crate) const PROCESSES: &str = "cgroup.procs";

/// Makes the folder of a container's group below `point`, and calls `prepare` for each folder on the way,
/// whoever has made it: another shim may have made a folder a moment ago, and not prepared it yet.
pub(crate) fn make(
    point: &Path,
    path: &Path,
    prepare: impl Fn(&Path) -> Result<(), CgroupError>,
) -> Result<(), CgroupError> {
    let mut current = point.to_owned();
    for name in path {
        current.push(name);
        match fs::create_dir(&current) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(CgroupError::folder("make", &current)(error));
            }
            _ => prepare(&current)?,
        }
    }
    Ok(())
}

/// Accepts a folder in which nobody is.
pub(crate) fn refuse_occupied(folder: &Path) -> Result<(), CgroupError> {
    let processes = processes(folder)?;
    if processes.is_empty() {
        return Ok(());
    }
    Err(CgroupError::Occupied {
        path: folder.to_owned(),
        processes,
    })
}

/// The processes of a group and of those below it; none when it is gone.
pub(crate) fn processes(folder: &Path) -> Result<Vec<i32>, CgroupError> {
    let mut found = Vec::new();
    for folder in tree(folder)? {
        let path = folder.join(PROCESSES);
        let text = match file::read_if_there(&path) {
            // A group of threads, whose processes are listed above it.
            Err(CgroupError::Read { source, .. }) if is_threaded(&source) => continue,
            text => text?.unwrap_or_default(),
        };
        for line in text.lines() {
            found.push(line.parse().ok().ok_or_else(|| CgroupError::Form {
                path: path.clone(),
                found: line.to_owned(),
                expected: "the id of a process",
            })?);
        }
    }
    Ok(found)
}

fn is_threaded(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::EOPNOTSUPP as i32)
}

/// Removes a group and those that its processes have made below it. One that is gone already is none to
/// remove; one that is in use is left, and said to be so.
pub(crate) fn remove(folder: &Path) -> Result<Removal, CgroupError> {
    let mut removal = Removal::Done;
    for folder in tree(folder)?.iter().rev() {
        match fs::remove_dir(folder) {
            Ok(()) => {}
            Err(error) if file::is_gone(&error) => {}
            Err(error) if error.kind() == ErrorKind::ResourceBusy => removal = Removal::Busy,
            Err(error) => return Err(CgroupError::folder("remove", folder)(error)),
        }
    }
    Ok(removal)
}

/// What became of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Done,
    Busy,
}

/// The folder and all below it, parents first; none when it is gone.
pub(crate) fn tree(folder: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        match children(&folder) {
            Ok(children) => pending.extend(children),
            Err(error) if file::is_gone(&error) => continue,
            Err(error) => return Err(CgroupError::folder("list", &folder)(error)),
        }
        found.push(folder);
    }
    Ok(found)
}

fn children(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}
