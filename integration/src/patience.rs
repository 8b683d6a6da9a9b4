//! How much longer than usual the harness waits: an emulated machine is some ten times slower.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result};

/// The environment variable with the factor of all deadlines, a whole number from 1 to 100.
pub const PATIENCE: &str = "CORACLE_PATIENCE";

static FACTOR: LazyLock<Option<u32>> = LazyLock::new(|| match std::env::var(PATIENCE) {
    Err(_not_set) => Some(1),
    Ok(set) => set.parse().ok().filter(|factor| (1..=100).contains(factor)),
});

/// `deadline`, and longer where the machine is known to be slow.
#[must_use]
pub fn patient(deadline: Duration) -> Duration {
    // No node starts where the factor is not understood, so this 1 never decides a test.
    deadline * FACTOR.unwrap_or(1)
}

/// Refuses a factor that is not understood.
pub(crate) fn check() -> Result<()> {
    FACTOR
        .map(drop)
        .with_context(|| format!("{PATIENCE} has to be a whole number from 1 to 100"))
}
