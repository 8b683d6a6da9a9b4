//! The capabilities that a guest's threads keep.
//!
//! A native program is executed, and the kernel takes capabilities away on that occasion. Nothing is
//! executed for a guest, so this does what the kernel would have done.

use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use caps::{CapSet, CapsHashSet};

/// What this shim may hand on, known before the first container is forked from it.
static OF_THE_SHIM: OnceLock<CapsHashSet> = OnceLock::new();

/// Remembers what the shim itself may hand on.
///
/// # Errors
/// When the kernel does not say.
pub(crate) fn remember_those_of_the_shim() -> Result<()> {
    let own = caps::read(None, CapSet::Bounding).context("read the shim's capabilities")?;
    OF_THE_SHIM.get_or_init(|| own);
    Ok(())
}

/// Leaves the calling thread, and those that it starts from here on, with what an executed program would
/// have: what the spec allows for root, nothing for anybody else.
///
/// # Errors
/// When the kernel refuses. The guest must not run then.
pub(crate) fn keep_what_a_program_would() -> Result<()> {
    let allowed = caps::read(None, CapSet::Bounding).context("read the capabilities")?;
    let keep = if nix::unistd::geteuid().is_root() {
        without_what_nobody_granted(allowed)
    } else {
        caps::read(None, CapSet::Ambient).context("read the capabilities")?
    };
    caps::clear(None, CapSet::Ambient).context("drop ambient capabilities")?;
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::set(None, set, &keep).with_context(|| format!("drop capabilities ({set:?})"))?;
    }
    Ok(())
}

/// libcontainer 0.6 leaves a set as it is where the spec has none, so a pod that drops all capabilities
/// arrives here with those of the shim. What was not limited was not granted either.
fn without_what_nobody_granted(allowed: CapsHashSet) -> CapsHashSet {
    if OF_THE_SHIM.get() == Some(&allowed) {
        CapsHashSet::new()
    } else {
        allowed
    }
}
