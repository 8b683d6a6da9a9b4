//! Version 2.

pub mod util;
