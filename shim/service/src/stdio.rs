//! A container's standard streams: named pipes that containerd reads and writes, or files.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use coracle_container::Stdio;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::console::Console;

/// Where the streams are, as containerd names them. Empty is nowhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    pub(crate) stdin: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Whether the streams are one terminal.
    pub(crate) terminal: bool,
}

/// What the supervisor keeps open for a container while it lives.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Reading ends: a containerd that restarts must not end the container's writes.
    readers: Vec<OwnedFd>,
    /// The terminal, where there is one.
    pub(crate) console: Option<Console>,
}

/// A stream cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {path:?} for the container's {stream}")]
pub(crate) struct StreamError {
    stream: &'static str,
    path: String,
    source: io::Error,
}

impl Paths {
    /// Opens the streams for a container that has no terminal.
    pub(crate) fn open(&self) -> Result<(Stdio, Held), StreamError> {
        let mut held = Held::default();
        let failed = |stream, path: &str| {
            let path = path.to_owned();
            move |source| StreamError {
                stream,
                path,
                source,
            }
        };
        let stdin = input(&self.stdin).map_err(failed("standard input", &self.stdin))?;
        let mut open =
            |stream, path: &str| output(path, &mut held.readers).map_err(failed(stream, path));
        let stdout = open("standard output", &self.stdout)?;
        let stderr = open("standard error", &self.stderr)?;
        let stdio = Stdio {
            stdin,
            stdout,
            stderr,
        };
        Ok((stdio, held))
    }
}

/// Nothing to read, and nowhere to write.
pub(crate) fn null() -> Result<Stdio, StreamError> {
    Paths::default().open().map(|(stdio, _)| stdio)
}

fn input(path: &str) -> io::Result<OwnedFd> {
    if path.is_empty() {
        return Ok(File::open("/dev/null")?.into());
    }
    // Without waiting: containerd may open its end later. Reading then waits again.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(file.into())
}

fn output(path: &str, readers: &mut Vec<OwnedFd>) -> io::Result<OwnedFd> {
    if path.is_empty() {
        return Ok(OpenOptions::new().write(true).open("/dev/null")?.into());
    }
    let (scheme, rest) = path.split_once("://").unwrap_or(("", path));
    match scheme {
        "" | "fifo" => {}
        "file" => {
            let path = rest.split_once('?').map_or(rest, |(path, _)| path);
            return Ok(OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)?
                .into());
        }
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{scheme}:// is not supported; accepted are a named pipe and file://"),
            ));
        }
    }
    let path = Path::new(rest);
    if path.metadata()?.file_type().is_fifo() {
        let reader = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)?;
        readers.push(reader.into());
    }
    Ok(OpenOptions::new().write(true).open(path)?.into())
}
