//! Installing the runtime on a node, telling how it stands there, and removing it.

mod error;
mod removal;
mod table;
#[cfg(test)]
mod tests;

pub use error::InstallError;
pub use table::Status;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::binary::Seat;
use crate::distribution::Distribution;
use crate::entry::{self, HANDLER};
use crate::host::Host;
use crate::node::NodeRoot;
use crate::payload::Payload;
use crate::plan::{self, Place, Plan};
use crate::record::{self, Configured, Record};
use crate::schema::Schema;
use crate::transaction::{ChangeError, Transaction};
use crate::write;

/// The lock file; `/run` is emptied at every start of the node.
const LOCK: &str = "/run/coracle-node-installer.lock";

/// How often containerd is asked whether it is back.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// What the operator says about the node.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The distribution that the node has to have.
    pub distribution: Option<Distribution>,
    /// containerd's configuration where it is not the distribution's.
    pub config: Option<PathBuf>,
    /// containerd's socket where it is not the distribution's.
    pub socket: Option<PathBuf>,
    /// The folder for the programs.
    pub bin_dir: Option<PathBuf>,
    /// How long containerd may take to come back.
    pub timeout: Duration,
}

/// What an installation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// A program was written.
    pub programs: bool,
    /// containerd's configuration was written.
    pub configuration: bool,
    /// containerd was restarted.
    pub restarted: bool,
}

/// An installer for one node.
#[derive(Debug)]
pub struct Installer<'h, H> {
    node: NodeRoot,
    host: &'h H,
    settings: Settings,
}

impl<'h, H: Host> Installer<'h, H> {
    /// An installer for `node`, whose running programs are `host`.
    #[must_use]
    pub fn new(node: NodeRoot, host: &'h H, settings: Settings) -> Self {
        Self {
            node,
            host,
            settings,
        }
    }

    /// Installs the programs of `payload`, and makes containerd know the shim. What is as it has to be is not
    /// touched; what fails half-way is undone.
    ///
    /// # Errors
    /// When the node is not one that this program knows, its configuration cannot take the entry, or
    /// containerd does not load it. The node is then as it was before.
    pub fn install(&self, payload: &Payload) -> Result<Outcome, InstallError> {
        let _lock = self.lock()?;
        let (distribution, seat, plan) = self.plan()?;
        if !plan.is_done() {
            self.check(distribution, &plan)?;
        }
        if seat.named && plan.schema == Schema::V2 {
            let folder = seat.folder.display();
            tracing::warn!(%folder, "containerd 1.6 finds no shim outside of its PATH; newer ones do");
        }
        let mut changes = Transaction::default();
        let mut outcome = Outcome::default();
        let written = self.write(&seat, payload, &plan, &mut changes, &mut outcome);
        let loaded = written.and_then(|()| self.load(distribution, &mut outcome));
        match loaded {
            Ok(()) => Ok(outcome),
            Err(cause) => Err(self.undo(distribution, changes, outcome, cause)),
        }
    }

    /// The plan for this node.
    fn plan(&self) -> Result<(Distribution, Seat, Plan), InstallError> {
        let distribution = Distribution::of(&self.node, self.settings.distribution)?;
        let seat = Seat::of(&self.node, distribution, self.settings.bin_dir.as_deref())?;
        let config = self.settings.config.as_deref();
        let plan = Plan::of(&self.node, distribution, config, seat.shim().as_deref())?;
        Ok((distribution, seat, plan))
    }

    /// Lets containerd read what is going to stand there, from files beside the real ones.
    fn check(&self, distribution: Distribution, plan: &Plan) -> Result<(), InstallError> {
        let Some(main) = &plan.main else {
            return Ok(());
        };
        let mut staged = Transaction::default();
        let checked = self.check_staged(distribution, plan, main, &mut staged);
        let swept = staged.roll_back();
        checked?;
        swept.map_err(InstallError::Change)
    }

    fn check_staged(
        &self,
        distribution: Distribution,
        plan: &Plan,
        main: &Path,
        staged: &mut Transaction,
    ) -> Result<(), InstallError> {
        let candidate = write::beside(&plan.path, "candidate");
        staged.write(&self.at(&candidate)?, &plan.after, 0o600)?;
        let mut asked = candidate.clone();
        if plan.place == Place::DropIn {
            let text = self.node.read(main).map_err(|source| read(main, source))?;
            let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
            asked = write::beside(main, "candidate");
            let text = plan::importing(&text, &candidate).map_err(InstallError::Plan)?;
            staged.write(&self.at(&asked)?, text.as_bytes(), 0o600)?;
        }
        let refused = |source| InstallError::Refused {
            path: plan.path.clone(),
            source,
        };
        match self.host.dump(distribution, &asked).map_err(refused)? {
            Some(dump) if !lists_entry(&dump) => Err(InstallError::Ignored {
                path: plan.path.clone(),
            }),
            Some(_) => Ok(()),
            None => {
                tracing::debug!("no containerd program to check the configuration with");
                Ok(())
            }
        }
    }

    fn write(
        &self,
        seat: &Seat,
        payload: &Payload,
        plan: &Plan,
        changes: &mut Transaction,
        outcome: &mut Outcome,
    ) -> Result<(), InstallError> {
        let mut record = Record::read(&self.node)?.unwrap_or_default();
        self.keep_before(plan, &mut record, changes)?;
        // One that a payload no longer has stays until the end: a pod that runs may still need it.
        for name in payload.names() {
            let path = seat.of_program(name);
            if !record.programs.contains(&path) {
                record.programs.push(path);
            }
        }
        // Before the changes themselves: whatever happens in between can be undone from it.
        record.write(&self.node, changes)?;
        for name in payload.names() {
            let path = self.at(&seat.of_program(name))?;
            outcome.programs |= changes.write(&path, &payload.read(name)?, 0o755)?;
        }
        outcome.configuration = changes.write(&self.at(&plan.path)?, &plan.after, 0o644)?;
        for folder in changes.folders() {
            let folder =
                Path::new("/").join(folder.strip_prefix(self.node.folder()).unwrap_or(folder));
            if !record.folders.contains(&folder) {
                record.folders.push(folder);
            }
        }
        record.write(&self.node, changes)?;
        Ok(())
    }

    /// Keeps what stood in the configuration before this program came, however often it comes.
    fn keep_before(
        &self,
        plan: &Plan,
        record: &mut Record,
        changes: &mut Transaction,
    ) -> Result<(), InstallError> {
        let ours = record
            .configuration
            .as_ref()
            .is_some_and(|one| one.path == plan.path);
        if !ours {
            // Where the place has moved, as after an upgrade of the distribution, the old one is given back.
            self.restore_configuration(record, changes)?;
        }
        let edited = ours && record::backup(&self.node, record::AFTER)? != plan.before;
        if edited && plan.is_done() {
            return Ok(());
        }
        if !ours || edited {
            let before = match &plan.before {
                // Somebody has changed the file since: what they wrote is what is to stay.
                Some(bytes) if edited => plan::without_entry(plan.place, &plan.path, bytes)?,
                before => before.clone(),
            };
            record.configuration = Some(Configured {
                place: plan.place,
                path: plan.path.clone(),
                existed: before.is_some(),
            });
            if let Some(before) = before {
                record::keep(&self.node, changes, record::BEFORE, &before)?;
            }
        }
        record::keep(&self.node, changes, record::AFTER, &plan.after)?;
        Ok(())
    }

    /// Restarts containerd where it has to be, and sees to it that the handler is loaded.
    fn load(&self, distribution: Distribution, outcome: &mut Outcome) -> Result<(), InstallError> {
        let socket = self.socket(distribution);
        if !outcome.configuration
            && let Ok(handlers) = self.host.handlers(&socket)
            && handlers.iter().any(|name| name == HANDLER)
        {
            return Ok(());
        }
        outcome.restarted = true;
        self.host.restart(distribution)?;
        self.wait(&socket, |handlers| {
            handlers.iter().any(|name| name == HANDLER)
        })
    }

    /// Waits until CRI answers and what it answers is `right`.
    fn wait(&self, socket: &Path, right: impl Fn(&[String]) -> bool) -> Result<(), InstallError> {
        let deadline = Instant::now() + self.settings.timeout;
        loop {
            let answer = self.host.handlers(socket);
            if answer.as_ref().is_ok_and(|handlers| right(handlers)) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let seconds = self.settings.timeout.as_secs();
                return Err(match answer {
                    Ok(handlers) => InstallError::NotLoaded {
                        loaded: handlers.join(", "),
                    },
                    Err(source) => InstallError::NotBack { seconds, source },
                });
            }
            sleep(ASK_EVERY);
        }
    }

    fn undo(
        &self,
        distribution: Distribution,
        changes: Transaction,
        outcome: Outcome,
        cause: InstallError,
    ) -> InstallError {
        tracing::warn!("installation failed; undoing it");
        let cause = Box::new(cause);
        if let Err(error) = changes.roll_back() {
            return InstallError::HalfUndone { cause, error };
        }
        if !outcome.restarted {
            return InstallError::Undone { cause };
        }
        let back = self
            .host
            .restart(distribution)
            .map_err(InstallError::Host)
            .and_then(|()| self.wait(&self.socket(distribution), |_| true));
        match back {
            Ok(()) => InstallError::Undone { cause },
            Err(then) => InstallError::StillDown {
                cause,
                then: Box::new(then),
            },
        }
    }

    /// Holds off every other installer on this node until it is dropped.
    fn lock(&self) -> Result<File, InstallError> {
        let failed = |source| InstallError::Lock {
            path: LOCK.into(),
            source,
        };
        let path = self.node.at(LOCK).map_err(failed)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    fn socket(&self, distribution: Distribution) -> PathBuf {
        let declared = self.settings.socket.clone();
        declared.unwrap_or_else(|| distribution.socket().into())
    }

    fn at(&self, path: &Path) -> Result<PathBuf, InstallError> {
        self.node.at(path).map_err(|source| read(path, source))
    }
}

fn read(path: &Path, source: std::io::Error) -> InstallError {
    InstallError::Change(ChangeError {
        action: "read",
        path: path.to_owned(),
        source,
    })
}

fn lists_entry(dump: &str) -> bool {
    dump.parse().is_ok_and(|document| entry::is_in(&document))
}
