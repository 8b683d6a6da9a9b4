//! A node's cgroups, in every hierarchy of version 1 and in version 2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::patience::patient;

/// How long a killed process may take to leave its cgroup.
const EMPTY_BY: Duration = Duration::from_secs(10);

/// All cgroups below `parent` (an absolute cgroup path such as `/coracle-test-1`) in all hierarchies,
/// children before their parents, `parent` itself included.
///
/// # Errors
/// When the mount table or a cgroup cannot be read.
pub fn below(parent: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for hierarchy in hierarchies()? {
        let top = hierarchy.join(parent.trim_start_matches('/'));
        if top.is_dir() {
            collect(&top, &mut found)?;
        }
    }
    Ok(found)
}

/// Makes the cgroup `path` in all hierarchies; it may be there already.
///
/// # Errors
/// When the mount table cannot be read, or the kernel refuses.
pub fn create(path: &str) -> io::Result<()> {
    for hierarchy in hierarchies()? {
        fs::create_dir_all(hierarchy.join(path.trim_start_matches('/')))?;
    }
    Ok(())
}

/// Removes `parent` and everything below it, in all hierarchies. Kills nothing: it waits for the processes
/// in there to end.
///
/// # Errors
/// When a cgroup still has processes after ten seconds, or cannot be removed for another reason.
pub fn remove(parent: &str) -> io::Result<()> {
    let deadline = Instant::now() + patient(EMPTY_BY);
    for cgroup in below(parent)? {
        loop {
            match fs::remove_dir(&cgroup) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error)
                    if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline =>
                {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => {
                    return Err(io::Error::new(
                        error.kind(),
                        format!("remove cgroup {}: {error}", cgroup.display()),
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Removes `parent` alone, in all hierarchies, as a kubelet does with a pod's cgroup. One that still has children
/// stays, to be found as a leftover.
///
/// # Errors
/// When the mount table cannot be read, or the kernel refuses for another reason.
pub fn remove_childless(parent: &str) -> io::Result<()> {
    for hierarchy in hierarchies()? {
        match fs::remove_dir(hierarchy.join(parent.trim_start_matches('/'))) {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy
                ) =>
            {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(())
}

/// A cgroup may be removed by its owner while it is looked at; then it is no longer below anything.
fn collect(cgroup: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    match fs::read_dir(cgroup) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => {
            for entry in entries?.flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    collect(&entry.path(), found)?;
                }
            }
        }
    }
    found.push(cgroup.to_path_buf());
    Ok(())
}

/// The mount points of all cgroup hierarchies, each once.
fn hierarchies() -> io::Result<Vec<PathBuf>> {
    let mut points: Vec<PathBuf> = fs::read_to_string("/proc/self/mountinfo")?
        .lines()
        .filter_map(|line| {
            let (mount, filesystem) = line.split_once(" - ")?;
            let kind = filesystem.split(' ').next()?;
            matches!(kind, "cgroup" | "cgroup2")
                .then(|| mount.split(' ').nth(4).map(PathBuf::from))?
        })
        .collect();
    points.sort();
    points.dedup();
    Ok(points)
}
