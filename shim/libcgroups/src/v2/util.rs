//! Where version 2 is mounted. The name is that of the original.

use std::path::PathBuf;

use crate::mounts::{self, MountsError};

/// The mount point of the unified hierarchy.
///
/// # Errors
/// When the mounts cannot be read, or it is not among them.
pub fn get_unified_mount_point() -> Result<PathBuf, MountsError> {
    mounts::read()?
        .unified
        .clone()
        .ok_or(MountsError::NoUnified)
}
