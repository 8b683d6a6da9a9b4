//! `wasi:http/proxy` 0.2 and `wasi:http/service` 0.3: a server in front of the guest's handler.
//!
//! HTTP/1.1 and HTTP/2 (with prior knowledge, as gRPC speaks it) on one port. On a stop no more
//! connections are accepted, what is in flight is finished, and the guest ends with code 0.

mod handler;

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Component;
use wasmtime_wasi_http::WasiBody;

use crate::grants::Output;
use crate::{End, Engine, Grants, RunError, Stop, World};

/// The environment variable that chooses the port; without it the port is 8080.
pub const PORT: &str = "PORT";

const DEFAULT_PORT: u16 = 8080;

/// Connections that are held at one time; more wait in the kernel's queue.
const CONNECTIONS: usize = 1000;

/// Connections that the kernel queues.
const BACKLOG: u32 = 1024;

/// How long to wait after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn run(
    engine: &Engine,
    component: &Component,
    world: &World,
    grants: Grants,
    stop: Stop,
) -> Result<End, RunError> {
    let port = port(&grants)?;
    let output = grants.stderr.clone();
    let server = Server {
        handler: handler::new(engine, component, world, grants)?,
        output,
    };
    let listener = listen(port)?;
    log::info!(address:? = listener.local_addr(); "serving");
    Arc::new(server).serve(&listener, &stop).await;
    Ok(End::Exited(0))
}

fn port(grants: &Grants) -> Result<u16, RunError> {
    let Some((_, value)) = grants.env.iter().rev().find(|(key, _)| key == PORT) else {
        return Ok(DEFAULT_PORT);
    };
    match value.parse() {
        Ok(0) | Err(_) => Err(RunError::Port {
            variable: PORT,
            value: value.clone(),
        }),
        Ok(port) => Ok(port),
    }
}

/// Every address of the pod: both families by one IPv6 socket, IPv4 alone where there is no IPv6.
fn listen(port: u16) -> Result<TcpListener, RunError> {
    let six = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let four = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let listen = |socket: std::io::Result<TcpSocket>, address| {
        let socket = socket?;
        // A restarted container must get its port back while old connections linger.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    match listen(TcpSocket::new_v6(), six) {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
            log::debug!(error:% = error; "no ipv6 socket, taking ipv4");
            listen(TcpSocket::new_v4(), four).map_err(|source| RunError::Listen {
                address: four,
                source,
            })
        }
        listener => listener.map_err(|source| RunError::Listen {
            address: six,
            source,
        }),
    }
}

struct Server {
    handler: handler::Handler,
    output: Output,
}

impl Server {
    async fn serve(self: Arc<Self>, listener: &TcpListener, stop: &Stop) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let connections = GracefulShutdown::new();
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => break,
                accepted = accept(listener, &places) => match accepted {
                    Ok((stream, place)) => self.clone().connection(stream, place, &connections),
                    Err(error) => {
                        log::warn!(error:% = error; "accepting a connection failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        connections.shutdown().await;
    }

    /// Serves one connection in a task of its own. `place` is given back when it ends.
    fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        place: OwnedSemaphorePermit,
        connections: &GracefulShutdown,
    ) {
        // Small writes of a guest must not wait for the client's acknowledgements.
        if let Err(error) = stream.set_nodelay(true) {
            log::debug!(error:% = error; "no TCP_NODELAY");
        }
        let server = self;
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let http = auto::Builder::new(TokioExecutor::new());
        let connection = http
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                log::debug!(error:% = error; "a connection ended early");
            }
            drop(place);
        });
    }

    /// The guest's answer, or 500 and a line in the guest's log.
    async fn answer(&self, request: Request<Incoming>) -> Response<WasiBody> {
        let what = format!("{} {}", request.method(), request.uri().path());
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        match self.handler.handle((), request).await {
            Ok(response) => response,
            Err(error) => {
                self.output.report(&format!("{what} failed: {error:?}"));
                failure()
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

fn failure() -> Response<WasiBody> {
    let body = Full::new(Bytes::from_static(b"the guest failed to answer\n"));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let text = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(value: &str) -> Grants {
        Grants {
            env: vec![(PORT.to_owned(), value.to_owned())],
            ..Grants::default()
        }
    }

    #[test]
    fn the_port_comes_from_the_environment() {
        assert_eq!(port(&Grants::default()).unwrap(), 8080);
        assert_eq!(port(&grants("81")).unwrap(), 81);
    }

    #[test]
    fn a_value_that_is_no_port_is_refused_by_name() {
        for value in ["0", "65536", "http", "-1", ""] {
            let error = port(&grants(value)).unwrap_err().to_string();
            let expected =
                format!("PORT={value:?} is not a port; accepted is a number from 1 to 65535");
            assert_eq!(error, expected);
        }
    }
}
