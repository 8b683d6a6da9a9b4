//! `containerd-shim-coracle-runwasi-v1`: the engine on the host that containerd-shim-wasm brings.
//!
//! That host makes the container, tells native programs from everything else, and fetches wasm layers;
//! what is no native program comes here, inside the finished container, and is run by the engine.

mod capabilities;
mod environment;
mod guest;

use containerd_shim_wasm::shim::{Cli as _, Shim, Version, version};

use crate::guest::Guest;

struct Coracle;

impl Shim for Coracle {
    type Sandbox = Guest;

    fn name() -> &'static str {
        "coracle-runwasi"
    }

    fn version() -> Version {
        version!()
    }

    // No `compiler()`: the host would compile in this privileged process, and keep the result under a
    // lease with one fixed name per node. A second pod that starts meanwhile, or a shim that dies
    // before it gives the lease back, makes every later pod lose its module without an error. Layers
    // are compiled inside the container that runs them.

    fn supported_layers_types() -> &'static [&'static str] {
        &[
            "application/wasm",
            "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
            "application/vnd.wasm.content.layer.v1+wasm",
        ]
    }
}

fn main() -> anyhow::Result<()> {
    environment::keep_only_what_is_needed()?;
    capabilities::remember_those_of_the_shim()?;
    Coracle::run(None);
    Ok(())
}
