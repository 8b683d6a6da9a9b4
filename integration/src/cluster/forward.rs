//! A way into a node's network from outside: connections to a port of this machine go on to an address there.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::thread;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::runtime::Builder;

/// Listens on a free port of this machine's loopback address, for as long as the process runs, and answers
/// with that address. What arrives there goes to `target` in the network namespace `network`.
///
/// A socket belongs to the namespace of the thread that makes it, so the listener is made here and
/// everything else on a thread that has moved.
pub(super) fn forward(network: OwnedFd, target: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    thread::Builder::new()
        .name("forward".to_owned())
        .spawn(move || {
            if let Err(error) = serve(&network, listener, target) {
                log::error!(target:%; "no way into the node's network: {error:#}");
            }
        })?;
    Ok(address)
}

fn serve(network: &OwnedFd, listener: TcpListener, target: SocketAddr) -> Result<()> {
    setns(network, CloneFlags::CLONE_NEWNET).context("enter the node's network")?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (mut outside, _) = listener.accept().await?;
            tokio::spawn(async move {
                let forwarded = async {
                    let mut inside = TcpStream::connect(target).await?;
                    copy_bidirectional(&mut outside, &mut inside).await
                };
                if let Err(error) = forwarded.await {
                    log::debug!(target:%; "a forwarded connection ended: {error}");
                }
            });
        }
    })
}
