//! How a guest's run ends, and the one mapping of that to a process's exit code.

use std::net::SocketAddr;

use crate::config::BoxedError;

/// The end of a guest that did run.
#[derive(Debug)]
pub enum End {
    /// It exited by itself, or returned (code 0, or 1 where a component answers an error).
    Exited(u8),
    /// It trapped. The report holds the trap and the wasm backtrace, several lines.
    Trapped {
        /// For people: what happened and where.
        report: String,
    },
}

impl End {
    /// The exit code of a process that ran this guest: the guest's own, or 134 for a trap, as a
    /// native program that aborts has it (128 + SIGABRT).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exited(code) => *code,
            Self::Trapped { .. } => 134,
        }
    }
}

/// A loaded program could not be started, or the host failed while it ran.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The guest wants something that its world does not offer.
    #[error("the guest does not fit its world, {world}")]
    Link {
        /// The world that it was linked against.
        world: String,
        /// Names the import.
        source: BoxedError,
    },
    /// A directory could not be handed to the guest.
    #[error("cannot open {path} for the guest")]
    Preopen {
        /// The path on the host.
        path: std::path::PathBuf,
        /// What the kernel said.
        source: BoxedError,
    },
    /// A value of the environment variable that chooses the port.
    #[error("{variable}={value:?} is not a port; accepted is a number from 1 to 65535")]
    Port {
        /// The variable's name.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// The HTTP server has no socket.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
}

impl RunError {
    pub(crate) fn link(world: &crate::World, source: wasmtime::Error) -> Self {
        let world = world.to_string();
        Self::Link {
            world,
            source: source.into(),
        }
    }
}

/// The end that a call into a guest came to.
pub(crate) fn end_of_call(result: Result<End, wasmtime::Error>) -> End {
    let error = match result {
        Ok(end) => return end,
        Err(error) => error,
    };
    match error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        Some(exit) => End::Exited(low_byte(exit.0)),
        // wasmtime's alternate and plain displays leave out the wasm backtrace; the debug form has it.
        None => End::Trapped {
            report: format!("{error:?}"),
        },
    }
}

/// A process keeps the low 8 bits of its exit code, and so does a guest.
fn low_byte(code: i32) -> u8 {
    let [low, ..] = code.to_le_bytes();
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_wrap_as_a_native_process_has_them() {
        let codes = [0, 1, 255, 256, 257, -1].map(low_byte);
        assert_eq!(codes, [0, 1, 255, 0, 1, 255]);
    }
}
