//! Real control groups of this host, made and removed. They need root.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on ends, and what helps it is test code too"
)]

mod devices;
mod freezer;
mod life;
mod limits;
mod out_of_memory;
mod scratch;
mod statistics;
mod systemd;
