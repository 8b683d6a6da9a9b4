//! Core modules: `wasi_snapshot_preview1`, and a function without parameters as the start.

use wasmtime::{Linker, Module, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p1::{self, WasiP1Ctx};

use crate::end::end_of_call;
use crate::{End, Engine, Grants, RunError, World};

pub(super) async fn run(
    engine: &Engine,
    module: &Module,
    function: &str,
    mut grants: Grants,
) -> Result<End, RunError> {
    announce_cwd(&mut grants);
    let linked = linker(engine)
        .and_then(|linker| linker.instantiate_pre(module))
        .map_err(|source| RunError::link(&World::Wasip1Command, source))?;
    let mut store = Store::new(engine.wasmtime(), grants.context()?.build_p1());
    let call = async {
        let instance = linked.instantiate_async(&mut store).await?;
        let start = instance
            .get_func(&mut store, function)
            .ok_or_else(|| wasmtime::format_err!("no function `{function}`"))?;
        // What a plain function returns has no place to go.
        let mut results = vec![wasmtime::Val::I32(0); start.ty(&store).results().len()];
        start.call_async(&mut store, &[], &mut results).await?;
        Ok(End::Exited(0))
    };
    Ok(end_of_call(call.await))
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<WasiP1Ctx>> {
    let mut linker = Linker::new(engine.wasmtime());
    p1::add_to_linker_async(&mut linker, |host| host)?;
    // wasmtime-wasi traps on codes from 126 up; a container's exit code is any byte.
    linker.allow_shadowing(true);
    linker.func_wrap(
        "wasi_snapshot_preview1",
        "proc_exit",
        |code: i32| -> wasmtime::Result<()> { Err(I32Exit(code).into()) },
    )?;
    linker.allow_shadowing(false);
    Ok(linker)
}

/// WASI 0.1 has no working directory. Go's standard library takes it from `PWD`, as shells set it, so
/// a guest that was given none finds it there.
fn announce_cwd(grants: &mut Grants) {
    if let Some(cwd) = &grants.cwd
        && cwd != "/"
        && !grants.env.iter().any(|(key, _)| key == "PWD")
    {
        grants.env.push(("PWD".to_owned(), cwd.clone()));
    }
}
