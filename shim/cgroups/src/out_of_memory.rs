//! Hearing of processes that are killed because memory runs out.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd;

use crate::hierarchy::Version;
use crate::resources::Files;
use crate::{Cgroup, CgroupError, file};

const KEY: &str = "OOM events";

/// A watch on one group. Its descriptor can be read when something has happened, be it that the group is
/// gone; it does not block, so it fits an event loop, edge triggered or not.
#[derive(Debug)]
pub struct OutOfMemory {
    descriptor: OwnedFd,
    /// The file that has the count, in a line of its own.
    counts: PathBuf,
}

/// What has happened since the watch began, as the kernel counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kills {
    /// So many processes of the group, and of groups below it, were killed.
    Counted(u64),
    /// The group is gone, and its count with it.
    Gone,
}

impl OutOfMemory {
    pub(crate) fn watch(cgroup: &Cgroup) -> Result<Self, CgroupError> {
        let files = Files::of(cgroup, "memory", KEY)?;
        match cgroup.version() {
            Version::V1(_) => watch_v1(&files),
            Version::V2 { .. } => watch_v2(&files),
        }
    }

    /// Forgets what made the descriptor readable, so that it becomes so again by something new, and
    /// answers how many processes were killed since the group was made. The descriptor also tells of
    /// events that are no kills: only a count that has grown is one.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn kills(&self) -> Result<Kills, CgroupError> {
        self.drain()?;
        let Some(text) = file::read_if_there(&self.counts)? else {
            return Ok(Kills::Gone);
        };
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        let count = count
            .map(|count| file::number(&self.counts, count))
            .transpose()?;
        match count.flatten() {
            Some(count) => Ok(Kills::Counted(count)),
            None => Err(CgroupError::Form {
                path: self.counts.clone(),
                found: text,
                expected: "a line `oom_kill N`",
            }),
        }
    }

    fn drain(&self) -> Result<(), CgroupError> {
        let mut buffer = [0; 4096];
        loop {
            match unistd::read(&self.descriptor, &mut buffer) {
                Ok(0) | Err(Errno::EAGAIN) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => {
                    return Err(CgroupError::Read {
                        path: self.counts.clone(),
                        source: errno.into(),
                    });
                }
            }
        }
    }
}

impl AsFd for OutOfMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for OutOfMemory {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

/// Version 1 adds to a counter that it is given together with the file that is meant.
fn watch_v1(files: &Files) -> Result<OutOfMemory, CgroupError> {
    let counts = files.path("memory.oom_control");
    let failed = |errno: Errno| CgroupError::folder("watch", &counts)(errno.into());
    let control = File::open(&counts).map_err(CgroupError::folder("open", &counts))?;
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let event = EventFd::from_value_and_flags(0, flags).map_err(failed)?;
    let registration = format!("{} {}", event.as_fd().as_raw_fd(), control.as_raw_fd());
    files.write("cgroup.event_control", &registration)?;
    Ok(OutOfMemory {
        descriptor: OwnedFd::from(event),
        counts,
    })
}

/// Version 2 changes a file, which also counts what happens to groups below.
fn watch_v2(files: &Files) -> Result<OutOfMemory, CgroupError> {
    let counts = files.path("memory.events");
    let failed = |errno: Errno| CgroupError::folder("watch", &counts)(errno.into());
    let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
    let watch = Inotify::init(flags).map_err(failed)?;
    watch
        .add_watch(&counts, AddWatchFlags::IN_MODIFY)
        .map_err(failed)?;
    Ok(OutOfMemory {
        descriptor: OwnedFd::from(watch),
        counts,
    })
}
