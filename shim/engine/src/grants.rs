//! What a guest is given. What is not named here, it does not have.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use wasmtime_wasi::p2::OutputStream;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::RunError;

/// Everything that a guest can reach.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Arguments, the program's name first.
    pub args: Vec<String>,
    /// Environment, in the order given.
    pub env: Vec<(String, String)>,
    /// Working directory, as the guest names it.
    pub cwd: Option<String>,
    /// Directories.
    pub preopens: Vec<Preopen>,
    /// Sockets and name look-ups, in the network namespace of this process.
    pub network: bool,
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
}

/// A directory that the guest may use.
#[derive(Clone, Debug)]
pub struct Preopen {
    /// Where it is on this side.
    pub host: PathBuf,
    /// Its name in the guest.
    pub guest: String,
    /// Whether writes are refused already here; the kernel may still refuse more.
    pub read_only: bool,
}

/// Where a guest's output goes.
#[derive(Clone, Debug, Default)]
pub enum Output {
    /// To this process's own descriptor.
    #[default]
    Inherit,
    /// Into memory, for tests and callers that look at it.
    Capture(MemoryOutputPipe),
}

impl Grants {
    /// The WASI context of one store, with standard input from this process.
    pub(crate) fn context(&self) -> Result<WasiCtxBuilder, RunError> {
        let mut builder = WasiCtxBuilder::new();
        builder.args(&self.args).envs(&self.env).inherit_stdin();
        match &self.stdout {
            Output::Inherit => builder.inherit_stdout(),
            Output::Capture(pipe) => builder.stdout(pipe.clone()),
        };
        match &self.stderr {
            Output::Inherit => builder.inherit_stderr(),
            Output::Capture(pipe) => builder.stderr(pipe.clone()),
        };
        if let Some(cwd) = &self.cwd {
            builder.initial_cwd(cwd);
        }
        if self.network {
            builder.inherit_network().allow_ip_name_lookup(true);
        }
        for preopen in &self.preopens {
            let perms = if preopen.read_only {
                FsPerms::ReadOnly
            } else {
                FsPerms::ReadWrite
            };
            builder
                .preopened_dir(&preopen.host, &preopen.guest, perms)
                .map_err(|source| RunError::Preopen {
                    path: preopen.host.clone(),
                    source: source.into(),
                })?;
        }
        Ok(builder)
    }
}

/// Asks a serving guest to finish what it has in hand and end. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// Not asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }

    /// Asks.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Returns once it has been asked.
    pub(crate) async fn requested(&self) {
        let mut asked = self.0.subscribe();
        // The sender lives in `self`, so waiting cannot end by its loss.
        let waited = asked.wait_for(|asked| *asked).await;
        debug_assert!(waited.is_ok());
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Output {
    /// Writes a line of the host's own, so that it stands in the guest's log.
    pub(crate) fn report(&self, line: &str) {
        let line = format!("{REPORT_PREFIX}{line}\n");
        let written = match self {
            Self::Inherit => std::io::stderr().write_all(line.as_bytes()),
            Self::Capture(pipe) => {
                let mut pipe = pipe.clone();
                OutputStream::write(&mut pipe, line.into()).map_err(std::io::Error::other)
            }
        };
        if let Err(error) = written {
            log::warn!(error:% = error; "a line for the guest's log is lost");
        }
    }
}

/// What tells the host's lines from the guest's own in one log.
const REPORT_PREFIX: &str = "coracle: ";
