//! A cluster for people, one for each machine: [`up`] leaves it in the background, [`down`] ends it.
//!
//! The process that holds the cluster listens on a socket. When it ends in whatever way, its lifeline ends,
//! and the cluster with it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::programs::{self, Programs, say};
use super::{Cluster, NODE_NAME};
use crate::image::Form;
use crate::node::{self, Layout};
use crate::{Image, native};

/// The word by which the program is asked to hold the cluster.
pub const HOLD: &str = "hold";

/// What the holder says when the cluster is there.
const READY: &str = "ready";

/// How often the holder looks whether somebody else has ended the cluster.
const PERIOD: Duration = Duration::from_millis(500);

/// Where the one cluster of this machine is found.
fn folder() -> PathBuf {
    Layout::nodes().with_file_name("coracle-cluster")
}

fn socket() -> PathBuf {
    folder().join("control.sock")
}

/// The file by which any client finds the cluster that is up.
#[must_use]
pub fn kubeconfig() -> PathBuf {
    folder().join("kubeconfig")
}

/// Starts the cluster, unless it is up, and returns when it is ready.
///
/// # Errors
/// When Kubernetes cannot be built or started.
pub fn up() -> Result<()> {
    if UnixStream::connect(socket()).is_ok() {
        say("the cluster is up already");
        return Ok(());
    }
    Programs::ready()?;
    clean()?;
    fs::create_dir_all(folder())?;
    let log = File::create(folder().join("log"))?;
    let mut holder = Command::new(std::env::current_exe()?)
        .arg(HOLD)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()?;
    let told = holder.stdout.take().context("no pipe from the holder")?;
    let mut line = String::new();
    BufReader::new(told).read_line(&mut line)?;
    if line.trim() == READY {
        return Ok(());
    }
    holder.wait()?;
    let log = fs::read_to_string(folder().join("log"))?;
    clean()?;
    bail!("the cluster did not start:\n{log}")
}

/// Holds a cluster until [`down`] asks for its end, or somebody ends it.
///
/// # Errors
/// When the cluster cannot be started.
pub async fn hold() -> Result<()> {
    nix::unistd::setsid().context("leave the terminal")?;
    let cluster = Cluster::start().await?;
    push_images(&cluster).await?;
    fs::copy(cluster.kubeconfig(), kubeconfig())?;
    let listener = UnixListener::bind(socket())?;
    listener.set_nonblocking(true)?;
    writeln!(io::stdout(), "{READY}")?;
    let asking = loop {
        match listener.accept() {
            Ok((asking, _)) if is_asked_to_end(&asking) => break Some(asking),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
            _ => {}
        }
        if !cluster.node().lives() {
            break None;
        }
        thread::sleep(PERIOD);
    };
    drop(cluster);
    clean()?;
    // Whoever asked waits for this end of the connection to close.
    drop(asking);
    Ok(())
}

/// Whoever only looks whether somebody listens says nothing.
fn is_asked_to_end(mut asking: &UnixStream) -> bool {
    let mut word = [0];
    let asked = asking
        .set_nonblocking(false)
        .and_then(|()| asking.read_exact(&mut word));
    asked.is_ok()
}

/// Ends the cluster, and returns when nothing of it is left.
///
/// # Errors
/// When something of it cannot be removed.
pub fn down() -> Result<()> {
    match UnixStream::connect(socket()) {
        Ok(mut holder) => {
            holder.write_all(b"d")?;
            // It ends with the holder.
            io::copy(&mut holder, &mut io::sink())?;
        }
        Err(_) => say("no cluster is up"),
    }
    clean()
}

/// Says whether the cluster is up, and removes what is left of one that died.
///
/// # Errors
/// When the state of the cluster cannot be asked for.
pub fn status() -> Result<()> {
    if UnixStream::connect(socket()).is_err() {
        say("no cluster is up");
        return clean();
    }
    say(&format!(
        "the cluster is up; KUBECONFIG={}",
        kubeconfig().display()
    ));
    kubectl(&["get", "nodes,runtimeclasses", "-o", "wide"].map(str::to_owned))?;
    kubectl(&["get", "pods", "--all-namespaces"].map(str::to_owned))
}

/// Runs kubectl on the cluster that is up, with this terminal.
///
/// # Errors
/// When no cluster is up, or kubectl fails.
pub fn kubectl(words: &[String]) -> Result<()> {
    client(
        Command::new(Programs::ready()?.kubernetes("kubectl")),
        words,
    )
}

/// Runs helm on the cluster that is up, with this terminal; builds it before where that has not been done.
///
/// # Errors
/// When no cluster is up, or helm fails.
pub fn helm(words: &[String]) -> Result<()> {
    client(Command::new(programs::helm()?), words)
}

fn client(mut program: Command, words: &[String]) -> Result<()> {
    ensure!(
        UnixStream::connect(socket()).is_ok(),
        "no cluster is up: run `cargo xtask cluster up`"
    );
    let status = program
        .args(words)
        .env("KUBECONFIG", kubeconfig())
        .status()?;
    ensure!(status.success(), "{program:?} ended with {status}");
    Ok(())
}

/// Removes what a dead holder, keeper or node left.
fn clean() -> Result<()> {
    for swept in node::sweep()? {
        say(&format!("removed what was left of node {swept}"));
    }
    match fs::remove_dir_all(folder()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Stores what a person may want to run: every guest that is built, and busybox.
async fn push_images(cluster: &Cluster) -> Result<()> {
    let images = cluster.node().pods();
    images.push(&native::busybox()?).await?;
    for guest in coracle_guests::catalogue() {
        if let Ok(file) = coracle_guests::built(guest.name) {
            let name = image_name(guest.name);
            let file = fs::read(file)?;
            let wasm = format!("{}.wasm", guest.name);
            images
                .push(&Image::of_wasm(&name, Form::File, &wasm, &file)?)
                .await?;
        }
    }
    Ok(())
}

fn image_name(guest: &str) -> String {
    format!("coracle.test/{}:1", guest.replace('_', "-"))
}

/// How the cluster that is up is used.
#[must_use]
pub fn usage() -> String {
    format!(
        "The cluster is up: one node, {NODE_NAME}, with the runtime class `coracle`.\n\
         \n    cargo xtask cluster kubectl run hello --restart=Never --image={} \\\n\
         \x20       --overrides='{{\"spec\":{{\"runtimeClassName\":\"coracle\"}}}}'\n\
         \x20   cargo xtask cluster kubectl logs hello\n\
         \x20   cargo xtask cluster down\n\n\
         Every built guest is there as an image coracle.test/NAME:1. Other clients: export KUBECONFIG={}",
        image_name("hello"),
        kubeconfig().display(),
    )
}
