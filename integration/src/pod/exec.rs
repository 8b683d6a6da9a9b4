//! Commands in a pod's containers, as `kubectl exec` and probes run them.

use anyhow::Result;
use k8s_cri::v1::ExecSyncRequest;

use super::Pod;
use crate::task::{Finished, Output};

impl Pod<'_> {
    /// Runs a command in container `name` to its end.
    ///
    /// # Errors
    /// When there is no such container or command, or it takes too long. An exit code is no error.
    pub async fn exec<S: Into<String>>(
        &self,
        name: &str,
        words: impl IntoIterator<Item = S>,
    ) -> Result<Finished> {
        let request = ExecSyncRequest {
            container_id: self.container_id(name)?,
            cmd: words.into_iter().map(Into::into).collect(),
            timeout: 0,
        };
        let mut cri = self.cri();
        let what = format!("run a command in {name}");
        let ended = self.within(&what, cri.exec_sync(request)).await?;
        let ended = ended.into_inner();
        Ok(Finished {
            code: u32::try_from(ended.exit_code)?,
            stdout: Output(ended.stdout),
            stderr: Output(ended.stderr),
        })
    }
}
