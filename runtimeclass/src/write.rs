//! Files that are replaced as a whole or not at all.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// A name beside `path` that nothing imports: it starts with a dot and does not end as `path` does.
#[must_use]
pub fn beside(path: &Path, purpose: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.coracle-{purpose}"))
}

/// Puts `bytes` at `path`: at every moment, and after a power cut, there is the old file or the new one.
/// Whoever has the old one open, or runs it, keeps it. Mode and owner of the old file are kept; a new one
/// gets `mode`.
///
/// # Errors
/// When the folder is missing or cannot be written; then nothing has changed.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = beside(path, "new");
    let written = fill(&temporary, bytes, fs::metadata(path).ok().as_ref(), mode)
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell.
        drop(fs::remove_file(&temporary));
        return written;
    }
    sync_folder(path)
}

/// Removes `path`; it may be gone already.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder(path)),
    }
}

/// Makes the folder `path` and those above it, and names those that were not there, the outermost first.
///
/// # Errors
/// When one cannot be made.
pub fn make_folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut made: Vec<PathBuf> = path
        .ancestors()
        .take_while(|folder| !folder.exists())
        .map(Path::to_owned)
        .collect();
    made.reverse();
    fs::create_dir_all(path)?;
    Ok(made)
}

fn fill(path: &Path, bytes: &[u8], old: Option<&Metadata>, mode: u32) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    let mode = old.map_or(mode, Metadata::mode);
    if let Some(old) = old {
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
    }
    file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn who_has_the_old_file_open_keeps_it_and_the_mode_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shim");
        replace(&path, b"old", 0o750).unwrap();
        let mut open = File::open(&path).unwrap();
        replace(&path, b"new", 0o600).unwrap();
        let mut read = String::new();
        open.read_to_string(&mut read).unwrap();
        assert_eq!(read, "old");
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o750);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
