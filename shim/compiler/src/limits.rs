//! What one compilation may take.

use std::fmt;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// What one compilation may take, and as whom it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of the wasm, in bytes.
    pub input: u64,
    /// Size of the compiled code, in bytes.
    pub output: u64,
    /// Address space of the compiling process, in bytes.
    pub memory: u64,
    /// Processor time over all threads. Whole seconds count, and at least one.
    pub processor: Duration,
    /// Time from start to end.
    pub wall: Duration,
    /// User id and group id that the program takes on: somebody who owns nothing.
    pub user: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input: 256 * MIB,
            output: 512 * MIB,
            memory: 2048 * MIB,
            processor: Duration::from_secs(60),
            wall: Duration::from_secs(60),
            user: 65_534,
        }
    }
}

impl Limits {
    /// What `limit` allows, for people.
    #[must_use]
    pub fn allowed(&self, limit: Limit) -> String {
        match limit {
            Limit::Input => mebibytes(self.input),
            Limit::Output => mebibytes(self.output),
            Limit::Memory => mebibytes(self.memory),
            Limit::Processor => format!("{} s", self.processor.as_secs().max(1)),
            Limit::Wall => format!("{:?}", self.wall),
        }
    }
}

fn mebibytes(bytes: u64) -> String {
    if bytes.is_multiple_of(MIB) {
        format!("{} MiB", bytes / MIB)
    } else {
        format!("{bytes} bytes")
    }
}

/// One of [`Limits`], by the name of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::input`].
    Input,
    /// [`Limits::output`].
    Output,
    /// [`Limits::memory`].
    Memory,
    /// [`Limits::processor`].
    Processor,
    /// [`Limits::wall`].
    Wall,
}

impl Limit {
    /// The name of the setting that raises it.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::Input => "compiler.input",
            Self::Output => "compiler.output",
            Self::Memory => "compiler.memory",
            Self::Processor => "compiler.processor",
            Self::Wall => "compiler.wall",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "the size of wasm",
            Self::Output => "the size of compiled code",
            Self::Memory => "the compiler's memory",
            Self::Processor => "the compiler's processor time",
            Self::Wall => "the time to compile",
        })
    }
}
