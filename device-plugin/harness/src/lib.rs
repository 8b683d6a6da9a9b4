//! A pod of handler and proxy with the mock Agent beside it, for tests and the demo.

mod images;
mod plugin;

pub use images::{handler_image, proxy_image};
pub use plugin::{HANDLER, PROXY, Plugin};
