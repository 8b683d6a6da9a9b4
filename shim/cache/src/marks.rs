//! Short notes in a folder of memory, so that what was once found out is not found out again.
//!
//! A mark is a symbolic link that leads nowhere; what it says is its target. So one call makes it whole,
//! one call reads it, and its own modification time can say when it was last used. Marks are only ever a
//! saving: one that is missing or says something else costs the work that it would have saved.
//!
//! The folder belongs on a tmpfs (`/run`), where marks end with the boot.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use crate::{CacheError, folder, remove};

/// One folder of marks.
#[derive(Clone, Debug)]
pub(crate) struct Marks(PathBuf);

impl Marks {
    /// Opens a folder for marks, which is made where it is missing.
    pub(crate) fn open(root: &Path, name: &str) -> Result<Self, CacheError> {
        let path = root.join(name);
        folder::make(root)?;
        folder::make(&path)?;
        Ok(Self(path))
    }

    /// What the mark of this name says.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, CacheError> {
        let path = self.0.join(name);
        match fs::read_link(&path) {
            Ok(said) => Ok(said.into_os_string().into_string().ok()),
            // No mark, or something that is none.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(CacheError::at(&path)(error)),
        }
    }

    /// Makes a mark in place of the one of the same name. A folder that is full costs time and no start.
    pub(crate) fn write(&self, name: &str, says: &str) {
        let path = self.0.join(name);
        let made = remove(&path).and_then(|()| match symlink(says, &path) {
            // Somebody else made one just now. If it says something else, it saves nothing and is made anew.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made.map_err(CacheError::at(&path)),
        });
        degrade(made);
    }

    /// Sets a mark's time to now.
    pub(crate) fn touch(&self, name: &str) {
        let path = self.0.join(name);
        let (now, flags) = (TimeSpec::UTIME_NOW, UtimensatFlags::NoFollowSymlink);
        degrade(match utimensat(AT_FDCWD, &path, &now, &now, flags) {
            // It was evicted in between, together with its entry.
            Err(nix::errno::Errno::ENOENT) => Ok(()),
            touched => touched.map_err(|error| CacheError::at(&path)(error.into())),
        });
    }

    /// When a mark was made or touched, where there is one.
    pub(crate) fn time(&self, name: &str) -> Option<SystemTime> {
        fs::symlink_metadata(self.0.join(name))
            .and_then(|found| found.modified())
            .ok()
    }

    /// Removes a mark, where there is one.
    pub(crate) fn remove(&self, name: &str) -> Result<(), CacheError> {
        remove(&self.0.join(name))
    }

    /// Removes all marks once there are `limit` of them.
    pub(crate) fn clear_at(&self, limit: usize) {
        degrade(folder::entries(&self.0).and_then(|marks| {
            if marks.len() < limit {
                return Ok(());
            }
            log::info!(path:% = self.0.display(), marks:% = marks.len(); "forgetting what was marked");
            marks.iter().try_for_each(|path| remove(path))
        }));
    }
}

fn degrade(done: Result<(), CacheError>) {
    if let Err(error) = done {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        log::warn!(error:% = error, cause:? = cause; "what was found out is not kept");
    }
}
