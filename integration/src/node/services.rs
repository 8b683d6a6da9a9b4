//! The programs that a node's first process runs for its owner: containerd, and on a cluster all the others.
//!
//! A program is described by a file of the node, one word of its command a line, and started, restarted and
//! stopped by a line on the lifeline.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, read};

use super::layout::Layout;

/// The environment variable with the folder of the shim under test; it comes first on containerd's PATH.
pub const SHIM_DIR: &str = "CORACLE_SHIM_DIR";

/// The word before the name of a program that is to run, and to run anew where it runs.
pub(super) const START: &str = "start";

/// The word before the name of a program that is to end.
pub(super) const STOP: &str = "stop";

/// How long a program that has ended by itself stays away.
const PAUSE: Duration = Duration::from_millis(200);

/// Says what `service` is: the words of its command.
pub(super) fn describe(layout: &Layout, service: &str, command: &[String]) -> Result<()> {
    if command.iter().any(|word| word.contains('\n')) {
        bail!("a word of the command of {service} holds a line break");
    }
    fs::write(layout.services().join(service), command.join("\n"))
        .with_context(|| format!("describe {service}"))
}

/// The programs that run.
#[derive(Debug)]
pub(super) struct Services<'l> {
    layout: &'l Layout,
    running: BTreeMap<String, Pid>,
}

impl<'l> Services<'l> {
    pub(super) fn new(layout: &'l Layout) -> Self {
        Self {
            layout,
            running: BTreeMap::new(),
        }
    }

    /// Does what a line of the lifeline asks.
    pub(super) fn answer(&mut self, line: &str) -> Result<()> {
        match line.split_once(' ') {
            Some((START, service)) => self.start(service),
            Some((STOP, service)) => self.stop(service),
            _ => bail!("unknown request {line:?} on the lifeline"),
        }
    }

    /// Starts `service`, after its end where it runs.
    pub(super) fn start(&mut self, service: &str) -> Result<()> {
        self.stop(service)?;
        let described = fs::read_to_string(self.layout.services().join(service))
            .with_context(|| format!("no description of {service}"))?;
        let mut words = described.lines();
        let program = words.next().context("a command without a program")?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.layout.service_log(service))?;
        let child = Command::new(program)
            .args(words)
            // As from an init system: nothing of whoever runs the tests reaches containerd, shims or containers.
            .env_clear()
            .env("PATH", path())
            .env("TMPDIR", self.layout.temporary())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {program}; its Debian package may be missing"))?;
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        self.running.insert(service.to_owned(), pid);
        Ok(())
    }

    /// Starts `service` again where it is among those that have ended and nobody asked it to: as systemd does
    /// with containerd's unit, so that whoever changes its configuration need only end it.
    pub(super) fn revive(&mut self, service: &str, ended: &[Pid]) -> Result<()> {
        if !self
            .running
            .get(service)
            .is_some_and(|pid| ended.contains(pid))
        {
            return Ok(());
        }
        log::warn!(service; "it has ended, and is started again");
        self.running.remove(service);
        // One that ends at once, over its configuration, is not to fill the machine.
        thread::sleep(PAUSE);
        self.start(service)
    }

    /// Asks `service` to end, and waits until it did; it may be dead already.
    fn stop(&mut self, service: &str) -> Result<()> {
        let Some(pid) = self.running.remove(service) else {
            return Ok(());
        };
        match kill(pid, Signal::SIGTERM) {
            Err(Errno::ESRCH) => return Ok(()),
            asked => asked?,
        }
        match waitpid(pid, None) {
            Ok(_) | Err(Errno::ECHILD) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    match std::env::var(SHIM_DIR) {
        Ok(shim) => format!("{shim}:{own}:/usr/sbin:/sbin"),
        Err(_) => format!("{own}:/usr/sbin:/sbin"),
    }
}

/// Lines of the lifeline, which come in pieces.
#[derive(Debug, Default)]
pub(super) struct Requests {
    unfinished: Vec<u8>,
}

impl Requests {
    /// The lines that are complete now; `None` at the lifeline's end.
    pub(super) fn read(&mut self, lifeline: impl AsFd) -> io::Result<Option<Vec<String>>> {
        let mut piece = [0; 512];
        let length = read(lifeline, &mut piece)?;
        if length == 0 {
            return Ok(None);
        }
        self.unfinished.extend(piece.iter().take(length));
        let mut lines = Vec::new();
        while let Some(end) = self.unfinished.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unfinished.drain(..=end).take(end).collect();
            lines.push(String::from_utf8_lossy(&line).into_owned());
        }
        Ok(Some(lines))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_in_pieces_are_put_together_and_the_end_is_told() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut requests = Requests::default();
        writer.write_all(b"start kubelet\nst").unwrap();
        let first = requests.read(&reader).unwrap();
        assert_eq!(first, Some(vec!["start kubelet".to_owned()]));
        writer.write_all(b"op etcd\n").unwrap();
        let second = requests.read(&reader).unwrap();
        assert_eq!(second, Some(vec!["stop etcd".to_owned()]));
        drop(writer);
        assert_eq!(requests.read(&reader).unwrap(), None);
    }
}
