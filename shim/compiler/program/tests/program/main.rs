//! `coracle-compile` as a process, started the way the shim starts it. As root, because the sandbox is
//! made by root.

#![cfg(test)]

mod bench;
mod ends;
mod isolation;
mod refusals;
mod sharing;
