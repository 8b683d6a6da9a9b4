//! The Agent: registration, and what it remembers of it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coracle_akri_api::registration_server::{Registration, RegistrationServer};
use coracle_akri_api::{AGENT_SOCKET, Empty, RegisterDiscoveryHandlerRequest};
use thiserror::Error;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::configuration::{Configuration, Late};

/// The Agent cannot be started.
#[derive(Debug, Error)]
pub enum AgentError {
    /// Its socket cannot be made.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// One registration.
pub type Registered = RegisterDiscoveryHandlerRequest;

/// A mock Agent. Dropping it is its end, as sudden as a kill: its streams break, and its socket stays.
#[derive(Debug)]
pub struct Agent {
    registrations: watch::Receiver<Vec<Registered>>,
    server: JoinHandle<()>,
}

struct Service {
    registrations: watch::Sender<Vec<Registered>>,
}

#[tonic::async_trait]
impl Registration for Service {
    async fn register_discovery_handler(
        &self,
        request: Request<RegisterDiscoveryHandlerRequest>,
    ) -> Result<Response<Empty>, Status> {
        let request = request.into_inner();
        self.registrations.send_modify(|all| all.push(request));
        Ok(Response::new(Empty {}))
    }
}

impl Agent {
    /// Starts in `directory`, the folder of discovery handlers. An earlier Agent's socket is replaced.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub async fn start(directory: &Path) -> Result<Self, AgentError> {
        let path = directory.join(AGENT_SOCKET);
        let listener = listen(&path).map_err(|source| AgentError::Listen { path, source })?;
        let (sender, registrations) = watch::channel(Vec::new());
        let service = Service {
            registrations: sender,
        };
        let server = Server::builder()
            .add_service(RegistrationServer::new(service))
            .serve_with_incoming(UnixListenerStream::new(listener));
        let server = tokio::spawn(async move {
            // Ends with the Agent; a handler whose connection breaks is no failure.
            drop(server.await);
        });
        // The server is polled before anybody is told that the Agent runs.
        tokio::task::yield_now().await;
        Ok(Self {
            registrations,
            server,
        })
    }

    /// All registrations so far.
    #[must_use]
    pub fn registrations(&self) -> Vec<Registered> {
        self.registrations.borrow().clone()
    }

    /// Waits for the registration of that number, counted from one.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn registered(&self, number: usize, within: Duration) -> Result<Registered, Late> {
        let mut registrations = self.registrations.clone();
        let reached = registrations.wait_for(|all| all.len() >= number);
        let late = || Late {
            what: format!("registration {number}"),
            within,
            seen: format!("{:?}", self.registrations()),
        };
        match timeout(within, reached).await {
            Ok(Ok(all)) => all.get(number - 1).cloned().ok_or_else(late),
            _ => Err(late()),
        }
    }

    /// Applies a Configuration: a stream is kept open to every handler of that name, until the value is dropped.
    #[must_use]
    pub fn apply(
        &self,
        handler: &str,
        details: &str,
        properties: BTreeMap<String, Option<Vec<u8>>>,
    ) -> Configuration {
        Configuration::follow(
            self.registrations.clone(),
            handler.to_owned(),
            details.to_owned(),
            properties,
        )
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}
