//! A whole Kubernetes of one node, private to one test process: a [`Node`] and, in its namespaces, etcd, the
//! API server, the controllers, the scheduler, the proxy, a kubelet and the cluster's DNS.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use coracle_integration::Cluster;
//! use coracle_integration::cluster::condition;
//! use serde_json::json;
//!
//! let cluster = Cluster::shared().await?;
//! let space = cluster.space("example").await?;
//! space.create(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" } })).await?;
//! space.until("Pod", "a", condition::phase("Succeeded")).await?;
//! # Ok(())
//! # }
//! ```

pub mod condition;
pub mod hand;
pub mod programs;

mod credentials;
mod expected;
mod forward;
mod resource;
mod servers;
mod space;

pub use expected::{RESULTS, expected_to_fail};
pub use space::Space;

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::cgroup;
use crate::executor::executor;
use crate::logs;
use crate::node::Node;
use crate::patience::patient;
use crate::task::require_shim;
use credentials::Credentials;
use programs::Programs;
use servers::{API, Server, Servers};

/// The name of the one node.
pub const NODE_NAME: &str = "node0";

/// The node's address, on one end of a cable whose other end nobody has.
pub const NODE_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));

/// The address of the Service `kube-dns`.
pub const DNS_ADDRESS: &str = "10.96.0.10";

/// How long each of the cluster's programs may take until it answers, on a busy machine.
const READY_BY: Duration = Duration::from_secs(120);

/// How often a condition is looked at.
const PERIOD: Duration = Duration::from_millis(50);

/// A running cluster. Dropping it, or the end of the process that has it, takes it down.
#[derive(Debug)]
pub struct Cluster {
    node: Node,
    programs: Programs,
    kubeconfig: PathBuf,
}

impl Cluster {
    /// The cluster that all tests of this program share. It starts at the first call and ends with the
    /// process.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Starts a cluster of its own for the caller, and builds Kubernetes before where that has not been done.
    ///
    /// # Errors
    /// When Kubernetes cannot be built, or one of its programs does not answer in time; the error shows the
    /// end of its log.
    pub async fn start() -> Result<Self> {
        let programs = tokio::task::spawn_blocking(Programs::ready).await??;
        executor()?.spawn(Self::started(programs)).await?
    }

    async fn started(programs: Programs) -> Result<Self> {
        require_shim()?;
        let begin = Instant::now();
        let node = Node::start().await?;
        node.enter_network(cable)??;
        let credentials = Credentials::make(node.layout().folder().join("credentials"))?;
        let network = node.enter_network(|| File::open("/proc/thread-self/ns/net"))??;
        let outside = forward::forward(network.into(), API)?;
        let kubeconfig = credentials.kubeconfig("outside.conf", "admin", outside)?;
        let cluster = Self {
            node,
            programs,
            kubeconfig,
        };
        let servers = Servers {
            layout: cluster.node.layout(),
            programs: &cluster.programs,
            credentials: &credentials,
        };
        cluster.run(servers.first())?;
        cluster.api_answers(&credentials).await?;
        log::info!("the API server answers after {:?}", begin.elapsed());
        cgroup::create(&cluster.node.layout().cgroup_parent())?;
        cluster.run(servers.second()?)?;
        cluster.furnish().await?;
        cluster.is_whole().await?;
        log::info!("the cluster is ready after {:?}", begin.elapsed());
        Ok(cluster)
    }

    /// The node below Kubernetes.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The file by which clients outside of the cluster's network find it.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// `kubectl`, told which cluster.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let mut kubectl = Command::new(self.programs.kubernetes("kubectl"));
        kubectl.env("KUBECONFIG", &self.kubeconfig);
        kubectl
    }

    /// A client with all rights, for the runtime of the caller.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        let file = Kubeconfig::read_from(&self.kubeconfig)?;
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(file, &options).await?;
        // A watch or a log may be silent for long.
        config.read_timeout = None;
        Ok(Client::try_from(config)?)
    }

    /// A new namespace whose name begins with `name`, for one test. It is deleted when the value is dropped.
    ///
    /// # Errors
    /// When the API server refuses it, or it has no service account in time.
    pub async fn space(&self, name: &str) -> Result<Space<'_>> {
        Space::make(self, name).await
    }

    /// The cluster's own things: whatever has no namespace.
    ///
    /// # Errors
    /// When there is no client.
    pub async fn all(&self) -> Result<Space<'_>> {
        Space::existing(self, "default").await
    }

    /// Ends the program `name` and starts it anew, without waiting for it to be ready.
    ///
    /// # Errors
    /// When the node is gone, or has no such program.
    pub fn restart(&self, name: &str) -> Result<()> {
        self.node.restart_service(name)
    }

    fn run(&self, servers: Vec<Server>) -> Result<()> {
        for (name, command) in servers {
            self.node.start_service(name, &command)?;
        }
        Ok(())
    }

    async fn api_answers(&self, credentials: &Credentials) -> Result<()> {
        let deadline = Instant::now() + patient(READY_BY);
        loop {
            let answer = match fs::exists(credentials.authority())? {
                true => self.is_api_ready().await,
                false => Err(anyhow::anyhow!("it has no certificate yet")),
            };
            match answer {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).with_context(|| self.said("kube-apiserver"));
                }
                Err(_) => sleep(PERIOD).await,
            }
        }
    }

    async fn is_api_ready(&self) -> Result<()> {
        let request = http_get("/readyz")?;
        let answer = self.client().await?.request_text(request).await?;
        ensure!(answer == "ok", "it says {answer:?}");
        Ok(())
    }

    /// What an installer adds to a bare cluster: the runtime class, and a Service for the DNS server.
    async fn furnish(&self) -> Result<()> {
        let all = self.all().await?;
        all.create(json!({
            "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
            "metadata": { "name": "coracle" }, "handler": "coracle",
        }))
        .await?;
        let system = Space::existing(self, "kube-system").await?;
        let ports = json!([
            { "name": "dns", "port": 53, "protocol": "UDP" },
            { "name": "dns-tcp", "port": 53, "protocol": "TCP" },
        ]);
        system
            .create(json!({
                "apiVersion": "v1", "kind": "Service", "metadata": { "name": "kube-dns" },
                "spec": { "clusterIP": DNS_ADDRESS, "ports": ports },
            }))
            .await?;
        system
            .create(json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "name": "kube-dns", "labels": { "kubernetes.io/service-name": "kube-dns" },
                },
                "addressType": "IPv4",
                "endpoints": [{ "addresses": [NODE_ADDRESS] }],
                "ports": ports,
            }))
            .await?;
        Ok(())
    }

    /// Waits for the node, the proxy, the DNS server and the controllers.
    async fn is_whole(&self) -> Result<()> {
        let all = self.all().await?;
        all.until("Node", NODE_NAME, condition::ready())
            .await
            .with_context(|| self.said("kubelet"))?;
        all.until("ServiceAccount", "default", condition::exists())
            .await
            .with_context(|| self.said("kube-controller-manager"))?;
        self.node
            .listens(SocketAddr::new(NODE_ADDRESS, 53))
            .await
            .with_context(|| self.said("coredns"))?;
        let health = SocketAddr::new(NODE_ADDRESS, 10256);
        let deadline = Instant::now() + patient(READY_BY);
        loop {
            match self.node.http_get(health, "/healthz") {
                Ok(answer) if answer.status == 200 => return Ok(()),
                answer if Instant::now() > deadline => {
                    bail!("not healthy: {answer:?}; {}", self.said("kube-proxy"))
                }
                _ => sleep(PERIOD).await,
            }
        }
    }

    fn said(&self, server: &str) -> String {
        let log = logs::tail(&self.node.layout().service_log(server));
        format!("{server} is not ready; it said:\n{log}")
    }
}

/// Gives the caller's network namespace an address that is not the loopback's, and a default route: without
/// either, the kubelet and the CNI plugins find no address. There is no `dummy` device everywhere.
fn cable() -> Result<()> {
    let address = format!("{NODE_ADDRESS}/24");
    let commands: [&[&str]; 5] = [
        &[
            "link",
            "add",
            "node0",
            "type",
            "veth",
            "peer",
            "name",
            "node0-end",
        ],
        &["address", "add", &address, "dev", "node0"],
        &["link", "set", "node0", "up"],
        &["link", "set", "node0-end", "up"],
        &[
            "route",
            "add",
            "default",
            "via",
            "10.99.0.254",
            "dev",
            "node0",
        ],
    ];
    for words in commands {
        let status = Command::new("ip")
            .args(words)
            .status()
            .context("start `ip`")?;
        ensure!(
            status.success(),
            "`ip {}` ended with {status}",
            words.join(" ")
        );
    }
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("let the node forward")
}

fn http_get(path: &str) -> Result<http::Request<Vec<u8>>> {
    Ok(http::Request::get(path).body(Vec::new())?)
}
