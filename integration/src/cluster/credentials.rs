//! Who may speak to the API server, and the files that say so.
//!
//! Tokens from a file spare a public-key infrastructure; service accounts have keys of their own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::KeyPair;
use serde_json::json;

use super::NODE_NAME;

/// The files of one cluster.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    folder: PathBuf,
}

impl Credentials {
    /// Makes keys and tokens in `folder`. The cluster ends with its tokens, so these need not be secret.
    pub(super) fn make(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let made = Self { folder };
        let pair = KeyPair::generate().context("make the key of service accounts")?;
        fs::write(made.service_account_key(), pair.serialize_pem())?;
        fs::write(made.service_account_public_key(), pair.public_key_pem())?;
        let tokens = format!(
            "admin,admin,admin,\"system:masters\"\n\
             {NODE_NAME},system:node:{NODE_NAME},{NODE_NAME},\"system:nodes\"\n"
        );
        fs::write(made.tokens(), tokens)?;
        Ok(made)
    }

    pub(super) fn service_account_key(&self) -> PathBuf {
        self.folder.join("service-accounts.key")
    }

    pub(super) fn service_account_public_key(&self) -> PathBuf {
        self.folder.join("service-accounts.pub")
    }

    pub(super) fn tokens(&self) -> PathBuf {
        self.folder.join("tokens.csv")
    }

    /// Where the API server puts the certificate that it makes for itself.
    pub(super) fn server(&self) -> PathBuf {
        self.folder.join("server")
    }

    /// Whom everybody trusts.
    pub(super) fn authority(&self) -> PathBuf {
        self.server().join("apiserver.crt")
    }

    /// The configuration of a client `user` (also its token) that finds the API server at `address`.
    pub(super) fn kubeconfig(
        &self,
        file: &str,
        user: &str,
        address: SocketAddr,
    ) -> Result<PathBuf> {
        let path = self.folder.join(file);
        let text = kubeconfig(&self.authority(), user, address)?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

fn kubeconfig(authority: &Path, user: &str, address: SocketAddr) -> Result<String> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "coracle",
            "cluster": {
                "server": format!("https://{address}"),
                "certificate-authority": authority,
                // One of the names in the certificate, by whichever address it is reached.
                "tls-server-name": "kubernetes.default.svc",
            },
        }],
        "users": [{ "name": user, "user": { "token": user } }],
        "contexts": [{ "name": "coracle", "context": { "cluster": "coracle", "user": user } }],
        "current-context": "coracle",
    });
    Ok(serde_json::to_string_pretty(&config)?)
}
