//! Whether a file is the one that was looked at before, and as it was then.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

/// What the kernel changes with a file's content, and nobody can set back: writing, truncating, renaming
/// another file over it and setting its times all change the time of its last change (`ctime`).
///
/// Not covered: writes through a shared writable mapping between two flushes, a clock that is set back, and
/// changes of the block device below the file system. So identities only serve for files that nobody
/// changes in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Two changes closer together than this may leave the same time: the kernel's clock for files ticks.
const TICK: Duration = Duration::from_secs(2);

impl Identity {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from(&file.metadata()?))
    }

    /// Whether the last change is long enough ago that another one would show.
    pub(crate) fn is_settled(&self) -> bool {
        let (seconds, _) = self.changed;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let (Ok(now), Ok(changed)) = (now, u64::try_from(seconds)) else {
            return false;
        };
        now > Duration::from_secs(changed) + TICK
    }

    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }
}

impl From<&Metadata> for Identity {
    fn from(found: &Metadata) -> Self {
        Self {
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            inode,
            size,
            modified: (mtime, mtime_ns),
            changed: (ctime, ctime_ns),
        } = self;
        write!(
            f,
            "{inode} {size} {mtime}.{mtime_ns:09} {ctime}.{ctime_ns:09}"
        )
    }
}
