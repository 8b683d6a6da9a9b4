//! The folder of what can be made again. `coracle_guests::cache_folder` follows the same rule; xtask does not
//! link it, to stay light.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};

/// `$CORACLE_CACHE`, else `$XDG_CACHE_HOME/coracle`, else `$HOME/.cache/coracle`.
///
/// # Errors
/// Where none of them is set, or the first that is set is not absolute.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let folder = set("CORACLE_CACHE")
        .map(PathBuf::from)
        .or_else(|| set("XDG_CACHE_HOME").map(|base| PathBuf::from(base).join("coracle")))
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache/coracle")))
        .context("no place for a cache: set CORACLE_CACHE, XDG_CACHE_HOME or HOME")?;
    ensure!(
        folder.is_absolute(),
        "the cache folder {} is not absolute: set CORACLE_CACHE to an absolute path",
        folder.display()
    );
    Ok(folder)
}
