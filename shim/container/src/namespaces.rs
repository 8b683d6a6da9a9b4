//! Joining the namespaces of a process.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, setresgid, setresuid};

/// Which the kernel has no name for in older headers: `CLONE_NEWTIME`.
const NEW_TIME: CloneFlags = CloneFlags::from_bits_retain(0x80);

const USER: &str = "user";
const MOUNTS: &str = "mnt";

/// By their names in `/proc`, in the order in which they are joined: the user namespace gives the right to
/// join the others, and after the mount namespace nothing of the host can be seen.
const KINDS: [(&str, CloneFlags); 8] = [
    (USER, CloneFlags::CLONE_NEWUSER),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("net", CloneFlags::CLONE_NEWNET),
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
    ("time", NEW_TIME),
    ("pid", CloneFlags::CLONE_NEWPID),
    (MOUNTS, CloneFlags::CLONE_NEWNS),
];

/// Namespaces of a container that this process is not in.
#[derive(Debug)]
pub(crate) struct Namespaces(Vec<(&'static str, CloneFlags, OwnedFd)>);

impl Namespaces {
    /// Opens those of the process whose folder in `/proc` this is.
    ///
    /// # Errors
    /// When that process is gone, or has no mount namespace of its own: its root would not be joined.
    pub(crate) fn of(process: &File) -> Result<Self> {
        let mut found = Vec::new();
        for (name, kind) in KINDS {
            let opened = open(process, name)
                .with_context(|| format!("open the container's namespace {name:?}"))?;
            found.extend(opened.map(|namespace| (name, kind, namespace)));
        }
        ensure!(
            found.iter().any(|(name, ..)| *name == MOUNTS),
            "the container has no mount namespace of its own"
        );
        Ok(Self(found))
    }

    /// Joins them all. Processes forked from here on are in the container's PID namespace.
    ///
    /// # Errors
    /// When the kernel refuses. This process must end then: it is half in the container.
    pub(crate) fn join(self) -> Result<()> {
        for (name, kind, namespace) in self.0 {
            setns(namespace, kind)
                .with_context(|| format!("join the container's namespace {name:?}"))?;
            if name == USER {
                // Otherwise nobody there, whom files and devices would be made for.
                setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0))
                    .and_then(|()| setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)))
                    .context("become root of the container's user namespace")?;
            }
        }
        Ok(())
    }
}

/// The namespace of this name, unless this process is in it or the kernel has none of the kind.
fn open(process: &File, name: &str) -> io::Result<Option<OwnedFd>> {
    let own = match fs::metadata(format!("/proc/self/ns/{name}")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        own => own?,
    };
    let path = Path::new("ns").join(name);
    let opened = openat(
        process,
        &path,
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    );
    let theirs = File::from(opened.map_err(gone)?);
    let seen = theirs.metadata()?;
    let is_own = (own.dev(), own.ino()) == (seen.dev(), seen.ino());
    Ok((!is_own).then(|| theirs.into()))
}

/// A process that has ended has no namespaces, which the kernel says in more than one way.
fn gone(errno: Errno) -> io::Error {
    match errno {
        Errno::ESRCH | Errno::ENOENT => io::Error::new(
            io::ErrorKind::NotFound,
            "the container's first process has ended",
        ),
        errno => errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_without_a_root_of_its_own_is_refused() {
        let own = File::open("/proc/self").unwrap();
        let error = Namespaces::of(&own).unwrap_err();
        assert!(error.to_string().contains("no mount namespace"), "{error}");
    }

    #[test]
    fn a_process_that_ended_is_said_to_have_ended() {
        let mut child = Command::new("true").spawn().unwrap();
        let folder = File::open(format!("/proc/{}", child.id())).unwrap();
        child.wait().unwrap();
        let error = format!("{:#}", Namespaces::of(&folder).unwrap_err());
        assert!(error.contains("has ended"), "{error}");
    }
}
