//! What does not work yet, in a test that notices when it does.

use std::fmt::Debug;

use anyhow::{Result, bail};

use super::programs::say;

/// Runs a `body` that fails today, for a known `reason`, and fails when it passes: then the mark is to go.
///
/// The reason is shown together with how it failed, so that another failure than the known one is seen.
///
/// # Errors
/// When the body passes.
pub async fn expected_to_fail<T: Debug>(
    reason: &str,
    body: impl Future<Output = Result<T>>,
) -> Result<()> {
    match body.await {
        Ok(value) => bail!("this works now ({value:?}), remove the mark: {reason}"),
        Err(error) => {
            let seen = error.to_string();
            let seen = seen.lines().next().unwrap_or_default();
            say(&format!("expected to fail: {reason}\n  as seen: {seen}"));
            Ok(())
        }
    }
}
