//! The capabilities that a guest keeps.
//!
//! A native program is executed, and the kernel takes capabilities away on that occasion. Nothing is
//! executed for a guest, so this does what the kernel would have done.

use anyhow::{Context as _, Result};
use caps::{CapSet, CapsHashSet};

/// Leaves the calling thread, and those that it starts from here on, with what an executed program would
/// have: what the spec allows for root, what is ambient for anybody else.
///
/// # Errors
/// When the kernel refuses. The guest must not run then.
pub(crate) fn keep_what_a_program_would() -> Result<()> {
    let read = |set| caps::read(None, set).context("read the capabilities");
    let keep: CapsHashSet = if nix::unistd::geteuid().is_root() {
        let bounding = read(CapSet::Bounding)?;
        read(CapSet::Permitted)?
            .intersection(&bounding)
            .copied()
            .collect()
    } else {
        read(CapSet::Ambient)?
    };
    caps::clear(None, CapSet::Ambient).context("drop ambient capabilities")?;
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::set(None, set, &keep).with_context(|| format!("drop capabilities ({set:?})"))?;
    }
    Ok(())
}
