//! What a file is, told from its first bytes.

#[cfg(feature = "compile")]
use std::borrow::Cow;
use std::fmt;

use wasmtime::Precompiled;

#[cfg(feature = "compile")]
use crate::LoadError;

/// The forms of wasm that exist in images and files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// A core module in the binary format.
    Module,
    /// A component in the binary format.
    Component,
    /// A module or component in the text format (`.wat`).
    Text,
    /// A core module compiled to native code by some wasmtime (`.cwasm`).
    PrecompiledModule,
    /// A component compiled to native code by some wasmtime (`.cwasm`).
    PrecompiledComponent,
}

/// A module or a component in the binary format, whatever it was before.
#[cfg(feature = "compile")]
pub(crate) struct Read<'a> {
    /// [`Binary::Module`] or [`Binary::Component`].
    pub(crate) form: Binary,
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// Why some bytes are no wasm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWasm {
    /// There is nothing to run.
    #[error("it is empty")]
    Empty,
    /// The magic number is there, the version is not.
    #[error("it is truncated: {length} bytes, and the header alone has 8")]
    Truncated {
        /// Length in bytes.
        length: usize,
    },
    /// The version field is neither a module's nor a component's.
    #[error(
        "its version field is {version:02x?}; accepted are modules (01 00 00 00) and components (0d 00 01 00)"
    )]
    Version {
        /// Bytes 4 to 7.
        version: [u8; 4],
    },
    /// The bytes are something else.
    #[error(
        "it starts with {start:02x?}; wasm starts with 00 61 73 6d, text with `(module` or `(component`"
    )]
    Other {
        /// Up to 8 first bytes.
        start: Vec<u8>,
    },
}

const MAGIC: &[u8] = b"\0asm";

impl Binary {
    /// Tells the form of `bytes` without validating them.
    ///
    /// # Errors
    /// [`NotWasm`] says what the bytes are instead.
    pub fn of(bytes: &[u8]) -> Result<Self, NotWasm> {
        if bytes.is_empty() {
            return Err(NotWasm::Empty);
        }
        match wasmtime::Engine::detect_precompiled(bytes) {
            Some(Precompiled::Module) => return Ok(Self::PrecompiledModule),
            Some(Precompiled::Component) => return Ok(Self::PrecompiledComponent),
            None => {}
        }
        if bytes.starts_with(MAGIC) {
            let Some(version) = bytes.get(4..8) else {
                return Err(NotWasm::Truncated {
                    length: bytes.len(),
                });
            };
            return match version {
                [1, 0, 0, 0] => Ok(Self::Module),
                [0x0d, 0, 1, 0] => Ok(Self::Component),
                &[a, b, c, d] => Err(NotWasm::Version {
                    version: [a, b, c, d],
                }),
                _ => Err(NotWasm::Truncated {
                    length: bytes.len(),
                }),
            };
        }
        if is_text(bytes) {
            return Ok(Self::Text);
        }
        let start = bytes.iter().take(8).copied().collect();
        Err(NotWasm::Other { start })
    }
}

#[cfg(feature = "compile")]
impl Binary {
    /// Brings `bytes` to the binary format.
    pub(crate) fn read(bytes: &[u8]) -> Result<Read<'_>, LoadError> {
        let form = Self::of(bytes)?;
        match form {
            Self::Module | Self::Component => Ok(Read {
                form,
                bytes: bytes.into(),
            }),
            Self::PrecompiledModule | Self::PrecompiledComponent => {
                Err(LoadError::Precompiled { form })
            }
            Self::Text => {
                let parsed = wat::parse_bytes(bytes);
                let parsed = parsed.map_err(|source| LoadError::Text {
                    source: source.into(),
                })?;
                let form = Self::of(&parsed)?;
                Ok(Read {
                    form,
                    bytes: parsed,
                })
            }
        }
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Module => "core module",
            Self::Component => "component",
            Self::Text => "text format",
            Self::PrecompiledModule => "precompiled module",
            Self::PrecompiledComponent => "precompiled component",
        })
    }
}

/// The first word after blanks and comments is `(module` or `(component`.
fn is_text(bytes: &[u8]) -> bool {
    let Ok(mut text) = std::str::from_utf8(bytes) else {
        return false;
    };
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix(";;") {
            text = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(rest) = text.strip_prefix("(;") {
            text = rest.split_once(";)").map_or("", |(_, rest)| rest);
        } else {
            break;
        }
    }
    let Some(inside) = text.strip_prefix('(') else {
        return false;
    };
    let inside = inside.trim_start();
    let word = inside.split(|c: char| !c.is_ascii_alphanumeric()).next();
    matches!(word, Some("module" | "component"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_told_from_its_first_bytes() {
        assert_eq!(Binary::of(b"\0asm\x01\0\0\0"), Ok(Binary::Module));
        assert_eq!(Binary::of(b"\0asm\x0d\0\x01\0"), Ok(Binary::Component));
        assert_eq!(Binary::of(b"(module)"), Ok(Binary::Text));
        let commented = b"(; a block ;)\n;; a line\n ( component)";
        assert_eq!(Binary::of(commented), Ok(Binary::Text));
    }

    #[cfg(feature = "compile")]
    #[test]
    fn precompiled_code_is_told_from_an_ordinary_elf_file() {
        let engine = crate::Engine::new().unwrap();
        let module = wasmtime::Module::new(engine.wasmtime(), b"\0asm\x01\0\0\0").unwrap();
        let code = module.serialize().unwrap();
        assert_eq!(Binary::of(&code), Ok(Binary::PrecompiledModule));
        let this_test = std::fs::read("/proc/self/exe").unwrap();
        let start = b"\x7fELF\x02\x01\x01\0".to_vec();
        assert_eq!(Binary::of(&this_test), Err(NotWasm::Other { start }));
    }

    #[test]
    fn anything_else_is_refused_with_what_it_is() {
        assert_eq!(Binary::of(b""), Err(NotWasm::Empty));
        assert_eq!(
            Binary::of(b"\0asm\x01"),
            Err(NotWasm::Truncated { length: 5 })
        );
        let version = [9, 0, 0, 0];
        assert_eq!(
            Binary::of(b"\0asm\x09\0\0\0"),
            Err(NotWasm::Version { version })
        );
        let script = Binary::of(b"#!/bin/sh\n").unwrap_err();
        assert_eq!(
            script.to_string(),
            "it starts with [23, 21, 2f, 62, 69, 6e, 2f, 73]; \
             wasm starts with 00 61 73 6d, text with `(module` or `(component`"
        );
        assert!(matches!(
            Binary::of(b"(modest)"),
            Err(NotWasm::Other { .. })
        ));
    }
}
