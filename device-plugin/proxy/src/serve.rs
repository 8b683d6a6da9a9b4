//! The proxy as a whole.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use coracle_akri_api::discovery_handler_server::DiscoveryHandlerServer;
use coracle_akri_protocol::{Layout, ProtocolError};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::Server;
use tracing::{info, warn};

use crate::board::Board;
use crate::discovery::Discovery;
use crate::metrics::Metrics;
use crate::settings::{Endpoint, Settings};
use crate::watcher::Watcher;
use crate::{listen, registration, status};

/// How often the proxy gives a sign of life and looks for one.
const TICK: Duration = Duration::from_secs(1);

/// How long streams may take to end once the proxy is told to.
const GRACE: Duration = Duration::from_secs(3);

/// The proxy cannot go on.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The folder that is shared with the handler cannot be used.
    #[error("the exchange folder cannot be used; is it mounted?")]
    Exchange(#[source] ProtocolError),
    /// The folder cannot be watched.
    #[error("the exchange folder cannot be watched")]
    Watch(#[source] io::Error),
    /// The Agent could not connect.
    #[error("cannot listen on {endpoint}")]
    Listen {
        /// Where.
        endpoint: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The Agent can no longer connect.
    #[error("the server failed")]
    Serve(#[source] tonic::transport::Error),
    /// Health and metrics cannot be served.
    #[error("the status address cannot be listened on")]
    Status(#[source] io::Error),
}

/// Runs the proxy until `end` is done; then streams end, the socket goes, and requests stay for the next proxy to
/// withdraw.
///
/// # Errors
/// When a folder or an address cannot be used, or fails later.
pub async fn run(settings: Settings, end: impl Future<Output = ()>) -> Result<(), ServeError> {
    let metrics = Arc::new(Metrics::default());
    let layout = Layout::new(&settings.exchange);
    let board = Board::open(
        layout.clone(),
        metrics.clone(),
        settings.silence,
        settings.linger,
    );
    let board = Arc::new(board.map_err(ServeError::Exchange)?);
    let (watcher, notices) = Watcher::new(&layout).map_err(ServeError::Watch)?;
    let dropped = Arc::new(Notify::new());
    let (told, ending) = watch::channel(false);
    let discovery = Discovery {
        board: board.clone(),
        watcher,
        metrics: metrics.clone(),
        answer_within: settings.answer_within,
        dropped: dropped.clone(),
        ending: ending.clone(),
    };
    let serving = serve(&settings.endpoint, discovery, ending);
    let stopping = async {
        end.await;
        info!("ending");
        // Nobody listens when the server failed.
        let _listened = told.send(true);
        sleep(GRACE).await;
        warn!(grace = ?GRACE, "streams did not end in time");
    };
    tokio::select! {
        served = serving => served,
        () = stopping => Ok(()),
        noticed = notices.tell(&board) => noticed.map_err(ServeError::Watch),
        () = ticks(&board) => Ok(()),
        () = registration::keep(settings.clone(), metrics.clone(), dropped) => Ok(()),
        served = status(&settings, metrics.clone()) => served.map_err(ServeError::Status),
    }
}

async fn ticks(board: &Board) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        board.tick();
    }
}

async fn status(settings: &Settings, metrics: Arc<Metrics>) -> io::Result<()> {
    match settings.status {
        Some(address) => status::serve(address, metrics).await,
        None => std::future::pending().await,
    }
}

/// Serves the Agent until the proxy is ending and its streams have ended.
async fn serve(
    endpoint: &Endpoint,
    discovery: Discovery,
    mut ending: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let listen = |source| ServeError::Listen {
        endpoint: endpoint.address(),
        source,
    };
    let server = Server::builder()
        // The Agent's node may vanish without a word.
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .add_service(DiscoveryHandlerServer::new(discovery));
    let end = async move {
        // The sender lives as long as the proxy.
        drop(ending.wait_for(|ending| *ending).await);
    };
    match endpoint {
        Endpoint::Socket(path) => {
            let (listener, _socket) = listen::socket(path).map_err(listen)?;
            let incoming = UnixListenerStream::new(listener);
            let served = server.serve_with_incoming_shutdown(incoming, end).await;
            served.map_err(ServeError::Serve)
        }
        Endpoint::Network(_, port) => {
            // Of whatever family the pod's address is.
            let any = (std::net::Ipv6Addr::UNSPECIFIED, *port);
            let bound = match TcpListener::bind(any).await {
                Ok(bound) => bound,
                Err(_no_ipv6) => TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, *port))
                    .await
                    .map_err(listen)?,
            };
            let incoming = TcpListenerStream::new(bound);
            let served = server.serve_with_incoming_shutdown(incoming, end).await;
            served.map_err(ServeError::Serve)
        }
    }
}
