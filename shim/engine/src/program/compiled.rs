//! Code that was compiled before, mapped from its file.
//!
//! The one place of this crate where its word is taken for something that it cannot check: that the bytes
//! of a file are what [`Engine::compile`](crate::Engine) wrote.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use wasmtime::component::Component;
use wasmtime::{Module, Precompiled};

use super::{Code, LoadError, Program};
use crate::Engine;

impl Program {
    /// Maps code that [`Engine::compile`] made and a file has kept. Nothing is copied: all processes that
    /// map the same file share its pages.
    ///
    /// The program holds `file`, by a duplicate of its descriptor, for as long as it lives, and with it
    /// whatever locks the file.
    ///
    /// A component is opened anew by way of `/proc/self/fd`. Where that is not mounted, or not readable
    /// because this process has become another user and is not dumpable, the component's code is copied into
    /// memory of this process instead, with a warning. So call this before that.
    ///
    /// # Safety
    /// - The bytes of `file` are what [`Engine::compile`] of a build of this same source wrote, and
    ///   perhaps something behind them that belongs to whoever keeps the file.
    /// - They do not change while the program lives: only somebody whom this process trusts with its own
    ///   code can write the file, and never does. Unlinking it is harmless.
    ///
    /// # Errors
    /// [`LoadError::Foreign`] when the code is for another engine or another processor: compile it anew.
    /// [`LoadError::Unmapped`] when the kernel refuses the mapping, [`LoadError::World`] as for wasm.
    #[expect(
        unsafe_code,
        reason = "what native code does cannot be checked; the caller vouches for where it is from"
    )]
    pub unsafe fn from_compiled(
        engine: &Engine,
        file: &File,
        function: Option<&str>,
    ) -> Result<Self, LoadError> {
        let held = file.try_clone().map_err(LoadError::unmapped)?;
        let code = match form(file)? {
            Precompiled::Module => {
                // SAFETY:
                // - the bytes are the output of the same engine's compiler, by this function's contract;
                // - the file does not change while it is mapped, by the same;
                // - wasmtime itself refuses code of another version, configuration or processor.
                unsafe { Module::deserialize_open_file(engine.wasmtime(), held) }
                    .map(|module| (Code::Module(module), None))
            }
            Precompiled::Component => {
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                // SAFETY: as for a module; the path leads to the very file that the caller vouches for.
                unsafe { component(engine, file, &path) }
                    .map(|component| (Code::Component(component), Some(held)))
            }
        };
        let (code, held) = code.map_err(LoadError::of_mapping)?;
        let mut program = Self::of_code(engine, code, function)?;
        program.held = held;
        Ok(program)
    }
}

/// Opens the file anew at `path`, or copies it.
///
/// # Safety
/// That of [`Program::from_compiled`]. `path` leads to the file or to nothing.
#[expect(
    unsafe_code,
    reason = "wasmtime cannot take an open file for a component"
)]
unsafe fn component(engine: &Engine, file: &File, path: &str) -> wasmtime::Result<Component> {
    match std::fs::metadata(path) {
        Ok(_) => {
            // SAFETY: the path is that of the open file, so the contract of this function covers it.
            unsafe { Component::deserialize_file(engine.wasmtime(), path) }
        }
        Err(error) => {
            log::warn!(path, error:% = error; "a component's code is copied instead of mapped");
            let mut bytes = vec![0; usize::try_from(file.metadata()?.len())?];
            file.read_exact_at(&mut bytes, 0)?;
            // SAFETY: the bytes are those of the file, so the contract of this function covers them.
            unsafe { Component::deserialize(engine.wasmtime(), bytes) }
        }
    }
}

/// Length of the header of a 64-bit ELF file.
const HEADER: usize = 64;

/// What the ELF header says. Wasmtime would read the whole section table by way of a path for it.
fn form(file: &File) -> Result<Precompiled, LoadError> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0)
        .map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof => LoadError::foreign("it is shorter than an ELF header"),
            _ => LoadError::unmapped(source),
        })?;
    // Wasmtime's own value for the field that names an operating system, and the lowest byte of its flags.
    const OS_ABI: u8 = 200;
    match (header[7], header[48]) {
        (OS_ABI, 1) => Ok(Precompiled::Module),
        (OS_ABI, 2) => Ok(Precompiled::Component),
        (abi, flags) => Err(LoadError::foreign(format!(
            "its header has the ABI {abi} and the flags {flags:#x}; \
             accepted are {OS_ABI} with 0x1 (module) or 0x2 (component)"
        ))),
    }
}

impl LoadError {
    fn unmapped(source: io::Error) -> Self {
        Self::Unmapped {
            source: source.into(),
        }
    }

    fn foreign(reason: impl Into<crate::config::BoxedError>) -> Self {
        Self::Foreign {
            source: reason.into(),
        }
    }

    /// The kernel's refusals stand as such in wasmtime's errors; all others are about the code.
    fn of_mapping(source: wasmtime::Error) -> Self {
        let is_kernels = source.is::<rustix::io::Errno>() || source.is::<io::Error>();
        let source = source.into();
        if is_kernels {
            Self::Unmapped { source }
        } else {
            Self::Foreign { source }
        }
    }
}

#[cfg(feature = "compile")]
#[cfg(test)]
mod tests;
