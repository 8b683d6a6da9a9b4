//! `start`: leaves a supervisor behind.

use std::fs::{self, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use nix::fcntl::OFlag;

use crate::arguments::Arguments;
use crate::{bootstrap, group};

/// Prints the address of the supervisor of this container's pod, after starting one where there is none.
pub(crate) fn start(arguments: &Arguments) -> Result<()> {
    let mut arguments = arguments.clone();
    let dialect = bootstrap::complete(&mut arguments)?;
    let bundle = bundle(&arguments)?;
    let pod = group::of(&bundle, &arguments.id)?;
    let socket = group::socket(&arguments.address, &arguments.namespace, &pod);
    let address = format!("unix://{}", socket.display());
    if UnixStream::connect(&socket).is_err() {
        let listener = listen(&socket)?;
        if let Err(error) = leave_supervisor(&arguments, &pod, listener) {
            fs::remove_file(&socket).with_context(|| format!("remove {}", socket.display()))?;
            return Err(error);
        }
    }
    // containerd finds a running supervisor again by this file.
    let file = bundle.join("address");
    fs::write(&file, &address).with_context(|| format!("write {}", file.display()))?;
    bootstrap::answer(&address, dialect)
}

/// The container's folder: containerd starts shims in it.
pub(crate) fn bundle(arguments: &Arguments) -> Result<PathBuf> {
    match &arguments.bundle {
        Some(bundle) => Ok(bundle.clone()),
        None => std::env::current_dir().context("find the bundle: the working directory"),
    }
}

fn listen(socket: &Path) -> Result<UnixListener> {
    let folder = socket.parent().context("the socket has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    // Of a supervisor that died: nobody listened a moment ago.
    match fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove {}", socket.display()));
        }
        _ => {}
    }
    let listener =
        UnixListener::bind(socket).with_context(|| format!("listen on {}", socket.display()))?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Starts this program anew, so that neither containerd's environment nor its command line stands in the
/// memory of the processes that later run guests.
fn leave_supervisor(arguments: &Arguments, pod: &str, listener: UnixListener) -> Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("containerd-shim-coracle-v1")
        .args(["-namespace", &arguments.namespace])
        .args(["-id", pod])
        .args(["-address", &arguments.address])
        .args(["-ttrpc-address", &arguments.ttrpc_address])
        .args(arguments.debug.then_some("-debug"))
        .arg("supervise")
        .env_clear()
        .current_dir("/")
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::null())
        .stderr(log());
    let child = command.spawn().context("start the supervisor")?;
    adjust_oom_score(child.id());
    Ok(())
}

/// containerd reads a shim's log from a pipe in the bundle. Opened for reading too, so that a containerd
/// that restarts does not end the supervisor, and without waiting, so that nothing waits for it.
fn log() -> Stdio {
    let pipe = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open("log");
    pipe.map_or_else(|_| Stdio::null(), Stdio::from)
}

/// Makes the kernel prefer the supervisor over containerd when memory runs out, by one point, as
/// containerd's own shims do.
fn adjust_oom_score(supervisor: u32) {
    let parent = nix::unistd::getppid();
    let adjusted = fs::read_to_string(format!("/proc/{parent}/oom_score_adj")).and_then(|score| {
        let score: i32 = score.trim().parse().map_err(std::io::Error::other)?;
        let score = (score + 1).min(1000).to_string();
        fs::write(format!("/proc/{supervisor}/oom_score_adj"), score)
    });
    if let Err(error) = adjusted {
        log::warn!(error:% = error; "the supervisor keeps the OOM score that it inherited");
    }
}
