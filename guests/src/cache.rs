//! The folder where built guests and toolchains are kept, and how entries get into it and leave it again.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

/// The cache cannot be used.
#[derive(Debug, Error)]
pub enum CacheError {
    /// Nothing says where the cache is.
    #[error("no place for a cache: set CORACLE_CACHE, XDG_CACHE_HOME or HOME to an absolute path")]
    NoPlace,
    /// A file or folder of the cache cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl CacheError {
    /// For `map_err`: the error of an operation on this path.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// Where Coracle keeps what it can make again: `$CORACLE_CACHE`, else `$XDG_CACHE_HOME/coracle`, else
/// `$HOME/.cache/coracle`. The folder need not exist yet.
///
/// # Errors
/// [`CacheError::NoPlace`] where none of the variables is set, or the first that is set is not absolute.
pub fn cache_folder() -> Result<PathBuf, CacheError> {
    resolve(|name| env::var_os(name).filter(|value| !value.is_empty()))
}

fn resolve(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, CacheError> {
    let folder = variable("CORACLE_CACHE")
        .map(PathBuf::from)
        .or_else(|| variable("XDG_CACHE_HOME").map(|base| Path::new(&base).join("coracle")))
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache/coracle")));
    folder
        .filter(|folder| folder.is_absolute())
        .ok_or(CacheError::NoPlace)
}

/// The folder of built guests.
pub(crate) fn guests() -> Result<PathBuf, CacheError> {
    Ok(cache_folder()?.join("guests"))
}

/// The folder of toolchains.
pub(crate) fn toolchains() -> Result<PathBuf, CacheError> {
    Ok(cache_folder()?.join("toolchains"))
}

/// Waits until no other process or thread holds this lock. It ends with the file that is returned, so also
/// with the process.
pub(crate) fn lock(path: &Path) -> Result<File, CacheError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(CacheError::at(folder))?;
    }
    let file = File::create(path).map_err(CacheError::at(path))?;
    file.lock().map_err(CacheError::at(path))?;
    Ok(file)
}

/// How long an entry stays that the sources no longer ask for: another checkout or branch may still do.
const GRACE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Removes what is left of earlier versions of `name`: entries `name-<hash>…` other than `current`.
pub(crate) fn sweep(folder: &Path, name: &str, current: &Path) -> Result<(), CacheError> {
    for entry in fs::read_dir(folder).map_err(CacheError::at(folder))? {
        let path = entry.map_err(CacheError::at(folder))?.path();
        if path != current && is_version_of(&path, name) && is_old(&path) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Removes a file or folder, where there is one.
pub(crate) fn remove(path: &Path) -> Result<(), CacheError> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(CacheError::at(path)(error)),
        _ => Ok(()),
    }
}

fn is_version_of(path: &Path, name: &str) -> bool {
    let file = path.file_name().and_then(|file| file.to_str());
    // Names hold no hyphen, so `hello` cannot be taken for `hello_wat`.
    file.and_then(|file| file.split_once('-'))
        .is_some_and(|(found, _)| found == name)
}

fn is_old(path: &Path) -> bool {
    let modified = path.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > GRACE))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<PathBuf, CacheError> {
        resolve(|wanted| {
            variables
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_own_variable_goes_first() {
        let all = [
            ("HOME", "/home/a"),
            ("XDG_CACHE_HOME", "/xdg"),
            ("CORACLE_CACHE", "/own"),
        ];
        assert_eq!(with(&all).unwrap(), Path::new("/own"));
        assert_eq!(with(&all[..2]).unwrap(), Path::new("/xdg/coracle"));
        assert_eq!(
            with(&all[..1]).unwrap(),
            Path::new("/home/a/.cache/coracle")
        );
    }

    #[test]
    fn no_place_and_a_relative_place_are_refused() {
        assert!(matches!(with(&[]), Err(CacheError::NoPlace)));
        assert!(matches!(
            with(&[("CORACLE_CACHE", "here")]),
            Err(CacheError::NoPlace)
        ));
    }

    #[test]
    fn only_old_entries_of_the_same_name_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let entry = |name: &str, age: Duration| {
            let path = folder.path().join(name);
            let file = File::create(&path).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
            path
        };
        let current = entry("hello-1.wasm", GRACE * 2);
        let fresh = entry("hello-2.wasm", Duration::ZERO);
        let old = entry("hello-3.wasm", GRACE * 2);
        let other = entry("hello_wat-4.wasm", GRACE * 2);
        sweep(folder.path(), "hello", &current).unwrap();
        assert!(current.exists() && fresh.exists() && other.exists());
        assert!(!old.exists());
    }
}
