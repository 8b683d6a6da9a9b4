//! Version 1.

pub mod util;
