//! Where the controllers of version 1 are mounted. The name is that of the original.

use std::path::PathBuf;

use crate::mounts::{self, MountsError};

/// The mount points of all hierarchies, each once, in the order in which they were mounted.
///
/// # Errors
/// When the mounts cannot be read.
pub fn list_subsystem_mount_points() -> Result<Vec<PathBuf>, MountsError> {
    Ok(mounts::read()?.legacy.clone())
}
