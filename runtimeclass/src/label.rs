//! The label on the Node object by which pods of the RuntimeClass find it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// The label; its value is `true` on nodes that have loaded the handler.
pub const LABEL: &str = "coracle.dev/runtime";

/// Where Kubernetes mounts a pod's credentials.
const CREDENTIALS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

const ANSWER_BY: Duration = Duration::from_secs(10);

/// Why the label could not be set.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// This program does not run in a pod with a service account.
    #[error("no service account: cannot read {path}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate authority is none.
    #[error("cannot use the certificate authority in {path}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ureq::Error,
    },
    /// The API server did not do it.
    #[error("cannot label node {node}")]
    Request {
        /// The node.
        node: String,
        /// Why.
        #[source]
        source: ureq::Error,
    },
}

/// Sets the label on the Node object `node`, or removes it.
///
/// # Errors
/// When there are no credentials, or the API server refuses.
pub fn set(node: &str, present: bool) -> Result<(), LabelError> {
    let folder = Path::new(CREDENTIALS);
    let token = read(&folder.join("token"))?;
    let agent = agent(&folder.join("ca.crt"))?;
    let value = present.then_some("true");
    let patch = json!({ "metadata": { "labels": { LABEL: value } } });
    agent
        .patch(format!(
            "https://kubernetes.default.svc/api/v1/nodes/{node}"
        ))
        .header("Authorization", format!("Bearer {}", token.trim()))
        .header("Content-Type", "application/merge-patch+json")
        .send(patch.to_string())
        .map_err(|source| LabelError::Request {
            node: node.to_owned(),
            source,
        })?;
    Ok(())
}

fn agent(authority: &Path) -> Result<Agent, LabelError> {
    let pem = read(authority)?;
    let certificates: Vec<Certificate<'static>> = parse_pem(pem.as_bytes())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<_, _>>()
        .map_err(|source| LabelError::Authority {
            path: authority.to_owned(),
            source,
        })?;
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(certificates.into()))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(ANSWER_BY));
    Ok(config.build().new_agent())
}

fn read(path: &Path) -> Result<String, LabelError> {
    fs::read_to_string(path).map_err(|source| LabelError::Credentials {
        path: path.to_owned(),
        source,
    })
}
