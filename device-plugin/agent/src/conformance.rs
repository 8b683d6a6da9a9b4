//! What a discovery handler must do, asked of one that runs.

mod checks;
mod registration;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use coracle_akri_api::Device;
use thiserror::Error;
use tonic::Status;

use crate::agent::AgentError;
use crate::connection::{ConnectError, Handler, Open};

pub use table::{Check, Outcome, Report};

/// What the handler is asked with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the handler is: a socket's path or a URL. Without it, the handler must register.
    pub endpoint: Option<String>,
    /// The folder that the handler looks for the Agent in. No Agent may run there.
    pub directory: Option<PathBuf>,
    /// Details that the handler understands.
    pub details: String,
    /// Other details that it understands, for a second Configuration.
    pub other_details: Option<String>,
    /// Details that it must refuse.
    pub invalid_details: Option<String>,
    /// Discovery properties.
    pub properties: BTreeMap<String, Option<Vec<u8>>>,
    /// How long an answer may take.
    pub within: Duration,
    /// How long nothing may be sent while no device changes.
    pub quiet: Duration,
}

/// A check failed; the message says what was expected and what came.
#[derive(Debug, Error)]
pub enum Failure {
    /// The handler cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The mock Agent cannot run.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The handler refused, or ended a stream.
    #[error("the handler answered {code:?}: {message}", code = .0.code(), message = .0.message())]
    Status(#[source] Box<Status>),
    /// Nothing came in time.
    #[error("{what} did not come within {within:?}")]
    Late {
        /// What was waited for.
        what: &'static str,
        /// How long.
        within: Duration,
    },
    /// Something came, and should have been something else.
    #[error("{0}")]
    Wrong(String),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

/// Asks everything that can be asked with these settings. `say` is told of each check when it is done.
pub async fn run(settings: &Settings, mut say: impl FnMut(&Check)) -> Report {
    let mut report = Report::default();
    let mut settings = settings.clone();
    if settings.directory.is_some() {
        let found = registration::checks(&settings, &mut report, &mut say).await;
        settings.endpoint = settings.endpoint.or(found);
    }
    match settings.endpoint.clone() {
        Some(endpoint) => checks::all(&settings, &endpoint, &mut report, &mut say).await,
        None => report.skip("Discover is served", "no endpoint is known", &mut say),
    }
    report
}

/// A stream and the list that it began with.
struct Begun {
    open: Open,
    devices: Vec<Device>,
}

impl Settings {
    async fn begin(&self, handler: &Handler, details: &str) -> Result<Begun, Failure> {
        let late = |what| Failure::Late {
            what,
            within: self.within,
        };
        let opening = handler.discover(details, &self.properties);
        let opened = tokio::time::timeout(self.within, opening).await;
        let mut open = opened.map_err(|_elapsed| late("a stream"))??;
        let first = open.next_within(self.within).await?;
        let devices = first.ok_or_else(|| late("a first list"))?;
        Ok(Begun { open, devices })
    }
}
