//! The seal at the end of an entry: what it was compiled from, and that it is whole.
//!
//! | offset from the end | bytes | |
//! |---|---|---|
//! | 80 | 8 | `CORACLE`, and the version of this format |
//! | 72 | 8 | length of the code, little endian |
//! | 64 | 32 | SHA-256 of the wasm |
//! | 32 | 32 | SHA-256 of the code |

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::Digest;

const MAGIC: &[u8; 8] = b"CORACLE\x01";
const LENGTH: u64 = 80;

/// Why a file is no whole entry.
#[derive(Debug)]
pub(crate) enum Broken {
    Unreadable(io::Error),
    NoSeal,
    Length { sealed: u64, found: u64 },
    OtherWasm,
    Damaged,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "{error}"),
            Self::NoSeal => f.write_str("it has no seal"),
            Self::Length { sealed, found } => {
                write!(
                    f,
                    "it has {found} bytes of code, and its seal says {sealed}"
                )
            }
            Self::OtherWasm => f.write_str("it was compiled from other wasm"),
            Self::Damaged => f.write_str("its code is not what was written"),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Appends the seal to the code in `file`.
pub(crate) fn seal(file: &File, wasm: &Digest) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut seal = Vec::from(MAGIC);
    seal.extend(length.to_le_bytes());
    seal.extend(wasm.0);
    seal.extend(Digest::of_start(file, length)?.0);
    file.write_all_at(&seal, length)
}

/// Accepts a file that was sealed for this wasm and is as it was then.
pub(crate) fn verify(file: &File, wasm: &Digest) -> Result<(), Broken> {
    let length = file.metadata()?.len();
    let found = length.checked_sub(LENGTH).ok_or(Broken::NoSeal)?;
    let mut magic = [0; 8];
    let mut sealed = [0; 8];
    let mut source = [0; 32];
    let mut code = [0; 32];
    let mut position = found;
    for part in [&mut magic[..], &mut sealed, &mut source, &mut code] {
        file.read_exact_at(part, position)?;
        position += part.len() as u64;
    }
    if magic != *MAGIC {
        return Err(Broken::NoSeal);
    }
    let sealed = u64::from_le_bytes(sealed);
    if sealed != found {
        return Err(Broken::Length { sealed, found });
    }
    if source != wasm.0 {
        return Err(Broken::OtherWasm);
    }
    if Digest::of_start(file, found)?.0 != code {
        return Err(Broken::Damaged);
    }
    Ok(())
}
