//! `conformance`: whether a discovery handler keeps Akri's contract.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use coracle_akri_agent::conformance::{Settings, run};
use coracle_akri_agent::{Handler, instance_hash};

/// Asks a running Akri discovery handler for everything that the Agent relies on
///
/// Plays the Agent: opens Discover streams, and, with --directory, serves the registration socket and
/// restarts. Prints a line for each check, and ends with 1 when one failed. The devices must not change
/// meanwhile.
///
/// Examples:
///
///   conformance --endpoint /var/lib/akri/debugEcho.sock --details 'descriptions: [foo0]'
///   conformance --directory /tmp/akri --details 'descriptions: [foo0]' \
///       --other-details 'descriptions: [foo1]' --invalid-details 'descriptions: 1'
#[derive(Parser)]
#[command(
    version,
    name = "conformance",
    max_term_width = 100,
    verbatim_doc_comment
)]
struct Options {
    /// Where the handler is: a socket's path, or a URL such as http://10.0.0.1:10000
    #[arg(long, required_unless_present = "directory")]
    endpoint: Option<String>,
    /// Folder where the handler looks for the Agent; serves agent-registration.sock there. A real Agent's own
    /// folder must not be given: its socket would be replaced
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Discovery details that the handler understands
    #[arg(long)]
    details: String,
    /// Other details that it understands
    #[arg(long)]
    other_details: Option<String>,
    /// Details that it must refuse
    #[arg(long)]
    invalid_details: Option<String>,
    /// A discovery property, NAME=VALUE; can be given several times
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
    /// Seconds that an answer may take
    #[arg(long, default_value_t = 15)]
    within: u64,
    /// Seconds for which nothing may be sent while nothing changes
    #[arg(long, default_value_t = 3)]
    quiet: u64,
}

fn property(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("no `=` in it")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

impl From<Options> for Settings {
    fn from(options: Options) -> Self {
        let properties: BTreeMap<_, _> = options
            .properties
            .into_iter()
            .map(|(name, value)| (name, Some(value.into_bytes())))
            .collect();
        Self {
            endpoint: options.endpoint,
            directory: options.directory,
            details: options.details,
            other_details: options.other_details,
            invalid_details: options.invalid_details,
            properties,
            within: Duration::from_secs(options.within),
            quiet: Duration::from_secs(options.quiet),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let settings = Settings::from(Options::parse());
    let mut out = io::stdout();
    let mut written = Ok(());
    let report = run(&settings, |check| {
        if written.is_ok() {
            written = writeln!(out, "{check}");
        }
    })
    .await;
    written?;
    writeln!(out, "{report}")?;
    if let Some(endpoint) = &settings.endpoint {
        instances(endpoint, &settings).await?;
    }
    Ok(if report.is_passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Shows which Instances the Agent would make, which nothing but the eye can check.
async fn instances(endpoint: &str, settings: &Settings) -> anyhow::Result<()> {
    let Ok(handler) = Handler::connect(endpoint).await else {
        return Ok(());
    };
    let Ok(mut open) = handler
        .discover(&settings.details, &settings.properties)
        .await
    else {
        return Ok(());
    };
    let devices = open.next_within(settings.within).await.ok().flatten();
    for device in devices.unwrap_or_default() {
        let hash = instance_hash(&device.id, None);
        writeln!(
            io::stdout(),
            "shared device {:?}: <configuration>-{hash}",
            device.id
        )?;
    }
    Ok(())
}
