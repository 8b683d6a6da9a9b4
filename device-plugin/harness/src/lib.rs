//! The programs of `device-plugin` as pods carry them: what builds them, their images, and a pod of handler and proxy
//! with the mock Agent beside it.

mod plugin;
mod programs;

pub use plugin::{HANDLER, PROXY, Plugin};
pub use programs::{PROGRAMS, handler_image, program, proxy_image};
