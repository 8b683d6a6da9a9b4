//! What is said to the Kubernetes API server, over plain REST: three requests need no client library.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// The label on the Node object by which pods of the RuntimeClass find it.
pub const LABEL: &str = "coracle.dev/runtime";

/// Where every pod is told the address of the API server. Its name would need the cluster's DNS, which may be
/// what waits for this node.
const SERVER: [&str; 2] = ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"];

/// Where Kubernetes mounts a pod's credentials.
const CREDENTIALS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

const ANSWER_BY: Duration = Duration::from_secs(10);

/// How a node stands to the runtime; the label's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Pods can run.
    Ready,
    /// No more pods are to come.
    Leaving,
    /// Nothing is left of the runtime; the label goes.
    Gone,
}

impl Standing {
    fn value(self) -> Option<&'static str> {
        match self {
            Self::Ready => Some("true"),
            Self::Leaving => Some("leaving"),
            Self::Gone => None,
        }
    }
}

/// Why the API server did not do something.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// This program does not run in a pod with a service account.
    #[error("no service account: cannot read {path}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// This program does not run in a pod.
    #[error("no address of the API server: {variable} is not set, as it is in every pod")]
    Address {
        /// The environment variable.
        variable: &'static str,
    },
    /// The certificate authority is none.
    #[error("cannot use the certificate authority in {path}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The API server did not do it.
    #[error("the API server did not answer {method} {path}")]
    Request {
        /// The verb.
        method: &'static str,
        /// The resource.
        path: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
}

/// A connection to the API server.
#[derive(Debug)]
pub struct Cluster {
    agent: Agent,
    server: String,
    token: String,
}

impl Cluster {
    /// The API server of the cluster in which this program runs as a pod.
    ///
    /// # Errors
    /// When there are no credentials.
    pub fn of_this_pod() -> Result<Self, ClusterError> {
        let folder = Path::new(CREDENTIALS);
        let token = read(&folder.join("token"))?;
        let roots = RootCerts::Specific(authorities(&folder.join("ca.crt"))?.into());
        Ok(Self::at(&server()?, token.trim(), roots))
    }

    fn at(server: &str, token: &str, roots: RootCerts) -> Self {
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_global(Some(ANSWER_BY));
        Self {
            agent: config.build().new_agent(),
            server: server.to_owned(),
            token: token.to_owned(),
        }
    }

    /// Writes how `node` stands to the runtime into its label.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn label(&self, node: &str, standing: Standing) -> Result<(), ClusterError> {
        let patch = json!({ "metadata": { "labels": { LABEL: standing.value() } } });
        self.patch(
            &format!("/api/v1/nodes/{node}"),
            "application/merge-patch+json",
            &patch,
        )
    }

    /// The nodes that have the label, whatever its value.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn labelled(&self) -> Result<Vec<String>, ClusterError> {
        let path = format!("/api/v1/nodes?labelSelector={}", LABEL.replace('/', "%2F"));
        let failed = |source| request_failed("GET", &path, source);
        let text = self
            .agent
            .get(format!("{}{path}", self.server))
            .header("Authorization", format!("Bearer {}", self.token))
            .call()
            .and_then(|mut answer| answer.body_mut().read_to_string())
            .map_err(failed)?;
        let list: Value = serde_json::from_str(&text)
            .map_err(|error| failed(ureq::Error::Io(io::Error::other(error))))?;
        let names = list.pointer("/items").and_then(Value::as_array);
        Ok(names
            .into_iter()
            .flatten()
            .filter_map(|node| node.pointer("/metadata/name")?.as_str())
            .map(str::to_owned)
            .collect())
    }

    /// Gives the pods of a DaemonSet other arguments, on as many nodes at a time as `max_unavailable` says: a
    /// number, or a percentage.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn rearrange(
        &self,
        namespace: &str,
        daemonset: &str,
        arguments: &[&str],
        max_unavailable: &str,
    ) -> Result<(), ClusterError> {
        let many = max_unavailable
            .parse::<u32>()
            .map_or_else(|_percentage| json!(max_unavailable), |number| json!(number));
        let patch = json!([
            { "op": "replace", "path": "/spec/template/spec/containers/0/args", "value": arguments },
            { "op": "replace", "path": "/spec/updateStrategy/rollingUpdate/maxUnavailable", "value": many },
        ]);
        self.patch(
            &format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/{daemonset}"),
            "application/json-patch+json",
            &patch,
        )
    }

    fn patch(&self, path: &str, form: &str, patch: &Value) -> Result<(), ClusterError> {
        self.agent
            .patch(format!("{}{path}", self.server))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", form)
            .send(patch.to_string())
            .map_err(|source| request_failed("PATCH", path, source))?;
        Ok(())
    }
}

fn server() -> Result<String, ClusterError> {
    let [host, port] = SERVER;
    let set = |variable| env::var(variable).map_err(|_unset| ClusterError::Address { variable });
    let (host, port) = (set(host)?, set(port)?);
    // An IPv6 address has colons of its own.
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    Ok(format!("https://{host}:{port}"))
}

fn authorities(path: &Path) -> Result<Vec<Certificate<'static>>, ClusterError> {
    parse_pem(read(path)?.as_bytes())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<_, _>>()
        .map_err(|source| ClusterError::Authority {
            path: path.to_owned(),
            source: Box::new(source),
        })
}

fn request_failed(method: &'static str, path: &str, source: ureq::Error) -> ClusterError {
    ClusterError::Request {
        method,
        path: path.to_owned(),
        source: Box::new(source),
    }
}

fn read(path: &Path) -> Result<String, ClusterError> {
    fs::read_to_string(path).map_err(|source| ClusterError::Credentials {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What a server that answers `body` was asked: the first line, and what was sent.
    fn asked<T>(body: &'static str, ask: impl FnOnce(&Cluster) -> T) -> (String, String, T) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut first = String::new();
            reader.read_line(&mut first).unwrap();
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim().to_lowercase();
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut sent = vec![0; length];
            reader.read_exact(&mut sent).unwrap();
            write!(
                reader.get_mut(),
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            (first.trim().to_owned(), String::from_utf8(sent).unwrap())
        });
        let roots = RootCerts::Specific(Vec::new().into());
        let told = ask(&Cluster::at(&format!("http://{address}"), "secret", roots));
        let (first, sent) = server.join().unwrap();
        (first, sent, told)
    }

    #[test]
    fn a_node_that_is_gone_loses_its_label() {
        let (first, sent, told) = asked("{}", |cluster| cluster.label("n1", Standing::Gone));
        told.unwrap();
        assert_eq!(first, "PATCH /api/v1/nodes/n1 HTTP/1.1");
        assert_eq!(
            sent,
            r#"{"metadata":{"labels":{"coracle.dev/runtime":null}}}"#
        );
    }

    #[test]
    fn nodes_with_the_label_are_named() {
        let list = r#"{"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}"#;
        let (first, _, told) = asked(list, Cluster::labelled);
        assert_eq!(
            first,
            "GET /api/v1/nodes?labelSelector=coracle.dev%2Fruntime HTTP/1.1"
        );
        assert_eq!(told.unwrap(), ["a", "b"]);
    }

    #[test]
    fn a_daemonset_gets_other_arguments_on_all_nodes_at_once() {
        let (first, sent, told) = asked("{}", |cluster| {
            cluster.rearrange("ns", "ds", &["remove"], "100%")
        });
        told.unwrap();
        assert_eq!(
            first,
            "PATCH /apis/apps/v1/namespaces/ns/daemonsets/ds HTTP/1.1"
        );
        assert!(sent.contains(r#""value":["remove"]"#), "{sent}");
        assert!(sent.contains(r#""value":"100%""#), "{sent}");
    }
}
