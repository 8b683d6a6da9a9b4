//! One container: what it is, and what has become of it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use containerd_shim_protos::api::Status;
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use coracle_cgroups::Cgroup;
use nix::sys::signal::Signal;
use tokio::sync::watch;

use crate::events::Events;
use crate::oom;
use crate::stdio::{Held, Paths};

/// A container that was made.
pub(crate) struct Container {
    /// Its name in containerd.
    pub(crate) id: String,
    /// The folder that containerd made for it.
    pub(crate) bundle: PathBuf,
    /// Its first process.
    pub(crate) pid: i32,
    /// Where its limits stand, if it has any.
    pub(crate) group: Option<Cgroup>,
    /// Where its standard streams go.
    pub(crate) paths: Paths,
    /// Whether it holds a pod's namespaces and runs nothing.
    pub(crate) is_sandbox: bool,
    phase: Mutex<Phase>,
    held: Mutex<Option<Held>>,
    memory: OnceLock<Arc<oom::Watch>>,
    exit: watch::Sender<Option<Exit>>,
}

/// How far a container is, apart from its exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Created,
    Running,
    Paused,
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Its exit code, or 128 and the signal.
    pub(crate) code: u32,
    /// When it was seen.
    pub(crate) at: SystemTime,
}

impl Exit {
    pub(crate) fn now(code: u32) -> Self {
        Self {
            code,
            at: SystemTime::now(),
        }
    }

    /// Killed, as far as anybody can know.
    pub(crate) fn killed() -> Self {
        Self::now(128 + Signal::SIGKILL as u32)
    }

    pub(crate) fn timestamp(&self) -> MessageField<Timestamp> {
        MessageField::some(self.at.into())
    }
}

impl Container {
    pub(crate) fn new(
        id: String,
        bundle: PathBuf,
        pid: i32,
        group: Option<Cgroup>,
        paths: Paths,
        is_sandbox: bool,
    ) -> Self {
        Self {
            id,
            bundle,
            pid,
            group,
            paths,
            is_sandbox,
            phase: Mutex::new(Phase::Created),
            held: Mutex::new(None),
            memory: OnceLock::new(),
            exit: watch::Sender::new(None),
        }
    }

    /// Tells containerd from here on when the kernel kills in it for memory.
    pub(crate) fn watch_memory(&self, events: &Events) {
        let Some(group) = &self.group else {
            return;
        };
        match oom::watch(events.clone(), &self.id, group) {
            Ok(watch) => drop(self.memory.set(watch)),
            Err(error) => {
                let error = format!("{error:#}");
                log::warn!(container = self.id, error:% = error; "kills for memory are not seen");
            }
        }
    }

    /// Tells containerd of kills for memory up to now.
    pub(crate) fn tell_of_memory(&self) {
        if let Some(watch) = self.memory.get() {
            watch.tell();
        }
    }

    /// Keeps the other ends of its streams open for as long as it lives.
    pub(crate) fn hold(&self, held: Held) {
        *lock(&self.held) = Some(held);
    }

    /// What it is holding, for changes of the terminal.
    pub(crate) fn held<T>(&self, look: impl FnOnce(&Held) -> T) -> Option<T> {
        lock(&self.held).as_ref().map(look)
    }

    pub(crate) fn phase(&self) -> Phase {
        *lock(&self.phase)
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        *lock(&self.phase) = phase;
    }

    /// Its end, if that has come.
    pub(crate) fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Its end has come.
    pub(crate) fn ended(&self, exit: Exit) {
        drop(lock(&self.held).take());
        self.exit.send_replace(Some(exit));
    }

    /// Waits for its end.
    pub(crate) async fn wait(&self) -> Exit {
        let mut exits = self.exit.subscribe();
        match exits.wait_for(Option::is_some).await.map(|exit| *exit) {
            Ok(Some(exit)) => exit,
            // The sender lives in `self`.
            Ok(None) | Err(_) => Exit::killed(),
        }
    }

    /// Its status as containerd names it.
    pub(crate) fn status(&self) -> Status {
        match (self.exit(), self.phase()) {
            (Some(_), _) => Status::STOPPED,
            (None, Phase::Created) => Status::CREATED,
            (None, Phase::Running) => Status::RUNNING,
            (None, Phase::Paused) => Status::PAUSED,
        }
    }
}

/// No code panics while it holds one of these locks, and one that did left a value that is still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
