//! What is asked of the node's running programs.

mod systemd;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cri::{self, CriError};
use crate::distribution::Distribution;
use crate::node::NodeRoot;
use systemd::Systemd;

/// The hidden subcommand with which this program runs another one below the node's root: without `unsafe`,
/// only a process that becomes the other program can change its own root.
pub const IN_NODE: &str = "in-node";

/// How the names of this runtime's shims begin: there is one for each of its hosts.
const SHIMS: &str = "containerd-shim-coracle-";

/// How containerd is restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Restart {
    /// `systemd` where the node runs it, or `dbus` where it has no `systemctl`; else `terminate`.
    #[default]
    Auto,
    /// `systemctl`, run below the node's root.
    Systemd,
    /// systemd itself, over D-Bus.
    Dbus,
    /// `systemctl`, run in the mount namespace of the node's first process; needs its PID namespace.
    Nsenter,
    /// SIGTERM to containerd; whoever watches over it starts it again. Needs the node's PID namespace.
    Terminate,
    /// Somebody else does it.
    None,
}

/// Why a running program did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A program could not be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program failed.
    #[error("`{command}` ended with {status}: {said}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        said: String,
    },
    /// No unit of the distribution is on the node.
    #[error("no systemd unit on the node; looked for {units}")]
    NoUnit {
        /// The names.
        units: String,
    },
    /// systemd cannot be asked over D-Bus.
    #[error("cannot {action}")]
    Bus {
        /// What was to be done.
        action: String,
        /// Why not.
        #[source]
        source: Box<zbus::Error>,
    },
    /// A unit has not come back.
    #[error(
        "unit {unit} is {state} after its restart; `journalctl --unit {unit}` on the node says why"
    )]
    Unit {
        /// The unit.
        unit: String,
        /// Its state, as systemd calls it.
        state: String,
    },
    /// Process ids of the node mean other processes here.
    #[error(
        "cannot signal the node's processes: they are in another PID namespace (a pod needs `hostPID`); other values of --restart: systemd, dbus, none"
    )]
    OtherNamespace,
    /// A process cannot be signalled.
    #[error("cannot signal process {pid}")]
    Signal {
        /// The process.
        pid: i32,
        /// Why.
        #[source]
        source: Errno,
    },
    /// The node's processes cannot be listed.
    #[error("cannot list the node's processes")]
    Processes(#[source] io::Error),
    /// CRI does not answer.
    #[error("CRI does not answer")]
    Cri(#[source] CriError),
}

/// The node's running programs.
pub trait Host {
    /// containerd's opinion of `config`, which is a path of the node: the whole configuration as it would
    /// run. `None` where there is no containerd program to ask.
    ///
    /// # Errors
    /// When containerd refuses it.
    fn dump(&self, distribution: Distribution, config: &Path) -> Result<Option<String>, HostError>;

    /// Restarts containerd.
    ///
    /// # Errors
    /// When it cannot be asked to. Whether it came back is another question.
    fn restart(&self, distribution: Distribution) -> Result<(), HostError>;

    /// The runtime handlers that the running containerd has loaded.
    ///
    /// # Errors
    /// When CRI does not answer, now.
    fn handlers(&self, socket: &Path) -> Result<Vec<String>, HostError>;

    /// The processes of this runtime's shims, whichever of its hosts they are.
    ///
    /// # Errors
    /// When processes cannot be listed.
    fn shims(&self) -> Result<Vec<i32>, HostError>;
}

/// The node below a root.
#[derive(Debug)]
pub struct NodeHost {
    node: NodeRoot,
    restart: Restart,
}

impl NodeHost {
    /// The programs of `node`.
    #[must_use]
    pub fn new(node: NodeRoot, restart: Restart) -> Self {
        Self { node, restart }
    }

    /// A command that runs below the node's root.
    fn command(&self, program: &str) -> Result<Command, HostError> {
        let mut command = if self.node.folder() == Path::new("/") {
            Command::new(program)
        } else {
            let this = std::env::current_exe().map_err(|source| HostError::Start {
                program: program.to_owned(),
                source,
            })?;
            let mut command = Command::new(this);
            command.arg(IN_NODE).arg(self.node.folder()).arg(program);
            command
        };
        command
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            // systemctl does nothing, and calls it success, where its root is not that of process 1.
            .env("SYSTEMD_IGNORE_CHROOT", "1")
            .stdin(Stdio::null());
        Ok(command)
    }

    fn systemctl(&self) -> Result<Command, HostError> {
        if self.restart == Restart::Nsenter {
            let mut command = self.command("nsenter")?;
            command.args(["-t", "1", "-m", "--", "systemctl"]);
            return Ok(command);
        }
        self.command("systemctl")
    }

    fn systemd(&self) -> Result<Systemd<'_>, HostError> {
        match self.restart {
            Restart::Dbus => Systemd::on_bus_of(&self.node),
            Restart::Auto if !systemd::has_systemctl(&self.node) => Systemd::on_bus_of(&self.node),
            _ => Ok(Systemd::Systemctl(Box::new(|| self.systemctl()))),
        }
    }

    fn terminate(&self) -> Result<(), HostError> {
        // What the node's /proc calls this process, and what this process calls itself.
        let seen = fs::read_link(self.node.folder().join("proc/self")).ok();
        if seen != Some(PathBuf::from(std::process::id().to_string())) {
            return Err(HostError::OtherNamespace);
        }
        let Some(pid) = self.named(|name| name == "containerd")?.first().copied() else {
            // It has ended by itself, as over a bad configuration, and is about to be started again.
            tracing::warn!("no process containerd to end; whoever watches over it starts it again");
            return Ok(());
        };
        tracing::info!(
            pid,
            "asking containerd to end; whoever watches over it starts it again"
        );
        kill(Pid::from_raw(pid), Signal::SIGTERM)
            .map_err(|source| HostError::Signal { pid, source })
    }

    /// The node's processes that were started as a program of such a name.
    fn named(&self, right: impl Fn(&str) -> bool) -> Result<Vec<i32>, HostError> {
        let folder = self.node.folder().join("proc");
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(HostError::Processes)?,
        };
        let mut pids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(HostError::Processes)?;
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
                continue;
            };
            // A process may end while it is looked at.
            let Ok(line) = fs::read(entry.path().join("cmdline")) else {
                continue;
            };
            let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
            let program = PathBuf::from(String::from_utf8_lossy(program).into_owned());
            if program
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(&right)
            {
                pids.push(pid);
            }
        }
        pids.sort_unstable();
        Ok(pids)
    }
}

impl Host for NodeHost {
    fn dump(&self, distribution: Distribution, config: &Path) -> Result<Option<String>, HostError> {
        let programs = distribution.programs();
        let Some(program) = programs.iter().find(|program| self.node.has(program)) else {
            return Ok(None);
        };
        let mut command = self.command(program)?;
        let output = run(command.arg("--config").arg(config).args(["config", "dump"]))?;
        Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    fn restart(&self, distribution: Distribution) -> Result<(), HostError> {
        if distribution.units().is_empty() {
            return Ok(());
        }
        match self.restart {
            Restart::None => Ok(()),
            Restart::Terminate => self.terminate(),
            Restart::Auto if !systemd::is_on(&self.node) => self.terminate(),
            _ => self.systemd()?.restart(&self.node, distribution),
        }
    }

    fn handlers(&self, socket: &Path) -> Result<Vec<String>, HostError> {
        cri::handlers(&self.node, socket).map_err(HostError::Cri)
    }

    fn shims(&self) -> Result<Vec<i32>, HostError> {
        self.named(|name| name.starts_with(SHIMS))
    }
}

fn run(command: &mut Command) -> Result<Output, HostError> {
    let output = command.output().map_err(|source| HostError::Start {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<_> = said.lines().rev().take(3).collect();
    Err(HostError::Failed {
        command: words.join(" "),
        status: output.status.to_string(),
        said: last.into_iter().rev().collect::<Vec<_>>().join("; "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(restart: Restart) -> (tempfile::TempDir, NodeHost) {
        let folder = tempfile::tempdir().unwrap();
        let node = NodeRoot::new(folder.path().to_owned());
        (folder, NodeHost::new(node, restart))
    }

    #[test]
    fn shims_are_known_by_the_name_they_were_started_with() {
        let (folder, host) = host(Restart::None);
        for (pid, line) in [
            ("7", "/usr/local/bin/containerd-shim-coracle-v1\0-id\0x"),
            ("8", "/usr/bin/containerd-shim-runc-v2\0-id\0y"),
            (
                "10",
                "/opt/coracle/bin/containerd-shim-coracle-runwasi-v1\0",
            ),
            ("9", ""),
            ("bus", "containerd-shim-coracle-v1"),
        ] {
            let process = folder.path().join("proc").join(pid);
            fs::create_dir_all(&process).unwrap();
            fs::write(process.join("cmdline"), line).unwrap();
        }
        assert_eq!(host.shims().unwrap(), [7, 10]);
    }

    #[test]
    fn no_process_of_another_pid_namespace_is_signalled() {
        let (folder, host) = host(Restart::Auto);
        fs::create_dir_all(folder.path().join("proc")).unwrap();
        std::os::unix::fs::symlink("999999", folder.path().join("proc/self")).unwrap();
        let refused = host.restart(Distribution::Containerd).unwrap_err();
        assert!(matches!(refused, HostError::OtherNamespace), "{refused}");
    }

    #[test]
    fn a_node_without_systemctl_is_asked_over_the_bus() {
        let (folder, host) = host(Restart::Auto);
        fs::create_dir_all(folder.path().join("run/systemd/system")).unwrap();
        let refused = host
            .restart(Distribution::Containerd)
            .unwrap_err()
            .to_string();
        assert_eq!(
            refused,
            "cannot connect to /run/dbus/system_bus_socket of the node"
        );
    }

    #[test]
    fn a_missing_unit_is_told_by_its_names() {
        let (_folder, host) = host(Restart::Systemd);
        let refused = host.restart(Distribution::K3s).unwrap_err().to_string();
        assert_eq!(
            refused,
            "no systemd unit on the node; looked for k3s.service, k3s-agent.service"
        );
    }
}
