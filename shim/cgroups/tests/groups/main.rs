//! Real control groups of this host, made and removed. They need root.

mod life;
mod scratch;
