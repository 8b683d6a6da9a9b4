//! Health and metrics, by HTTP.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::{debug, info};

use crate::metrics::Metrics;

/// Serves `/healthz`, `/readyz` and `/metrics`, without end.
///
/// # Errors
/// When the address cannot be listened on.
pub(crate) async fn serve(address: SocketAddr, metrics: Arc<Metrics>) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    info!(%address, "status is served");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                connections.spawn(connection(TokioIo::new(stream), metrics.clone()));
            }
            Some(ended) = connections.join_next() => {
                if let Err(failure) = ended {
                    debug!(%failure, "connection panicked");
                }
            }
        }
    }
}

async fn connection(stream: TokioIo<tokio::net::TcpStream>, metrics: Arc<Metrics>) {
    let service =
        service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request, &metrics))));
    let served = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(stream, service)
        .await;
    if let Err(failure) = served {
        debug!(%failure, "connection failed");
    }
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (code, text) = match request.uri().path() {
        "/healthz" => (StatusCode::OK, "alive\n".to_owned()),
        "/readyz" if metrics.is_ready() => (StatusCode::OK, "ready\n".to_owned()),
        "/readyz" => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not registered, or the handler shows no sign of life; see /metrics\n".to_owned(),
        ),
        "/metrics" => (StatusCode::OK, metrics.text()),
        _ => (
            StatusCode::NOT_FOUND,
            "there are /healthz, /readyz and /metrics\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = code;
    response
}
