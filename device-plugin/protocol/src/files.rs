//! The file operations that the protocol is made of.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::layout::unfinished;

/// A file system, or what a test puts in its place. Every call is at most one change that others can see.
pub trait Files {
    /// A file that is being written.
    type File: Write;

    /// Makes an empty file, also where there is one.
    ///
    /// # Errors
    /// Those of the file system, as of every operation here.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Gives a file or folder another name, at once: nobody sees neither name, or half a file.
    ///
    /// # Errors
    /// When `from` is not there, or `to` is a folder that is not empty.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// The content of a file.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names in a folder, in any order; those that are not UTF-8 are left out.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Makes a folder.
    ///
    /// # Errors
    /// When there is one, or nothing to make it in.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// When it is not there.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// When it is not there, or not empty.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
}

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        File::create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let names = fs::read_dir(path)?.filter_map(|entry| match entry {
            Ok(entry) => entry.file_name().into_string().ok().map(Ok),
            Err(error) => Some(Err(error)),
        });
        names.collect()
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }
}

/// Makes a folder unless it is there.
pub(crate) fn ensure_folder(files: &impl Files, path: &Path) -> io::Result<()> {
    match files.create_folder(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Puts `bytes` at `path`, so that a reader sees the file from before or all of this one.
///
/// The unfinished file has one fixed name: each file has one writer, and what a crashed one left behind is
/// written over by the next. Nothing is synced: no message has to outlive the machine, because a proxy that starts
/// withdraws all requests that it finds.
pub(crate) fn replace(files: &impl Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = unfinished(path);
    let mut file = files.create(&unfinished)?;
    file.write_all(bytes)?;
    file.flush()?;
    drop(file);
    files.rename(&unfinished, path)
}
