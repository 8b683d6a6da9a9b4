//! A pod with a handler in wasm and the proxy, and the mock Agent on its node.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use coracle_akri_agent::{Agent, Configuration};
use coracle_integration::Node;
use coracle_integration::pod::{CORACLE, Pod, PodContainer};
use coracle_integration::processes::{Memory, Process, memory};
use nix::sys::signal::{Signal, kill};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::images::{handler_image, proxy_image};

/// The container of the handler.
pub const HANDLER: &str = "handler";

/// The container of the proxy.
pub const PROXY: &str = "proxy";

/// The name that the proxy registers.
const NAME: &str = "debugEcho";

/// Where the handler finds the folder with the availability file.
const DEVICE: &str = "/device";

/// A debugEcho handler and its proxy as the chart runs them, and an Agent.
#[derive(Debug)]
pub struct Plugin<'n> {
    /// The program of the handler, and its arguments.
    handler: (&'static str, &'static [&'static str]),
    pod: Pod<'n>,
    agent: Option<Agent>,
    folders: TempDir,
}

impl<'n> Plugin<'n> {
    /// Starts the Agent, and the pod with the debugEcho handler and the proxy.
    ///
    /// # Errors
    /// When a program is not built, or the pod does not start.
    pub async fn start(node: &'n Node) -> Result<Self> {
        let availability = &["--availability", "/device/debug-echo-availability.txt"];
        Self::with_handler(node, "akri_debug_echo", availability).await
    }

    /// Starts the Agent, and the pod with another handler, which finds the folder [`device`](Self::device) at
    /// `/device`.
    ///
    /// # Errors
    /// When a program is not built, or the pod does not start.
    pub async fn with_handler(
        node: &'n Node,
        program: &'static str,
        args: &'static [&'static str],
    ) -> Result<Self> {
        let folders = tempfile::tempdir().context("make the folders of the pod")?;
        for folder in ["akri", "device", "exchange"] {
            fs::create_dir(folders.path().join(folder))?;
        }
        let mut plugin = Self {
            handler: (program, args),
            pod: node.pod("akri").runtime(CORACLE).sandbox().await?,
            agent: None,
            folders,
        };
        plugin.restart_agent().await?;
        for name in [HANDLER, PROXY] {
            plugin.create(name).await?;
        }
        Ok(plugin)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.folders.path().join(name)
    }

    /// The folder that the handler finds at `/device`.
    #[must_use]
    pub fn device(&self) -> PathBuf {
        self.folder("device")
    }

    /// Native containers get no environment from today's shim, so all settings are arguments.
    async fn create(&mut self, name: &str) -> Result<()> {
        let exchange = self.folder("exchange");
        let container = match name {
            HANDLER => PodContainer::new(HANDLER, &handler_image(self.handler.0)?)
                .args(self.handler.1.iter().copied())
                .mount(&self.folder("device"), DEVICE)
                .mount(&exchange, "/exchange"),
            PROXY => {
                // At the same path on both sides, as the Agent will be told the path in the container.
                let directory = self.folder("akri");
                let path = directory.to_string_lossy().into_owned();
                PodContainer::new(PROXY, &proxy_image()?)
                    .args([
                        "--name",
                        NAME,
                        "--shared",
                        "--register-every=1",
                        "--linger=2",
                        "--directory",
                        &path,
                    ])
                    .mount(&exchange, "/exchange")
                    .mount(&directory, &path)
            }
            _ => bail!("no container {name}"),
        };
        self.pod.create(container).await?;
        self.pod.start(name).await
    }

    /// The Agent.
    ///
    /// # Errors
    /// When it was stopped.
    pub fn agent(&self) -> Result<&Agent> {
        self.agent.as_ref().context("the Agent does not run")
    }

    /// Applies a Configuration.
    ///
    /// # Errors
    /// When the Agent was stopped.
    pub fn apply(&self, details: &str) -> Result<Configuration> {
        Ok(self.agent()?.apply(NAME, details, Default::default()))
    }

    /// Ends the Agent without a word.
    pub fn stop_agent(&mut self) {
        self.agent = None;
    }

    /// Starts an Agent that knows nothing.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn restart_agent(&mut self) -> Result<()> {
        self.agent = None;
        self.agent = Some(Agent::start(&self.folder("akri")).await?);
        Ok(())
    }

    /// Takes the devices away, and says when.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn offline(&self) -> Result<Instant> {
        self.availability("OFFLINE\n")
    }

    /// Brings the devices back, and says when.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn online(&self) -> Result<Instant> {
        self.availability("ONLINE\n")
    }

    fn availability(&self, text: &str) -> Result<Instant> {
        fs::write(self.folder("device/debug-echo-availability.txt"), text)?;
        Ok(Instant::now())
    }

    /// The requests in the shared folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn requests(&self) -> Result<usize> {
        Ok(fs::read_dir(self.folder("exchange/requests"))?.count())
    }

    /// The processes of one container.
    ///
    /// # Errors
    /// When there is no such container.
    pub async fn processes(&self, name: &str) -> Result<Vec<Process>> {
        let id = self.pod.status(name).await?.id;
        let processes = self.pod.processes()?.into_iter();
        Ok(processes
            .filter(|process| process.cgroups.contains(&id))
            .collect())
    }

    /// What one container takes.
    ///
    /// # Errors
    /// When there is no such container.
    pub async fn memory(&self, name: &str) -> Result<Memory> {
        memory(
            self.processes(name)
                .await?
                .iter()
                .map(|process| process.pid),
        )
    }

    /// Kills all processes of containers with signal 9, all before any of them is noticed to have ended.
    ///
    /// # Errors
    /// When a container has no process.
    pub async fn kill(&self, names: &[&str]) -> Result<()> {
        let mut doomed = Vec::new();
        for name in names {
            let processes = self.processes(name).await?;
            if processes.is_empty() {
                bail!("container {name} has no process");
            }
            doomed.extend(processes);
        }
        for process in doomed {
            kill(process.pid, Signal::SIGKILL)?;
        }
        for name in names {
            self.pod.ended(name).await?;
        }
        Ok(())
    }

    /// Starts a container that has ended anew, as a kubelet does.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_anew(&mut self, name: &str) -> Result<()> {
        self.pod.remove_container(name).await?;
        self.create(name).await
    }

    /// Asks a container to end, and gives the code that it ended with.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&self, name: &str) -> Result<i32> {
        self.pod.stop(name, Duration::from_secs(10)).await?;
        Ok(self.pod.ended(name).await?.code)
    }

    /// What both containers wrote.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn logs(&self) -> Result<String> {
        let mut text = String::new();
        for name in [HANDLER, PROXY] {
            let (out, err) = self.pod.logs(name)?;
            text = format!("{text}--- {name}\n{out}{err}");
        }
        Ok(text)
    }

    /// Removes the pod.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove(self) -> Result<()> {
        self.pod.remove().await
    }
}
