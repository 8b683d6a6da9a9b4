//! The two files that this program is given, as files: without the locks and buffers of streams.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;

use anyhow::Context as _;

/// Standard input and standard output. Their descriptors are duplicated, which the sandbox forbids.
pub(crate) fn files() -> anyhow::Result<(File, File)> {
    let input = io::stdin().as_fd().try_clone_to_owned();
    let output = io::stdout().as_fd().try_clone_to_owned();
    let input = input.context("cannot take standard input")?;
    Ok((
        input.into(),
        output.context("cannot take standard output")?.into(),
    ))
}

/// All of a file from its start, wherever its position is, or all of a pipe.
pub(crate) fn read(mut file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read_at(&mut block, bytes.len() as u64) {
            Ok(0) => return Ok(bytes),
            Ok(read) => bytes.extend_from_slice(&block[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if bytes.is_empty() && error.raw_os_error() == Some(libc::ESPIPE) => {
                file.read_to_end(&mut bytes)?;
                return Ok(bytes);
            }
            Err(error) => return Err(error),
        }
    }
}
