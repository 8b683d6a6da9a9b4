//! The one engine configuration: whatever compiles or runs wasm in this project uses this.

use std::fmt;

#[cfg(feature = "compile")]
use crate::{Binary, LoadError};

/// A wasmtime engine with this project's configuration. Cloning shares it.
#[derive(Clone)]
pub struct Engine(wasmtime::Engine);

/// The machine cannot run the engine.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the wasm engine on this machine")]
pub struct EngineError(#[source] BoxedError);

pub(crate) type BoxedError = Box<dyn std::error::Error + Send + Sync>;

impl Engine {
    /// An engine for this machine.
    ///
    /// # Errors
    /// [`EngineError`] when the processor or the kernel lacks what generated code needs.
    pub fn new() -> Result<Self, EngineError> {
        let engine = wasmtime::Engine::new(&configuration());
        engine.map(Self).map_err(|e| EngineError(e.into()))
    }

    /// Compiles a module or a component, binary or text, to code that an engine of the same
    /// [`compatibility`](Self::compatibility) can map and run.
    ///
    /// # Errors
    /// [`LoadError`] when the bytes are not wasm, or not valid.
    #[cfg(feature = "compile")]
    pub fn compile(&self, bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
        let binary = Binary::read(bytes)?;
        let compiled = match binary.form {
            Binary::Component => self.0.precompile_component(&binary.bytes),
            _ => self.0.precompile_module(&binary.bytes),
        };
        compiled.map_err(|source| LoadError::Invalid {
            form: binary.form,
            source: source.into(),
        })
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

fn configuration() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        // File and line in a trap's backtrace, where the guest carries DWARF.
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Enable);
    config
}
