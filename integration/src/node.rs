//! A Kubernetes node's lower half, private to one test process: containerd, CNI, CRI and the runtimes.

pub mod process;

mod config;
mod driver;
mod init;
mod keeper;
mod layout;
mod network;
mod services;
mod sweep;

pub use config::PAUSE_IMAGE;
pub use driver::Driver;
pub use layout::Layout;
pub use network::Answer;
pub use services::SHIM_DIR;
pub use sweep::sweep;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use containerd_client::services::v1::ListNamespacesRequest;
use nix::unistd::Pid;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;

use crate::containerd::Containerd;
use crate::executor::executor;
use crate::image::Image;
use crate::patience::{self, patient};
use crate::{logs, native, processes};

/// The environment variable with the path of the program `coracle-node`, where it does not stand beside the
/// running program or one folder above.
pub const NODE_PROGRAM: &str = "CORACLE_NODE";

/// How long containerd may take until it answers.
const READY_BY: Duration = Duration::from_secs(30);

/// How long one attempt to connect may take.
const CONNECT_BY: Duration = Duration::from_secs(2);

/// A running node. Dropping it, or the end of the process that has it, takes the node down.
#[derive(Debug)]
pub struct Node {
    layout: Layout,
    keeper: Mutex<Child>,
    lifeline: Mutex<Option<ChildStdin>>,
    first_process: Pid,
    tasks: Containerd,
    pods: Containerd,
}

impl Node {
    /// The node that all tests of this program share. It starts at the first call and ends with the process.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Node> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Starts a node of its own for the caller.
    ///
    /// # Errors
    /// When the program `coracle-node` or containerd is missing, or containerd does not answer in time; the
    /// error shows the end of its log.
    pub async fn start() -> Result<Self> {
        Self::start_with(Driver::default()).await
    }

    /// Starts a node of its own for the caller, whose cgroups `driver` makes.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub async fn start_with(driver: Driver) -> Result<Self> {
        patience::check()?;
        let layout = Layout::unique(driver);
        executor()?.spawn(Self::started(layout)).await?
    }

    async fn started(layout: Layout) -> Result<Self> {
        let mut keeper = Command::new(program()?)
            .arg(process::KEEPER)
            .arg(layout.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // ^C reaches the owner alone; the keeper outlives it long enough to sweep.
            .process_group(0)
            .spawn()
            .context("start coracle-node")?;
        let lifeline = keeper.stdin.take();
        let told = keeper.stdout.take().context("no pipe from coracle-node")?;
        let mut line = String::new();
        BufReader::new(told).read_line(&mut line)?;
        let first_process =
            line.trim().parse().map(Pid::from_raw).with_context(|| {
                format!("coracle-node said {line:?} where a process id should be")
            })?;
        let ready = connect(&layout).await;
        let (channel, snapshotter) = match ready {
            Ok(ready) => ready,
            Err(error) => {
                let said = format!(
                    "its first process said:\n{}\ncontainerd said:\n{}",
                    logs::tail(&layout.keeper_log()),
                    logs::tail(&layout.log())
                );
                drop(lifeline);
                keeper.wait()?;
                return Err(error.context(said));
            }
        };
        let node = Self {
            layout,
            keeper: Mutex::new(keeper),
            lifeline: Mutex::new(lifeline),
            first_process,
            tasks: Containerd::new(channel.clone(), "coracle-test", snapshotter.clone()),
            pods: Containerd::new(channel, "k8s.io", snapshotter),
        };
        node.tasks.create_namespace().await?;
        node.pods.create_namespace().await?;
        node.pods.push(&native::pause()?).await?;
        Ok(node)
    }

    /// Stores `image` for containers and for pods.
    ///
    /// # Errors
    /// When containerd refuses a part of it.
    pub async fn push(&self, image: &Image) -> Result<()> {
        self.tasks.push(image).await?;
        self.pods.push(image).await
    }

    /// containerd in the namespace of the containers that the task API makes.
    #[must_use]
    pub fn tasks(&self) -> &Containerd {
        &self.tasks
    }

    /// containerd in the namespace of the containers that CRI makes.
    #[must_use]
    pub fn pods(&self) -> &Containerd {
        &self.pods
    }

    /// Where the node keeps what it has.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The first process of the node's PID namespace.
    #[must_use]
    pub fn first_process(&self) -> Pid {
        self.first_process
    }

    /// The process that watches over the node from outside.
    #[must_use]
    pub fn keeper(&self) -> u32 {
        self.keeper
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .id()
    }

    /// Whether the node is there: nobody has killed one of its processes that it cannot be without.
    #[must_use]
    pub fn lives(&self) -> bool {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(keeper.try_wait(), Ok(None))
    }

    /// The process id of containerd.
    ///
    /// # Errors
    /// When containerd is not running.
    pub fn containerd_pid(&self) -> Result<Pid> {
        processes::in_namespace_of(self.first_process)?
            .into_iter()
            .find(|process| process.name == "containerd")
            .map(|process| process.pid)
            .context("containerd is not running")
    }

    /// Ends containerd if it runs, starts it again, and waits until it answers. Pods live on.
    ///
    /// # Errors
    /// When containerd does not answer in time.
    pub async fn restart_containerd(&self) -> Result<()> {
        let before = self.containerd_pid().ok();
        self.ask(services::START, "containerd")?;
        let deadline = Instant::now() + patient(READY_BY);
        loop {
            let now = self.containerd_pid().ok();
            if now.is_some() && now != before && self.answers().await {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "containerd is not back:\n{}",
                    logs::tail(&self.layout.log())
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs another program in the node's namespaces; its output is in [`Layout::service_log`]. One of the
    /// same name is asked to end before. The program's own name stands first in `command`.
    ///
    /// # Errors
    /// When the node is gone. A program that cannot be started takes the node down, and says so in
    /// [`Layout::keeper_log`].
    pub fn start_service(&self, service: &str, command: &[String]) -> Result<()> {
        services::describe(&self.layout, service, command)?;
        self.ask(services::START, service)
    }

    /// Ends a program of [`Node::start_service`] and starts it anew.
    ///
    /// # Errors
    /// When the node is gone.
    pub fn restart_service(&self, service: &str) -> Result<()> {
        self.ask(services::START, service)
    }

    /// Asks a program of [`Node::start_service`] to end.
    ///
    /// # Errors
    /// When the node is gone.
    pub fn stop_service(&self, service: &str) -> Result<()> {
        self.ask(services::STOP, service)
    }

    fn ask(&self, request: &str, service: &str) -> Result<()> {
        let mut lifeline = self.lifeline.lock().unwrap_or_else(PoisonError::into_inner);
        let lifeline = lifeline.as_mut().context("the lifeline is cut")?;
        writeln!(lifeline, "{request} {service}").context("no node at the lifeline's other end")
    }

    async fn answers(&self) -> bool {
        let mut namespaces = self.tasks.client().namespaces();
        let asked = namespaces.list(ListNamespacesRequest::default());
        matches!(timeout(patient(CONNECT_BY), asked).await, Ok(Ok(_)))
    }

    /// Runs `work` in the node's network namespace, where the pods' addresses can be reached.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn enter_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        network::inside(self.first_process, work)
    }

    /// One HTTP GET from the node to `address`.
    ///
    /// # Errors
    /// When there is no answer, or it is not HTTP.
    pub fn http_get(&self, address: SocketAddr, path: &str) -> Result<Answer> {
        self.enter_network(|| network::request(address, path, None))?
    }

    /// One HTTP POST of `body` from the node to `address`.
    ///
    /// # Errors
    /// When there is no answer, or it is not HTTP.
    pub fn http_post(&self, address: SocketAddr, path: &str, body: &str) -> Result<Answer> {
        self.enter_network(|| network::request(address, path, Some(body)))?
    }

    /// Waits until somebody listens on `address`.
    ///
    /// # Errors
    /// When nobody does in time.
    pub async fn listens(&self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + patient(READY_BY);
        while let Err(error) =
            self.enter_network(|| TcpStream::connect_timeout(&address, CONNECT_BY))?
        {
            if Instant::now() > deadline {
                return Err(error).with_context(|| format!("nobody listens on {address}"));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        logs::keep_if_panicking(&self.layout);
        drop(
            self.lifeline
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = keeper.wait() {
            log::warn!("no end of the node's keeper: {error}");
        }
    }
}

/// Waits until containerd answers, and says which snapshotter it uses.
async fn connect(layout: &Layout) -> Result<(Channel, String)> {
    let deadline = Instant::now() + patient(READY_BY);
    loop {
        let last = match timeout(patient(CONNECT_BY), attempt(layout)).await {
            Ok(Ok(ready)) => return Ok(ready),
            Ok(Err(error)) => error,
            Err(elapsed) => elapsed.into(),
        };
        // The folder goes when the node's first process could not start.
        let gone = File::open(layout.lock()).is_err();
        if gone || Instant::now() > deadline {
            return Err(last.context("containerd does not answer"));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn attempt(layout: &Layout) -> Result<(Channel, String)> {
    let channel = containerd_client::connect(layout.socket()).await?;
    containerd_client::Client::from(channel.clone())
        .namespaces()
        .list(ListNamespacesRequest::default())
        .await?;
    Ok((channel, fs::read_to_string(layout.snapshotter())?))
}

/// The program `coracle-node`: named by the environment, or beside the running program, or, for a test or
/// an example, one folder above.
fn program() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(NODE_PROGRAM) {
        return Ok(named.into());
    }
    let this = std::env::current_exe()?;
    if process::is_node_program() {
        return Ok(this);
    }
    this.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("coracle-node"))
        .find(|program| program.is_file())
        .with_context(|| {
            format!(
                "no program coracle-node near {}: run `cargo build -p coracle-integration`, or set {NODE_PROGRAM}",
                this.display()
            )
        })
}
