//! One exported function of a component, with all of WASI to import from.

use wasmtime::Store;
use wasmtime::component::{Component, Val};

use super::command03;
use crate::end::end_of_call;
use crate::host::Host;
use crate::{End, Engine, Grants, RunError, World};

pub(super) async fn run(
    engine: &Engine,
    component: &Component,
    name: &str,
    grants: Grants,
) -> Result<End, RunError> {
    let linked = command03::linker(engine)
        .and_then(|linker| linker.instantiate_pre(component))
        .map_err(|source| RunError::link(&World::Function(name.to_owned()), source))?;
    let mut store = Store::new(engine.wasmtime(), Host::new(&grants)?);
    let call = async {
        let instance = linked.instantiate_async(&mut store).await?;
        let function = instance
            .get_func(&mut store, name)
            .ok_or_else(|| wasmtime::format_err!("no function `{name}`"))?;
        let mut results = vec![Val::Bool(false); function.ty(&store).results().len()];
        function.call_async(&mut store, &[], &mut results).await?;
        let failed = matches!(results.first(), Some(Val::Result(Err(_))));
        Ok(End::Exited(u8::from(failed)))
    };
    Ok(end_of_call(call.await))
}
