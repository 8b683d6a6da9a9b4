//! What does not work yet, in a test that notices when it does; and a record of what was seen to work.

use std::fmt::Debug;
use std::fs::File;
use std::io::Write;
use std::thread;

use anyhow::{Context, Result, bail};

use super::programs::say;
use super::{Cluster, NODE_NAME};

/// The environment variable with a file that gets a line for each test that has ended well.
pub const RESULTS: &str = "CORACLE_CLUSTER_RESULTS";

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
            record("not yet", reason)
        }
    }
}

impl Cluster {
    /// Records that the running test has passed on these versions, for the table in the documentation.
    ///
    /// # Errors
    /// When the file that [`RESULTS`] names cannot be written.
    pub async fn record_success(&self) -> Result<()> {
        if std::env::var_os(RESULTS).is_none() {
            return Ok(());
        }
        let node = self.all().await?.get("Node", NODE_NAME).await?;
        let node = node.context("no node")?;
        let about = |what: &str| {
            let text = node["status"]["nodeInfo"][what].as_str();
            text.unwrap_or("?").replace("://", " ")
        };
        let (kubelet, runtime) = (about("kubeletVersion"), about("containerRuntimeVersion"));
        record("works", &format!("Kubernetes {kubelet}, {runtime}"))
    }
}

/// Appends a line of three fields to the file of results, where one is asked for. A test's thread has its name.
fn record(outcome: &str, about: &str) -> Result<()> {
    let Some(path) = std::env::var_os(RESULTS) else {
        return Ok(());
    };
    let mut file = File::options().create(true).append(true).open(path)?;
    let test = thread::current().name().unwrap_or("?").to_owned();
    Ok(file.write_all(format!("{test}\t{outcome}\t{about}\n").as_bytes())?)
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    #[tokio::test]
    async fn what_fails_as_expected_passes() -> Result<()> {
        expected_to_fail("two is not three", async {
            ensure!(2 == 3, "two is less");
            Ok(())
        })
        .await
    }

    #[tokio::test]
    async fn what_works_now_is_noticed() {
        let noticed = expected_to_fail("it once failed", async { Ok(()) }).await;
        let error = noticed.expect_err("the body passes").to_string();
        assert!(
            error.ends_with("remove the mark: it once failed"),
            "{error}"
        );
    }
}
