//! Runs wasm modules and components.
