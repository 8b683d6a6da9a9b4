//! Registration with the Agent.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coracle_akri_api::registration_client::RegistrationClient;
use coracle_akri_api::{AGENT_SOCKET, RegisterDiscoveryHandlerRequest};
use futures_util::{FutureExt as _, StreamExt as _};
use hyper_util::rt::TokioIo;
use inotify::{Inotify, WatchMask};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tonic::transport::{Endpoint, Uri};
use tracing::{debug, info, warn};

use crate::metrics::Metrics;
use crate::settings::Settings;

/// How long one registration may take.
const WITHIN: Duration = Duration::from_secs(5);

/// The Agent makes its socket a moment before it listens, and drops all its streams at once.
const SETTLE: Duration = Duration::from_millis(100);

/// The Agent does not know this handler.
#[derive(Debug, thiserror::Error)]
enum RegistrationError {
    #[error("the Agent's socket cannot be reached")]
    Connect(#[source] tonic::transport::Error),
    #[error("the Agent refused: {0}")]
    Refused(#[source] Box<tonic::Status>),
    #[error("the Agent did not answer within {WITHIN:?}")]
    Late,
}

/// Registers, and registers again whenever the Agent may have forgotten: when it dropped its last stream, and when
/// it made its socket anew. Without end.
pub(crate) async fn keep(settings: Settings, metrics: Arc<Metrics>, dropped: Arc<Notify>) {
    let reborn = Arc::new(Notify::new());
    let watching = watch_socket(&settings, &reborn);
    let registering = async {
        loop {
            // What happened before this registration is answered by it.
            for event in [&reborn, &dropped] {
                let _waiting = event.notified().now_or_never();
            }
            register(&settings, &metrics, &reborn).await;
            tokio::select! {
                () = dropped.notified() => info!("agent dropped its streams"),
                () = reborn.notified() => info!("agent made its socket anew"),
            }
            sleep(SETTLE).await;
        }
    };
    tokio::join!(watching, registering);
}

/// Tries until it succeeds.
async fn register(settings: &Settings, metrics: &Metrics, reborn: &Notify) {
    loop {
        let attempt = timeout(WITHIN, attempt(settings)).await;
        match attempt.unwrap_or(Err(RegistrationError::Late)) {
            Ok(()) => {
                metrics.registrations.fetch_add(1, Ordering::Relaxed);
                metrics.registered.store(true, Ordering::Relaxed);
                info!(
                    name = settings.name,
                    endpoint = settings.endpoint.address(),
                    "registered"
                );
                return;
            }
            Err(failure) => {
                metrics
                    .registration_failures
                    .fetch_add(1, Ordering::Relaxed);
                metrics.registered.store(false, Ordering::Relaxed);
                let cause = std::error::Error::source(&failure).map(ToString::to_string);
                warn!(%failure, cause, again_in = ?settings.register_every, "not registered");
                tokio::select! {
                    () = sleep(settings.register_every) => {}
                    () = reborn.notified() => sleep(SETTLE).await,
                }
            }
        }
    }
}

async fn attempt(settings: &Settings) -> Result<(), RegistrationError> {
    let socket = settings.agent();
    // The address is never used: the connector opens the socket.
    let channel = Endpoint::from_static("http://agent")
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
        .map_err(RegistrationError::Connect)?;
    let request = RegisterDiscoveryHandlerRequest {
        name: settings.name.clone(),
        endpoint: settings.endpoint.address(),
        endpoint_type: settings.endpoint.kind().into(),
        shared: settings.shared,
    };
    let registered = RegistrationClient::new(channel)
        .register_discovery_handler(request)
        .await;
    registered.map_err(|status| RegistrationError::Refused(Box::new(status)))?;
    Ok(())
}

/// Notices an Agent that starts while no stream is open. Without this, such an Agent would wait for ever: Akri's own
/// handlers only notice the end of a stream.
async fn watch_socket(settings: &Settings, reborn: &Notify) {
    if let Err(failure) = socket_events(settings, reborn).await {
        warn!(%failure, directory = %settings.directory.display(), "agent's folder is not watched");
    }
}

async fn socket_events(settings: &Settings, reborn: &Notify) -> io::Result<()> {
    let inotify = Inotify::init()?;
    let mask = WatchMask::CREATE | WatchMask::MOVED_TO;
    inotify.watches().add(&settings.directory, mask)?;
    let mut events = inotify.into_event_stream([0; 1024])?;
    while let Some(event) = events.next().await {
        if event?.name.as_deref() == Some(OsStr::new(AGENT_SOCKET)) {
            debug!("agent's socket appeared");
            reborn.notify_one();
        }
    }
    Ok(())
}
