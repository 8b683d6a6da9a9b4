//! Compiled wasm on disk, shared by every pod of a node.
//!
//! An entry stands at `<root>/<compatibility>/<sha256 of the wasm>.cwasm`, where the compatibility names
//! the engine that can run it. It is written under a temporary name, sealed, flushed and renamed, so a
//! crash at any point leaves either no entry or a whole one; what it leaves under temporary names is
//! locked by nobody, and the next compilation sweeps it away. One process compiles an entry at a time;
//! whoever wants the same one waits for it, and for its failure too.
//!
//! An entry is read and compared with its seal once a boot. That leaves a mark in a folder of memory, with
//! inode, size and times of the entry; later look-ups compare the mark. [`Digests`] does the same for the
//! wasm in images. So the look-up of a large module costs what that of a small one does.
//!
//! Architecture invariant: this crate knows no wasm. What compiles is handed in, and only ever writes to
//! the file that it is given.

mod digest;
mod digests;
mod entry;
mod error;
mod eviction;
mod failures;
mod flight;
mod folder;
mod identity;
mod marks;
mod seal;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use digest::Digest;
pub use digests::{Digests, Origin};
pub use entry::Entry;
pub use error::{CacheError, FetchError};

use crate::failures::Failures;
use crate::flight::Flight;
use crate::identity::Identity;
use crate::marks::Marks;

/// The cache of one engine on one node. Several processes may have it open.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    compatibility: String,
    folder: PathBuf,
    marks: Marks,
    failures: Failures,
    limit: u64,
}

impl Cache {
    /// Opens the cache below `root`, which is made where it is missing, for the engine that calls itself
    /// `compatibility`. It keeps itself below `limit` bytes, as far as entries are not in use. `marks` is
    /// a folder on a tmpfs, made where it is missing, for what was found out since the node has started.
    ///
    /// Code is mapped from `root` to be executed, so it cannot be on a file system that is mounted
    /// `noexec`, as `/run` often is.
    ///
    /// # Errors
    /// When a folder cannot be made, belongs to somebody else, or can be written by others: code in it
    /// could not be trusted.
    pub fn open(
        root: &Path,
        marks: &Path,
        compatibility: &str,
        limit: u64,
    ) -> Result<Self, CacheError> {
        folder::check_name(compatibility)?;
        let folder = root.join(compatibility);
        folder::make(root)?;
        folder::make(&folder)?;
        Ok(Self {
            root: root.to_owned(),
            compatibility: compatibility.to_owned(),
            folder,
            failures: Failures::open(marks)?,
            marks: Marks::open(marks, MARKS)?,
            limit,
        })
    }

    /// The entry for the wasm with this digest. On a miss, `compile` writes the compiled code into the
    /// file that it is given; a second caller for the same digest waits for the first. What fails once
    /// fails for all who waited for it: one after the other, each would wait for the failures of all before.
    ///
    /// # Errors
    /// [`FetchError::Compile`] with what `compile` said, [`FetchError::Shared`] with what that of another
    /// said; nothing is kept then. Otherwise when the cache cannot be read or written.
    pub fn fetch<E: fmt::Display>(
        &self,
        digest: &Digest,
        compile: impl FnOnce(&File) -> Result<(), E>,
    ) -> Result<Entry, FetchError<E>> {
        if let Some(entry) = self.find(digest)? {
            return Ok(entry);
        }
        let waiting_since = SystemTime::now();
        let flight = Flight::begin(self.folder.join(format!("{digest}.{LOCK}")))?;
        // Whoever was first may have finished while this one waited.
        if let Some(entry) = self.find(digest)? {
            return Ok(entry);
        }
        let mark = self.mark(digest);
        if let Some(reason) = self.failures.since(&mark, waiting_since)? {
            return Err(FetchError::Shared { reason });
        }
        let entry = self.add(digest, compile);
        match &entry {
            Err(FetchError::Compile(reason)) => self.failures.keep(&mark, &reason.to_string()),
            _ => self.failures.forget(&mark)?,
        }
        drop(flight);
        // After a failure too: there may be leavings of those before.
        if let Err(error) = eviction::evict(&self.root, &self.marks, self.limit) {
            log::warn!(error:% = error; "the cache of compiled code cannot be trimmed");
        }
        entry
    }

    /// The entry for this digest, if there is a whole one. One that is damaged is removed.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn find(&self, digest: &Digest) -> Result<Option<Entry>, CacheError> {
        let path = self.path(digest);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(CacheError::at(&path))?,
        };
        file.lock_shared().map_err(CacheError::at(&path))?;
        let found = file.metadata().map_err(CacheError::at(&path))?;
        if found.nlink() == 0 {
            // Evicted between opening and locking.
            return Ok(None);
        }
        let entry = Entry { file, path };
        let mark = self.mark(digest);
        let identity = Identity::from(&found).to_string();
        if self.marks.read(&mark)?.as_deref() == Some(&*identity) {
            self.marks.touch(&mark);
            return Ok(Some(entry));
        }
        match seal::verify(&entry.file, digest) {
            Ok(()) => {
                self.marks.write(&mark, &identity);
                Ok(Some(entry))
            }
            Err(seal::Broken::Unreadable(source)) => Err(CacheError::at(&entry.path)(source)),
            Err(broken) => {
                let path = entry.path.display();
                log::warn!(path:% = path, reason:% = broken; "a damaged entry is removed");
                self.remove(digest)?;
                Ok(None)
            }
        }
    }

    /// Removes the entry for this digest, where there is one: its code turned out not to fit the engine.
    /// Whoever has it open or mapped keeps it.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn remove(&self, digest: &Digest) -> Result<(), CacheError> {
        remove(&self.path(digest))?;
        self.marks.remove(&self.mark(digest))
    }

    fn add<E>(
        &self,
        digest: &Digest,
        compile: impl FnOnce(&File) -> Result<(), E>,
    ) -> Result<Entry, FetchError<E>> {
        let path = self.path(digest);
        let partial = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempfile_in(&self.folder)
            .map_err(CacheError::at(&self.folder))?;
        let at_partial = || CacheError::at(partial.path());
        // Whoever sweeps takes what nobody has locked. A compiler that outlives this process has the same
        // open file, and so the same lock.
        partial.as_file().lock().map_err(at_partial())?;
        compile(partial.as_file()).map_err(FetchError::Compile)?;
        seal::seal(partial.as_file(), digest).map_err(at_partial())?;
        partial.as_file().sync_all().map_err(at_partial())?;
        // Opened anew and only for reading: an entry is handed to processes that run foreign code. Locked
        // before it has its name, so that no eviction takes it on the way.
        let file = File::open(partial.path()).map_err(at_partial())?;
        partial.as_file().lock_shared().map_err(at_partial())?;
        file.lock_shared().map_err(at_partial())?;
        partial
            .persist(&path)
            .map_err(|error| CacheError::at(&path)(error.error))?;
        folder::flush(&self.folder)?;
        let identity = Identity::of(&file).map_err(CacheError::at(&path))?;
        self.marks.write(&self.mark(digest), &identity.to_string());
        Ok(Entry { file, path })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.{EXTENSION}"))
    }

    fn mark(&self, digest: &Digest) -> String {
        mark(&self.compatibility, digest)
    }
}

/// The name of an entry's mark.
fn mark(compatibility: &str, digest: impl fmt::Display) -> String {
    format!("{compatibility}.{digest}")
}

/// The folder of the entries' marks.
const MARKS: &str = "entries";

/// The extension of entries.
const EXTENSION: &str = "cwasm";

/// The extension of what is locked while an entry is compiled.
const LOCK: &str = "lock";

/// How the names of unfinished entries begin.
const PARTIAL: &str = ".partial-";

/// Removes a file, where there is one.
fn remove(path: &Path) -> Result<(), CacheError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(CacheError::at(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
