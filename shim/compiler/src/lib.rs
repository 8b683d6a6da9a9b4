//! Compiles wasm away from every privileged process.
