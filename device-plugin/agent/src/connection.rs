//! A handler as the Agent reaches it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use coracle_akri_api::discovery_handler_client::DiscoveryHandlerClient;
use coracle_akri_api::{ByteData, Device, DiscoverRequest, DiscoverResponse};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Status, Streaming};

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A handler cannot be reached.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The endpoint is no socket and no URL.
    #[error(
        "{endpoint:?} is neither a socket's absolute path nor a URL such as http://10.0.0.1:10000"
    )]
    Endpoint {
        /// What was given.
        endpoint: String,
    },
    /// Nobody listens there.
    #[error("nobody answers on {endpoint}")]
    Connect {
        /// Where.
        endpoint: String,
        /// What the transport said.
        #[source]
        source: tonic::transport::Error,
    },
}

/// A connection to a handler.
#[derive(Clone, Debug)]
pub struct Handler {
    client: DiscoveryHandlerClient<Channel>,
}

/// An open stream.
#[derive(Debug)]
pub struct Open {
    stream: Streaming<DiscoverResponse>,
}

impl Handler {
    /// Connects to a socket's path or a URL.
    ///
    /// # Errors
    /// When the endpoint is neither, or nobody listens.
    pub async fn connect(endpoint: &str) -> Result<Self, ConnectError> {
        let failed = |source| ConnectError::Connect {
            endpoint: endpoint.to_owned(),
            source,
        };
        let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
        let channel = if Path::new(path).is_absolute() {
            socket(path.into()).await.map_err(failed)?
        } else {
            let address = Endpoint::from_shared(endpoint.to_owned());
            let address = address.map_err(|_no_url| ConnectError::Endpoint {
                endpoint: endpoint.to_owned(),
            })?;
            let address = address.connect_timeout(CONNECT_WITHIN);
            address.connect().await.map_err(failed)?
        };
        Ok(Self {
            client: DiscoveryHandlerClient::new(channel),
        })
    }

    /// Opens a stream, as for one Configuration. The real Agent waits here without a limit.
    ///
    /// # Errors
    /// The status with which the handler refuses; `InvalidArgument` marks the details as invalid.
    pub async fn discover(
        &self,
        details: &str,
        properties: &BTreeMap<String, Option<Vec<u8>>>,
    ) -> Result<Open, Status> {
        let properties: HashMap<String, ByteData> = properties
            .iter()
            .map(|(name, vec)| (name.clone(), ByteData { vec: vec.clone() }))
            .collect();
        let request = DiscoverRequest {
            discovery_details: details.to_owned(),
            discovery_properties: properties,
        };
        let stream = self.client.clone().discover(request).await?.into_inner();
        Ok(Open { stream })
    }
}

impl Open {
    /// The next list, without a limit.
    ///
    /// # Errors
    /// The status with which the stream ended; `Ok` when it just ended.
    pub async fn next(&mut self) -> Result<Vec<Device>, Status> {
        match self.stream.message().await? {
            Some(response) => Ok(response.devices),
            None => Err(Status::ok("the stream ended")),
        }
    }

    /// The next list, if it comes in time; `None` where nothing comes.
    ///
    /// # Errors
    /// The status with which the stream ended.
    pub async fn next_within(&mut self, within: Duration) -> Result<Option<Vec<Device>>, Status> {
        match timeout(within, self.next()).await {
            Ok(next) => next.map(Some),
            Err(_elapsed) => Ok(None),
        }
    }
}

async fn socket(path: PathBuf) -> Result<Channel, tonic::transport::Error> {
    // The address is never used: the connector opens the socket.
    Endpoint::from_static("http://handler")
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        }))
        .await
}
