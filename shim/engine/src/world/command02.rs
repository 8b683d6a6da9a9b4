//! `wasi:cli/command` 0.2, with outgoing HTTP.

use wasmtime::Store;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi::p2::bindings::{Command, CommandPre};

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
        .map_err(|source| RunError::link(&World::Command02, source))?;
    let mut store = Store::new(engine.wasmtime(), Host::new(&grants)?);
    let call = async {
        let command: Command = linked.instantiate_async(&mut store).await?;
        let answer = command.wasi_cli_run().call_run(&mut store).await?;
        Ok(End::Exited(u8::from(answer.is_err())))
    };
    Ok(end_of_call(call.await))
}

/// All of WASI 0.2 that a command may import.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine.wasmtime());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(linker)
}
