//! Instances of a guest's HTTP handler: when one is made, shared, and dropped.

use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use wasmtime::component::{Component, GuestTaskId};
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyHandler, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState,
    WorkerStatus,
};
use wasmtime_wasi_http::{p2, p3};

use crate::host::Host;
use crate::world::{command02, command03};
use crate::{Engine, Grants, RunError, World};

/// Answers requests with instances of the guest.
pub(super) type Handler = ProxyHandler<Instances>;

/// Links the guest and makes its handler. No instance exists before the first request.
pub(super) fn new(
    engine: &Engine,
    component: &Component,
    world: &World,
    grants: Grants,
) -> Result<Handler, RunError> {
    // A grant that cannot be given is an error of the start, not of the first request.
    Host::new(&grants)?;
    let link = || -> wasmtime::Result<(ProxyPre<Host>, Reuse)> {
        if *world == World::HttpService03 {
            let linked = command03::linker(engine)?.instantiate_pre(component)?;
            Ok((
                ProxyPre::P3(p3::bindings::ServicePre::new(linked)?),
                Reuse::SERVICE03,
            ))
        } else {
            let linked = command02::linker(engine)?.instantiate_pre(component)?;
            Ok((
                ProxyPre::P2(p2::bindings::ProxyPre::new(linked)?),
                Reuse::PROXY02,
            ))
        }
    };
    let (guest, reuse) = link().map_err(|source| RunError::link(world, source))?;
    let engine = engine.clone();
    Ok(ProxyHandler::new(Instances {
        engine,
        guest,
        grants,
        reuse,
    }))
}

/// Makes instances.
pub(super) struct Instances {
    engine: Engine,
    guest: ProxyPre<Host>,
    grants: Grants,
    reuse: Reuse,
}

/// How many requests one instance may see. The numbers are those of `wasmtime serve`, so that a guest
/// meets the same conditions here.
#[derive(Clone, Copy)]
pub(super) struct Reuse {
    total: usize,
    at_once: usize,
}

impl Reuse {
    /// Guests of 0.2 are written for one request an instance.
    const PROXY02: Self = Self {
        total: 1,
        at_once: 1,
    };
    /// Guests of 0.3 are written for concurrency.
    const SERVICE03: Self = Self {
        total: 128,
        at_once: 16,
    };
}

/// How long an instance without requests is kept.
const IDLE: Duration = Duration::from_secs(1);

impl HandlerState for Instances {
    type StoreData = Host;
    type WorkerExpiration = Idle;
    type WorkerState = Reuse;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Host, Idle, Reuse>> {
        let mut store = Store::new(self.engine.wasmtime(), Host::new(&self.grants)?);
        let proxy = self.guest.instantiate_async(&mut store).await?;
        let expiration = Idle(Box::pin(tokio::time::sleep(IDLE)));
        Ok(Instance {
            store,
            proxy,
            view: Host::http,
            expiration,
            state: self.reuse,
        })
    }
}

impl WorkerState for Reuse {
    type StoreData = Host;
    type RequestData = ();

    fn should_accept_request(&self, at_once: usize, total: usize) -> ShouldAccept {
        if total >= self.total {
            ShouldAccept::Never
        } else if at_once >= self.at_once {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _store: StoreContextMut<'_, Host>,
        (): (),
        _task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(pending())
    }

    fn drop(&self, store: Store<Host>, result: wasmtime::Result<()>) {
        // The request that was answered by this instance has reported its own failure; an instance
        // that fails afterwards has nobody else to say so.
        if let Err(error) = result {
            log::debug!(error:? = error; "an instance failed");
        }
        drop(store);
    }
}

/// Ends an instance that has had no request for [`IDLE`].
pub(super) struct Idle(Pin<Box<Sleep>>);

impl WorkerExpiration for Idle {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        if !matches!(status, WorkerStatus::Idle) {
            return Poll::Pending;
        }
        let end = tokio::time::Instant::from_std(start + IDLE);
        if self.0.deadline() != end {
            self.0.as_mut().reset(end);
        }
        ready!(self.0.as_mut().poll(cx));
        Poll::Ready(())
    }
}
