//! Components, made of core modules.

use std::error::Error;
use std::fs;
use std::path::Path;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};
use wit_component::ComponentEncoder;

use super::cargo;
use crate::build_all::BuildError;
use crate::cache::CacheError;
use crate::toolchain::Tools;
use crate::{Guest, Language};

/// Translates preview 1 to 0.2.
pub(super) const ADAPTER: &[u8] = WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER;

/// The component of a Rust program.
pub(super) fn rust(guest: &Guest, tools: &Tools, out: &Path) -> Result<(), BuildError> {
    let module = cargo::compile(guest, tools)?;
    let module = fs::read(&module).map_err(CacheError::at(&module))?;
    let component = encode(&module, guest.language).map_err(|source| BuildError::Component {
        guest: guest.name,
        source,
    })?;
    fs::write(out, component).map_err(CacheError::at(out))?;
    Ok(())
}

fn encode(module: &[u8], language: Language) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let mut encoder = ComponentEncoder::default().validate(true).module(module)?;
    if language == Language::RustAdapted {
        encoder = encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, ADAPTER)?;
    }
    Ok(encoder.encode()?)
}
