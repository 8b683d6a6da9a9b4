//! Images with native programs: the pause program, a native hello, and busybox.

use std::fs;
use std::io;

use anyhow::{Context, Result, bail};

use crate::image::{Image, Rootfs};
use crate::node::PAUSE_IMAGE;

/// Where Debian's `busybox-static` puts its program.
const BUSYBOX: &str = "/bin/busybox";

/// Statically linked by `build.rs` from `programs/pause.rs`.
static PAUSE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

/// Statically linked by `build.rs` from `programs/hello.rs`.
static HELLO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello"));

/// The image that CRI makes sandboxes of: one program that sleeps.
///
/// # Errors
/// Never, as long as its paths can stand in a tar archive.
pub fn pause() -> Result<Image> {
    Rootfs::new(PAUSE_IMAGE)
        .file("pause", 0o755, PAUSE)
        .entrypoint(["/pause"])
        .build()
}

/// An image with one native program that says hello: what runc is measured with.
///
/// # Errors
/// Never, as long as its paths can stand in a tar archive.
pub fn hello() -> Result<Image> {
    Rootfs::new("coracle.test/native-hello:1")
        .file("hello", 0o755, HELLO)
        .entrypoint(["/hello"])
        .build()
}

/// An image with the host's busybox and its usual names. It has no entrypoint.
///
/// # Errors
/// When the host has no statically linked busybox.
pub fn busybox() -> Result<Image> {
    const NAMES: [&str; 10] = [
        "cat", "dd", "echo", "env", "httpd", "ls", "sh", "sleep", "sort", "true",
    ];
    let program = match fs::read(BUSYBOX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("no {BUSYBOX}: install `busybox-static`")
        }
        program => program.with_context(|| format!("read {BUSYBOX}"))?,
    };
    let image = Rootfs::new("coracle.test/busybox:1")
        .file("bin/busybox", 0o755, program)
        .folder("tmp", 0o1777)
        .cmd(["/bin/sh"]);
    NAMES
        .into_iter()
        .fold(image, |image, name| {
            image.link(&format!("bin/{name}"), "busybox")
        })
        .build()
}
