//! What the exit codes of `coracle-compile` mean; zero is success, and others are a crash.

/// The wasm was refused. Standard error says why.
pub const REFUSED: u8 = 126;
/// The sandbox or the engine could not be set up, or a file not be read or written.
pub const CANNOT_HOST: u8 = 125;
/// Memory beyond the limit was asked for, and the compiler itself noticed.
pub const OUT_OF_MEMORY: u8 = 124;
