//! What the running containerd says about itself over CRI.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_cri::v1::{StatusRequest, StatusResponse, runtime_service_client::RuntimeServiceClient};
use tonic::transport::Endpoint;

use crate::node::NodeRoot;

/// How long one question may take.
const ANSWER_BY: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CriError {
    /// The way to the socket cannot be followed.
    #[error("cannot follow {path}")]
    Path {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No executor for the connection.
    #[error("cannot start an executor")]
    Executor(#[source] io::Error),
    /// Nobody listens.
    #[error("nobody answers on {path}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
    /// CRI refuses to answer.
    #[error("`Status` was refused")]
    Refused(#[source] Box<tonic::Status>),
    /// CRI answers, and is not ready for pods.
    #[error("condition RuntimeReady is false: {message}")]
    NotReady {
        /// What containerd says about it.
        message: String,
    },
}

/// The names of the runtimes that the containerd behind `socket` of `node` has loaded.
///
/// # Errors
/// When it does not answer, or is not ready.
pub fn handlers(node: &NodeRoot, socket: &Path) -> Result<Vec<String>, CriError> {
    let path = node.at(socket).map_err(|source| CriError::Path {
        path: socket.to_owned(),
        source,
    })?;
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CriError::Executor)?;
    named(&executor.block_on(status(&path))?)
}

async fn status(path: &Path) -> Result<StatusResponse, CriError> {
    let failed = |source| CriError::Connect {
        path: path.to_owned(),
        source,
    };
    let channel = Endpoint::from_shared(format!("unix:{}", path.display()))
        .map_err(failed)?
        .connect_timeout(ANSWER_BY)
        .timeout(ANSWER_BY)
        .connect()
        .await
        .map_err(failed)?;
    RuntimeServiceClient::new(channel)
        .status(StatusRequest { verbose: true })
        .await
        .map(tonic::Response::into_inner)
        .map_err(|status| CriError::Refused(Box::new(status)))
}

/// The list of containerd 2, or the configuration in the verbose answer of 1.x.
fn named(status: &StatusResponse) -> Result<Vec<String>, CriError> {
    let conditions = status.status.iter().flat_map(|status| &status.conditions);
    for condition in conditions {
        // NetworkReady is another matter: a node without a network has loaded its runtimes too.
        if condition.r#type == "RuntimeReady" && !condition.status {
            return Err(CriError::NotReady {
                message: condition.message.clone(),
            });
        }
    }
    let mut names: Vec<String> = status
        .runtime_handlers
        .iter()
        .map(|handler| handler.name.clone())
        .filter(|name| !name.is_empty())
        .collect();
    let config = status
        .info
        .get("config")
        .map(String::as_str)
        .unwrap_or_default();
    let config: serde_json::Value = serde_json::from_str(config).unwrap_or_default();
    if let Some(runtimes) = config
        .pointer("/containerd/runtimes")
        .and_then(|all| all.as_object())
    {
        names.extend(runtimes.keys().cloned());
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}
