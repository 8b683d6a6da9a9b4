//! What the proxy is told.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use coracle_akri_api::AGENT_SOCKET;
use coracle_akri_api::register_discovery_handler_request::EndpointType;

/// Where everything is, and how long anything may take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name that Configurations ask for.
    pub name: String,
    /// Whether several nodes may see the same device.
    pub shared: bool,
    /// The folder that is shared with the handler.
    pub exchange: PathBuf,
    /// The folder with the Agent's socket.
    pub directory: PathBuf,
    /// Where the Agent reaches this proxy.
    pub endpoint: Endpoint,
    /// How long to wait before a registration that failed is tried again.
    pub register_every: Duration,
    /// How long the handler may take for its first answer.
    pub answer_within: Duration,
    /// How long the handler may show no sign of life before its streams end.
    pub silence: Duration,
    /// How long a request stays after its last stream.
    pub linger: Duration,
    /// Where health and metrics are served.
    pub status: Option<SocketAddr>,
}

/// Where the Agent reaches the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// By a socket in the folder with the Agent's socket.
    Socket(PathBuf),
    /// By the pod's address.
    Network(IpAddr, u16),
}

impl Endpoint {
    /// The endpoint as the Agent is told.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Socket(path) => path.to_string_lossy().into_owned(),
            Self::Network(address, port) => format!("http://{}", SocketAddr::new(*address, *port)),
        }
    }

    pub(crate) fn kind(&self) -> EndpointType {
        match self {
            Self::Socket(_) => EndpointType::Uds,
            Self::Network(..) => EndpointType::Network,
        }
    }
}

impl Settings {
    /// The Agent's socket.
    #[must_use]
    pub fn agent(&self) -> PathBuf {
        self.directory.join(AGENT_SOCKET)
    }
}
