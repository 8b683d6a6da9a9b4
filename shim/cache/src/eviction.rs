//! Keeping the cache below its limit: what was used last stays longest.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::marks::Marks;
use crate::{CacheError, EXTENSION, LOCK, PARTIAL, folder, mark, remove};

/// How long after its making a file may not have been locked yet by whoever made it.
const UNLOCKED: Duration = Duration::from_secs(60);

struct Candidate {
    path: PathBuf,
    mark: String,
    size: u64,
    used: SystemTime,
}

/// Removes entries of all engines, the one unused for longest first, until what is left is below `limit`
/// bytes. Entries that somebody has open stay; so does whatever is not this cache's. Sweeps away what
/// compilations left that were killed.
///
/// The last use is the time of an entry's mark. Marks end with the boot, and then it is the time of the
/// entry itself, when it was compiled.
pub(crate) fn evict(root: &Path, marks: &Marks, limit: u64) -> Result<(), CacheError> {
    let mut candidates = Vec::new();
    for folder in folder::entries(root)? {
        for path in folder::entries(&folder)? {
            candidates.extend(candidate(&folder, path, marks)?);
        }
    }
    candidates.sort_by_key(|candidate| candidate.used);
    let mut total: u64 = candidates.iter().map(|candidate| candidate.size).sum();
    for candidate in candidates {
        if total <= limit {
            break;
        }
        if remove_unlocked(&candidate.path)? {
            log::info!(path:% = candidate.path.display(); "evicted");
            marks.remove(&candidate.mark)?;
            total -= candidate.size;
        }
    }
    Ok(())
}

/// An entry with its size and last use. What was abandoned is removed on the way.
fn candidate(folder: &Path, path: PathBuf, marks: &Marks) -> Result<Option<Candidate>, CacheError> {
    let found = match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(CacheError::at(&path))?,
    };
    if !found.is_file() {
        return Ok(None);
    }
    let written = found.modified().map_err(CacheError::at(&path))?;
    let extension = name(path.extension());
    if name(path.file_name()).starts_with(PARTIAL) || extension == LOCK {
        if written.elapsed().is_ok_and(|age| age > UNLOCKED) && remove_unlocked(&path)? {
            log::info!(path:% = path.display(); "swept away what a killed compilation left");
        }
        return Ok(None);
    }
    if extension != EXTENSION {
        return Ok(None);
    }
    let mark = mark(&name(folder.file_name()), name(path.file_stem()));
    let used = marks.time(&mark).map_or(written, |used| used.max(written));
    Ok(Some(Candidate {
        path,
        mark,
        size: found.len(),
        used,
    }))
}

/// A part of a path that this cache would have named itself.
fn name(part: Option<&OsStr>) -> Cow<'_, str> {
    part.unwrap_or_default().to_string_lossy()
}

/// Removes a file unless somebody has it locked; answers whether it is gone.
fn remove_unlocked(path: &Path) -> Result<bool, CacheError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        file => file.map_err(CacheError::at(path))?,
    };
    match file.try_lock() {
        Ok(()) => remove(path).map(|()| true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(CacheError::at(path)(source)),
    }
}
