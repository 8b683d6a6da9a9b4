//! Compiles wasm away from every privileged process.
//!
//! A [`Compiler`] starts the program `coracle-compile` for one module, waits for it, and ends it when it
//! takes too long. The program gives up every right before it reads a byte, and works within [`Limits`].
//! [`Store`] joins it with the cache: from an open file of wasm to an open file of compiled code.
//!
//! Architecture invariant: this crate links no wasmtime and looks at no wasm. What is in a module can only
//! reach the process that compiles it, and the bytes that it writes.

mod child;
mod compiler;
mod error;
pub mod exit;
mod limits;
mod store;

pub use compiler::Compiler;
pub use error::CompileError;
pub use limits::{Limit, Limits};
pub use store::Store;
