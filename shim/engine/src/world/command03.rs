//! `wasi:cli/command` 0.3, with outgoing HTTP.

use wasmtime::Store;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi::p3::bindings::{Command, CommandPre};

use super::command02;
use crate::end::end_of_call;
use crate::host::Host;
use crate::{End, Engine, Grants, RunError, World};

pub(super) async fn run(
    engine: &Engine,
    component: &Component,
    grants: Grants,
) -> Result<End, RunError> {
    let linked = linker(engine)
        .and_then(|linker| CommandPre::new(linker.instantiate_pre(component)?))
        .map_err(|source| RunError::link(&World::Command03, source))?;
    let mut store = Store::new(engine.wasmtime(), Host::new(&grants)?);
    let call = async {
        let command: Command = linked.instantiate_async(&mut store).await?;
        let answer = store
            .run_concurrent(async move |store| command.wasi_cli_run().call_run(store).await)
            .await??;
        Ok(End::Exited(u8::from(answer.is_err())))
    };
    Ok(end_of_call(call.await))
}

/// WASI 0.3, and 0.2 beside it: today's libraries of most languages still import parts of 0.2.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = command02::linker(engine)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    Ok(linker)
}
