//! What names an entry: the SHA-256 of the wasm that it was compiled from.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of some wasm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub(crate) [u8; 32]);

/// How much of a file is read at a time.
const BLOCK: usize = 64 << 10;

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(wasm: &[u8]) -> Self {
        Self(Sha256::digest(wasm).into())
    }

    /// The digest of all that a file holds. Its position neither matters nor moves.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(file: &File) -> io::Result<Self> {
        Self::of_start(file, u64::MAX)
    }

    /// The digest of what a file holds below `length`.
    pub(crate) fn of_start(file: &File, length: u64) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut block = vec![0; BLOCK];
        let mut position = 0;
        while position < length {
            let wanted = usize::try_from(length - position).map_or(BLOCK, |left| left.min(BLOCK));
            let read = match file.read_at(&mut block[..wanted], position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                break;
            }
            hasher.update(&block[..read]);
            position += read as u64;
        }
        Ok(Self(hasher.finalize().into()))
    }

    /// The digest of this name: 64 hexadecimal digits, as `Display` writes them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut digest = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_digest_of_its_bytes_from_wherever_it_was_read_before() {
        use std::io::Write as _;
        let bytes = vec![7; BLOCK + 3];
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        assert_eq!(Digest::of_file(&file).unwrap(), Digest::of(&bytes));
        let start = Digest::of_start(&file, BLOCK as u64 + 1).unwrap();
        assert_eq!(start, Digest::of(&bytes[..=BLOCK]));
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_else() {
        let digest = Digest::of(b"wasm");
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        for text in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(Digest::parse(text), None, "{text:?}");
        }
    }
}
