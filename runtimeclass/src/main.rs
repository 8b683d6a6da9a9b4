//! `coracle-node-installer`: makes a Kubernetes node able to run wasm pods.

mod run;

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use coracle_node_installer::distribution::Distribution;
use coracle_node_installer::host::{NodeHost, Restart};
use coracle_node_installer::installer::{Installer, Settings};
use coracle_node_installer::node::NodeRoot;
use coracle_node_installer::payload::Payload;
use tracing_subscriber::EnvFilter;

/// Makes a Kubernetes node able to run wasm pods, and undoes it without a trace
///
/// It finds out which distribution the node has, installs the shim and its helpers, makes containerd know it, restarts
/// containerd if something changed, and checks that the handler is loaded. What fails half-way is undone.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install the runtime; what is as it has to be is not touched
    Install {
        #[command(flatten)]
        node: NodeOptions,
        #[command(flatten)]
        payload: PayloadOptions,
        /// Only say what would be done, as `status` does
        #[arg(long)]
        dry_run: bool,
    },
    /// Say how the runtime stands on the node; ends with 1 where pods cannot run
    Status {
        #[command(flatten)]
        node: NodeOptions,
    },
    /// Make the node what it was before
    Uninstall {
        #[command(flatten)]
        node: NodeOptions,
        /// Even while pods of this runtime run
        #[arg(long)]
        force: bool,
    },
    /// Install, then look again and again; SIGTERM ends it and leaves the runtime installed
    Run {
        #[command(flatten)]
        node: NodeOptions,
        #[command(flatten)]
        payload: PayloadOptions,
        /// Seconds between two looks
        #[arg(long, env = "CHECK_EVERY", default_value = "300", value_parser = seconds)]
        check_every: Duration,
    },
    /// Uninstall, then stay until SIGTERM; what the DaemonSet runs while it is withdrawn
    Remove {
        #[command(flatten)]
        node: NodeOptions,
        /// Even while pods of this runtime run
        #[arg(long)]
        force: bool,
    },
    /// Make a DaemonSet `remove` the runtime from every node, and wait until it is gone
    Withdraw {
        /// Namespace of the DaemonSet
        #[arg(long)]
        namespace: String,
        /// Name of the DaemonSet
        #[arg(long)]
        daemonset: String,
        /// Nodes at a time on which the DaemonSet installs again where this fails: a number or a percentage
        #[arg(long, default_value = "1")]
        max_unavailable: String,
        /// Even while pods of this runtime run
        #[arg(long)]
        force: bool,
        /// Seconds that it may take
        #[arg(long, default_value = "600", value_parser = seconds)]
        timeout: Duration,
    },
    #[command(name = coracle_node_installer::host::IN_NODE, hide = true)]
    InNode {
        root: PathBuf,
        program: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Args)]
struct NodeOptions {
    /// Where the node's root file system is mounted
    #[arg(long, env = "NODE_ROOT", default_value = "/host")]
    root: PathBuf,
    /// The distribution that the node has to have; found out where it is not given
    #[arg(long, env = "DISTRIBUTION")]
    distribution: Option<Distribution>,
    /// containerd's configuration on the node, where it is not the distribution's
    #[arg(long, env = "CONTAINERD_CONFIG")]
    config: Option<PathBuf>,
    /// containerd's socket on the node, where it is not the distribution's
    #[arg(long, env = "CONTAINERD_SOCKET")]
    socket: Option<PathBuf>,
    /// Folder on the node for the programs; the first of /usr/local/bin, /opt/coracle/bin and
    /// /var/lib/coracle/bin that takes programs where it is not given
    #[arg(long, env = "BIN_DIR")]
    bin_dir: Option<PathBuf>,
    /// How containerd is restarted
    #[arg(long, env = "RESTART", default_value = "auto")]
    restart: Restart,
    /// Seconds that containerd may take to come back
    #[arg(long, env = "TIMEOUT", default_value = "60", value_parser = seconds)]
    timeout: Duration,
    /// Name of the Node object, to label it `coracle.dev/runtime=true`; not labelled where it is not given
    #[arg(long, env = "NODE_NAME")]
    node_name: Option<String>,
}

#[derive(Args)]
struct PayloadOptions {
    /// The programs to install: a folder here that holds the shim and what it needs, and nothing else
    #[arg(long, env = "PAYLOAD", default_value = "/opt/coracle")]
    payload: PathBuf,
}

impl NodeOptions {
    fn host(&self) -> NodeHost {
        NodeHost::new(NodeRoot::new(self.root.clone()), self.restart)
    }

    fn installer<'h>(&self, host: &'h NodeHost) -> Installer<'h, NodeHost> {
        let settings = Settings {
            distribution: self.distribution,
            config: self.config.clone(),
            socket: self.socket.clone(),
            bin_dir: self.bin_dir.clone(),
            timeout: self.timeout,
        };
        Installer::new(NodeRoot::new(self.root.clone()), host, settings)
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match options.task {
        Task::Install {
            node,
            payload,
            dry_run: true,
        } => table(&node, Some(&payload)).map(drop),
        Task::Install { node, payload, .. } => run::install(&node, &payload).map(drop),
        Task::Status { node } => match table(&node, None)? {
            true => Ok(()),
            false => bail!("the node does not run wasm pods"),
        },
        Task::Uninstall { node, force } => run::uninstall(&node, force),
        Task::Run {
            node,
            payload,
            check_every,
        } => run::stay(&node, &payload, check_every),
        Task::Remove { node, force } => run::remove(&node, force),
        Task::Withdraw {
            namespace,
            daemonset,
            max_unavailable,
            force,
            timeout,
        } => run::withdraw(&namespace, &daemonset, &max_unavailable, force, timeout),
        Task::InNode {
            root,
            program,
            arguments,
        } => {
            std::os::unix::fs::chroot(&root)
                .and_then(|()| std::env::set_current_dir("/"))
                .with_context(|| format!("cannot enter {}", root.display()))?;
            let error = Command::new(&program).args(arguments).exec();
            Err(error).with_context(|| format!("cannot start {}", program.display()))
        }
    }
}

fn table(node: &NodeOptions, payload: Option<&PayloadOptions>) -> Result<bool> {
    let host = node.host();
    let payload = payload
        .map(|options| Payload::of(&options.payload))
        .transpose()?;
    let status = node.installer(&host).status(payload.as_ref())?;
    std::io::stdout().write_all(status.table().as_bytes())?;
    Ok(status.ready)
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn options_hold_together() {
        Options::command().debug_assert();
    }

    #[test]
    fn what_the_chart_says_is_understood() {
        for line in [
            "x run",
            "x status",
            "x remove --force",
            "x withdraw --namespace=n --daemonset=d --max-unavailable=10% --timeout=600 --force",
        ] {
            if let Err(error) = Options::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn a_program_of_the_node_keeps_its_own_options() {
        let line = "x in-node /host /usr/bin/containerd --config /c config dump";
        let Ok(Options {
            task: Task::InNode { arguments, .. },
        }) = Options::try_parse_from(line.split(' '))
        else {
            panic!("not understood");
        };
        assert_eq!(arguments, ["--config", "/c", "config", "dump"]);
    }
}
