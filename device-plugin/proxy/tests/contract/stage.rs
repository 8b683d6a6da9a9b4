//! All parts around one exchange folder.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use coracle_akri_agent::{Agent, Configuration};
use coracle_akri_handlers::debug_echo::DebugEcho;
use coracle_akri_handlers::file::Inventory;
use coracle_akri_handlers::{Handler, Session};
use coracle_akri_protocol::{Layout, Request};
use coracle_akri_proxy::{Endpoint, Settings, run};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::Result;

/// How long anything may take; the machine may be busy.
pub(crate) const WITHIN: Duration = Duration::from_secs(20);

/// The ids while foo0 is there.
pub(crate) const FOO0: &[&str] = &["foo0"];

/// The ids while nothing is there.
pub(crate) const NONE: &[&str] = &[];

/// A mock Agent, a proxy and a handler.
pub(crate) struct Stage {
    root: TempDir,
    kind: Kind,
    period: Duration,
    settings: Settings,
    agent: Option<Agent>,
    proxy: Option<(tokio::task::JoinHandle<()>, oneshot::Sender<()>)>,
    handler: Option<(JoinHandle<()>, Arc<AtomicBool>)>,
}

#[derive(Clone, Copy)]
enum Kind {
    DebugEcho,
    Inventory,
}

impl Stage {
    pub(crate) async fn new() -> Result<Self> {
        Self::with_period(Duration::from_millis(20)).await
    }

    pub(crate) async fn with_period(period: Duration) -> Result<Self> {
        Self::build(Kind::DebugEcho, period, |_settings| Ok(())).await
    }

    pub(crate) async fn shared(shared: bool) -> Result<Self> {
        Self::build(Kind::DebugEcho, Duration::from_millis(20), |settings| {
            settings.shared = shared;
            Ok(())
        })
        .await
    }

    pub(crate) async fn on_network() -> Result<Self> {
        Self::build(Kind::DebugEcho, Duration::from_millis(20), |settings| {
            let port = free_port()?.port();
            settings.endpoint = Endpoint::Network(Ipv4Addr::LOCALHOST.into(), port);
            Ok(())
        })
        .await
    }

    pub(crate) async fn with_inventory(content: &str) -> Result<Self> {
        let content = content.to_owned();
        let period = Duration::from_millis(20);
        Self::build(Kind::Inventory, period, move |settings| {
            let root = settings.exchange.parent().unwrap_or(Path::new("/"));
            fs::create_dir(root.join("inventory"))?;
            fs::write(root.join("inventory/list.yaml"), content)
        })
        .await
    }

    async fn build(
        kind: Kind,
        period: Duration,
        change: impl FnOnce(&mut Settings) -> io::Result<()>,
    ) -> Result<Self> {
        let root = tempfile::tempdir()?;
        let (exchange, directory) = (root.path().join("exchange"), root.path().join("akri"));
        fs::create_dir(&exchange)?;
        fs::create_dir(&directory)?;
        let mut settings = Settings {
            name: "debugEcho".to_owned(),
            shared: true,
            exchange,
            endpoint: Endpoint::Socket(directory.join("debugEcho.sock")),
            directory,
            register_every: Duration::from_millis(200),
            answer_within: Duration::from_secs(5),
            silence: Duration::from_secs(3),
            linger: Duration::from_millis(100),
            status: Some(free_port()?),
        };
        change(&mut settings)?;
        let mut stage = Self {
            root,
            kind,
            period,
            settings,
            agent: None,
            proxy: None,
            handler: None,
        };
        stage.restart_handler();
        stage.restart_agent().await?;
        stage.restart_proxy().await?;
        Ok(stage)
    }

    pub(crate) fn agent(&self) -> &Agent {
        self.agent.as_ref().expect("the Agent runs")
    }

    pub(crate) fn apply(&self, details: &str) -> Configuration {
        self.agent().apply("debugEcho", details, Default::default())
    }

    pub(crate) fn foo0(&self) -> Configuration {
        self.apply("descriptions: [\"foo0\"]")
    }

    pub(crate) fn exchange(&self) -> PathBuf {
        self.settings.exchange.clone()
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.settings.directory.clone()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory().join("debugEcho.sock")
    }

    pub(crate) fn availability(&self) -> PathBuf {
        self.root.path().join("availability.txt")
    }

    pub(crate) fn inventory(&self) -> PathBuf {
        self.root.path().join("inventory/list.yaml")
    }

    /// Takes the devices away, and says when.
    pub(crate) fn offline(&self) -> Result<Instant> {
        fs::write(self.availability(), "OFFLINE\n")?;
        Ok(Instant::now())
    }

    pub(crate) fn online(&self) -> Result<Instant> {
        fs::write(self.availability(), "ONLINE\n")?;
        Ok(Instant::now())
    }

    /// The names of the requests; none where nothing was asked yet.
    pub(crate) fn ids(&self) -> Result<Vec<String>> {
        let folder = Layout::new(&self.exchange()).requests();
        let names = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed?,
        };
        let names = names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    pub(crate) fn requests(&self) -> Result<Vec<Request>> {
        let layout = Layout::new(&self.exchange());
        let texts = self.ids()?.into_iter();
        let texts = texts.filter_map(|id| fs::read(layout.request(&id)).ok());
        texts
            .map(|text| Ok(serde_json::from_slice(&text)?))
            .collect()
    }

    pub(crate) fn put_answer(&self, text: &str) -> Result {
        let layout = Layout::new(&self.exchange());
        let id = self.ids()?.remove(0);
        let foreign = self.root.path().join("foreign");
        fs::write(&foreign, text)?;
        Ok(fs::rename(foreign, layout.answer(&id))?)
    }

    pub(crate) async fn until(
        &self,
        what: &str,
        reached: impl Fn(&Self) -> Result<bool>,
    ) -> Result {
        let deadline = Instant::now() + WITHIN;
        while !reached(self)? {
            if Instant::now() > deadline {
                return Err(format!("not reached: {what}").into());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    pub(crate) fn stop_agent(&mut self) -> Result {
        self.agent = None;
        Ok(fs::remove_file(self.settings.agent())?)
    }

    pub(crate) async fn restart_agent(&mut self) -> Result {
        self.agent = None;
        self.agent = Some(Agent::start(&self.settings.directory).await?);
        Ok(())
    }

    pub(crate) async fn restart_proxy(&mut self) -> Result {
        self.kill_proxy().await?;
        let (sender, receiver) = oneshot::channel();
        let settings = self.settings.clone();
        let proxy = tokio::spawn(async move {
            let ended = run(settings, async move { drop(receiver.await) }).await;
            ended.expect("the proxy ends well");
        });
        self.proxy = Some((proxy, sender));
        Ok(())
    }

    /// As a kill: nothing is tidied up that the kernel does not tidy up, so the socket's file stays.
    pub(crate) async fn kill_proxy(&mut self) -> Result {
        let Some((proxy, _end)) = self.proxy.take() else {
            return Ok(());
        };
        let (socket, kept) = (self.socket(), self.socket().with_extension("kept"));
        let is_kept = fs::hard_link(&socket, &kept).is_ok();
        proxy.abort();
        assert!(proxy.await.is_err(), "the proxy had ended by itself");
        if is_kept {
            fs::rename(kept, socket)?;
        }
        Ok(())
    }

    pub(crate) async fn end_proxy(&mut self) -> Result {
        let (proxy, end) = self.proxy.take().ok_or("no proxy")?;
        drop(end);
        Ok(proxy.await?)
    }

    pub(crate) fn stop_handler(&mut self) {
        if let Some((thread, stop)) = self.handler.take() {
            stop.store(true, Ordering::Relaxed);
            thread.join().expect("the handler does not panic");
        }
    }

    pub(crate) fn restart_handler(&mut self) {
        self.stop_handler();
        let stop = Arc::new(AtomicBool::new(false));
        let (exchange, period) = (self.exchange(), self.period);
        let thread = match self.kind {
            Kind::DebugEcho => {
                let handler = DebugEcho::new(&self.availability());
                spawn(handler, exchange, period, stop.clone())
            }
            Kind::Inventory => {
                let handler = Inventory::new(&self.root.path().join("inventory"));
                spawn(handler, exchange, period, stop.clone())
            }
        };
        self.handler = Some((thread, stop));
    }

    /// The whole answer to one HTTP GET.
    pub(crate) async fn get(&self, path: &str) -> Result<String> {
        let address = self.settings.status.ok_or("no status address")?;
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some((proxy, _end)) = &self.proxy {
            proxy.abort();
        }
        if let Some((_, stop)) = &self.handler {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

fn spawn<H: Handler + Send + 'static>(
    handler: H,
    exchange: PathBuf,
    period: Duration,
    stop: Arc<AtomicBool>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let start = format!("{:?}", std::time::SystemTime::now());
        let session = Session::open(handler, Layout::new(&exchange), &start);
        let mut session = session.expect("the exchange folder is there");
        while !stop.load(Ordering::Relaxed) {
            session.round();
            thread::sleep(period);
        }
    })
}

/// An address that nobody listens on at the moment.
fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
