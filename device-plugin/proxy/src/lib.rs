//! The native half of an Akri discovery handler: it registers with the Agent and serves `Discover`, and asks a
//! handler in wasm, which it reaches through files, what there is.
//!
//! [`run`] is the whole of it; [`Settings`] say where everything is.
//!
//! Architecture invariant: details and properties are passed on unread, so every handler in wasm has this same
//! proxy.

mod board;
mod discovery;
mod listen;
mod metrics;
mod registration;
mod serve;
mod settings;
mod status;
mod translate;
mod watcher;

pub use serve::{ServeError, run};
pub use settings::{Endpoint, Settings};
