//! `coracle-akri-proxy`: what the Akri Agent sees of a discovery handler in wasm.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use coracle_akri_proxy::{Endpoint, Settings, run};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

/// Stands between an Akri discovery handler in wasm and the Akri Agent
///
/// The handler and this proxy are two containers of one pod that share a folder. The handler knows the
/// devices and only reads and writes files; the proxy registers with the Agent, answers `Discover`, and
/// passes on what the handler writes. It serves any handler that speaks the file protocol, and knows none.
///
/// Example, for the handler debugEcho:
///
///   coracle-akri-proxy --name debugEcho --exchange /exchange --shared
///
/// Every option can be given as the environment variable in brackets.
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
struct Options {
    /// Name of the handler: what Configurations give as `spec.discoveryHandler.name`
    #[arg(long, env = "DISCOVERY_HANDLER_NAME")]
    name: String,
    /// Several nodes may see the same device: the Agent makes one Instance of it for all of them
    #[arg(
        long,
        env = "DEVICES_SHARED",
        num_args = 0..=1,
        default_missing_value = "true",
        default_value_t = false,
        action = clap::ArgAction::Set
    )]
    shared: bool,
    /// Folder that is shared with the handler
    #[arg(long, env = "EXCHANGE", default_value = "/exchange")]
    exchange: PathBuf,
    /// Folder with the Agent's socket `agent-registration.sock`; the proxy's own, `<name>.sock`, goes there
    #[arg(
        long,
        env = coracle_akri_api::DIRECTORY_VARIABLE,
        default_value = coracle_akri_api::DEFAULT_DIRECTORY
    )]
    directory: PathBuf,
    /// Serve the Agent over the network, at this address of the pod, instead of over a socket
    #[arg(long, env = "POD_IP")]
    pod_ip: Option<IpAddr>,
    /// Port for the Agent when `--pod-ip` is given
    #[arg(long, env = "PORT", default_value_t = coracle_akri_api::NETWORK_PORT)]
    port: u16,
    /// Seconds to wait before a failed registration is tried again
    #[arg(long, env = "REGISTER_EVERY", default_value = "10", value_parser = seconds)]
    register_every: Duration,
    /// Seconds that the handler may take for its first answer; then the Agent is told to try again
    #[arg(long, env = "ANSWER_WITHIN", default_value = "10", value_parser = seconds)]
    answer_within: Duration,
    /// Seconds without a sign of life after which the handler's devices are given up. Until then the last
    /// list stands, so that a handler which restarts loses none
    #[arg(long, env = "SILENCE", default_value = "30", value_parser = seconds)]
    silence: Duration,
    /// Seconds that a request stays after its last stream, for an Agent that comes back
    #[arg(long, env = "LINGER", default_value = "10", value_parser = seconds)]
    linger: Duration,
    /// Address for /healthz, /readyz and /metrics, such as 0.0.0.0:9808; without it there are none
    #[arg(long, env = "STATUS_ADDRESS")]
    status_address: Option<SocketAddr>,
    /// What is logged: error, warn, info, debug or trace
    #[arg(long, env = "LOG", default_value_t = LevelFilter::INFO)]
    log: LevelFilter,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let refused = || format!("{text:?} is no number of seconds, such as 10 or 0.5");
    let seconds: f64 = text.parse().map_err(|_no_number| refused())?;
    Duration::try_from_secs_f64(seconds).map_err(|_out_of_range| refused())
}

impl From<Options> for Settings {
    fn from(options: Options) -> Self {
        let socket = options.directory.join(format!("{}.sock", options.name));
        Self {
            name: options.name,
            shared: options.shared,
            exchange: options.exchange,
            directory: options.directory,
            endpoint: match options.pod_ip {
                Some(address) => Endpoint::Network(address, options.port),
                None => Endpoint::Socket(socket),
            },
            register_every: options.register_every,
            answer_within: options.answer_within,
            silence: options.silence,
            linger: options.linger,
            status: options.status_address,
        }
    }
}

// One thread: there is nothing to compute, and threads cost memory on every node.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_max_level(options.log)
        .with_target(false)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let end = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    run(options.into(), end).await?;
    Ok(())
}
