//! A container's terminal: its other side is here, and copied to and from containerd's pipes.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::unix::pipe;
use tokio::task::AbortHandle;

use crate::readiness;
use crate::stdio::Paths;

/// A terminal that is being copied. Dropping it ends the copying of input; output is copied to its end.
#[derive(Debug)]
pub(crate) struct Console {
    terminal: Terminal,
    input: Option<AbortHandle>,
}

type Terminal = Arc<AsyncFd<OwnedFd>>;

/// Where the container sends its terminal while it is made.
#[derive(Debug)]
pub(crate) struct Awaited {
    listener: UnixListener,
    path: PathBuf,
}

/// Bytes that are copied at a time.
const CHUNK: usize = 4096;

/// Listens for a terminal, below the container's bundle.
pub(crate) fn listen(bundle: &Path) -> io::Result<Awaited> {
    let folder = bundle.join("coracle");
    fs::create_dir_all(&folder)?;
    let path = folder.join("console.sock");
    // A socket's address has 108 bytes, and paths of bundles are longer; this one is always short.
    let opened = File::open(&folder)?;
    let short = format!("/proc/self/fd/{}/console.sock", opened.as_raw_fd());
    let listener = UnixListener::bind(short)?;
    Ok(Awaited { listener, path })
}

impl Awaited {
    /// Where it listens.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the terminal, which has been sent by now, and begins to copy.
    pub(crate) fn take(self, paths: &Paths) -> io::Result<Console> {
        // Never waits: whoever made the container has connected before it said that it is made.
        self.listener.set_nonblocking(true)?;
        let (socket, _) = self.listener.accept()?;
        let terminal = coracle_container::receive_file(socket.as_fd())?;
        fs::remove_file(&self.path)?;
        Console::copying(terminal, paths)
    }
}

impl Console {
    /// Begins to copy a terminal.
    pub(crate) fn copying(terminal: OwnedFd, paths: &Paths) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&terminal, true)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        let terminal = Arc::new(readiness::of(terminal, both)?);
        if !paths.stdout.is_empty() {
            // Open for reading too: a containerd that restarts must not end it.
            let output = pipe::OpenOptions::new()
                .read_write(true)
                .open_sender(&paths.stdout)?;
            tokio::spawn(copy_output(Arc::clone(&terminal), output));
        }
        let input = match paths.stdin.as_str() {
            "" => None,
            path => {
                let input = pipe::OpenOptions::new().open_receiver(path)?;
                let copying = tokio::spawn(copy_input(input, Arc::clone(&terminal)));
                Some(copying.abort_handle())
            }
        };
        Ok(Self { terminal, input })
    }

    /// Changes its size, in characters.
    pub(crate) fn resize(&self, width: u32, height: u32) -> io::Result<()> {
        let fits = |size: u32| u16::try_from(size).map_err(io::Error::other);
        let size = Winsize {
            ws_row: fits(height)?,
            ws_col: fits(width)?,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(tcsetwinsize(self.terminal.get_ref(), size)?)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Some(input) = &self.input {
            input.abort();
        }
    }
}

/// Ends when the last process closes its side: reading answers an error then.
async fn copy_output(terminal: Terminal, mut output: pipe::Sender) {
    let mut buffer = [0; CHUNK];
    loop {
        let read = terminal
            .async_io(Interest::READABLE, |terminal| {
                Ok(rustix::io::read(terminal, &mut buffer)?)
            })
            .await;
        let Ok(length @ 1..) = read else { return };
        let part = buffer.get(..length).unwrap_or_default();
        if output.write_all(part).await.is_err() {
            return;
        }
    }
}

async fn copy_input(mut input: pipe::Receiver, terminal: Terminal) {
    let mut buffer = [0; CHUNK];
    while let Ok(length @ 1..) = input.read(&mut buffer).await {
        let mut part = buffer.get(..length).unwrap_or_default();
        while !part.is_empty() {
            let written = terminal
                .async_io(Interest::WRITABLE, |terminal| {
                    Ok(rustix::io::write(terminal, part)?)
                })
                .await;
            let Ok(length) = written else { return };
            part = part.get(length..).unwrap_or_default();
        }
    }
}
