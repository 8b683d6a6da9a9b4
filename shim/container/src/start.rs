//! Starting a container that was made.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::maker;

/// A container that was made does not wait to be started any more.
#[derive(Debug, thiserror::Error)]
#[error("the container's first process does not wait at {}", path.display())]
pub struct StartError {
    path: PathBuf,
    source: io::Error,
}

/// The socket at which libcontainer's first process waits.
const SOCKET: &str = "notify.sock";

/// Lets the first process of a made container go on to its command.
///
/// # Errors
/// When nobody waits: it was started before, or it is gone.
pub fn start(bundle: &Path, id: &str) -> Result<(), StartError> {
    let folder = maker::state(bundle, id);
    notify(&folder).map_err(|source| StartError {
        path: folder.join(SOCKET),
        source,
    })
}

fn notify(folder: &Path) -> io::Result<()> {
    // A socket's address has 108 bytes, and paths of bundles are longer; this one is always short.
    let folder = File::open(folder)?;
    let address = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    UnixStream::connect(address)?.write_all(b"start container")
}
