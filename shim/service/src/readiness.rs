//! Waiting for descriptors.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits for this descriptor to be readable, writable or both.
///
/// # Errors
/// When the kernel does not watch it.
#[expect(
    deprecated,
    reason = "unsound only for types that can change their descriptor, which `OwnedFd` does not"
)]
pub(crate) fn of(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, interest)
}
