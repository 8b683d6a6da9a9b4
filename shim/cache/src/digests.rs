//! The digests of files in images, found out once a boot.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::identity::Identity;
use crate::marks::Marks;
use crate::{CacheError, Digest};

/// Where some wasm comes from, which decides whether its digest may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A layer of an image, as the snapshotter unpacked it: nobody changes its files in place. An overlay
    /// of layers on one file system shows such a file by its own inode, but by a device of the overlay, so
    /// the caller names the layer's. Of an overlay over several file systems this cannot be said.
    Layer {
        /// The device number (`st_dev`) of the file system that holds the layer.
        device: u64,
    },
    /// Anything that somebody may write while it is looked at: a volume, or what a container itself has
    /// written. Hashed each time.
    Elsewhere,
}

/// How many digests are kept.
const LIMIT: usize = 4096;

/// An index from files to digests, in a folder of memory that only this user can write.
#[derive(Clone, Debug)]
pub struct Digests {
    pub(crate) marks: Marks,
    path: PathBuf,
}

impl Digests {
    /// Opens the index below `marks`, the folder that is given to [`Cache::open`](crate::Cache::open) too.
    ///
    /// # Errors
    /// When the folder cannot be made, belongs to somebody else, or can be written by others.
    pub fn open(marks: &Path) -> Result<Self, CacheError> {
        let path = marks.join("digests");
        let marks = Marks::open(marks, "digests")?;
        Ok(Self { marks, path })
    }

    /// The digest of a file: known from before where it may be and the file is as it was, else from all of
    /// its bytes.
    ///
    /// # Errors
    /// When the file or the index cannot be read.
    pub fn of(&self, file: &File, origin: Origin) -> Result<Digest, CacheError> {
        let read = |source| CacheError::Wasm { source };
        let Origin::Layer { device } = origin else {
            return Digest::of_file(file).map_err(read);
        };
        let identity = Identity::of(file).map_err(read)?;
        let is_settled = identity.is_settled();
        let name = format!("{device}-{}", identity.inode());
        let start = format!("{identity} ");
        let known = self.marks.read(&name)?;
        if let Some(digest) = known
            .as_deref()
            .and_then(|said| said.strip_prefix(&start))
            .and_then(Digest::parse)
        {
            return Ok(digest);
        }
        let digest = Digest::of_file(file).map_err(read)?;
        // A file that changed while it was read, or a moment before, is looked at again the next time.
        if is_settled && Identity::of(file).map_err(read)? == identity {
            self.marks.clear_at(LIMIT);
            self.marks.write(&name, &format!("{start}{digest}"));
        }
        Ok(digest)
    }

    /// Where the index stands, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
