//! What a container is to run: a native program, or wasm.
