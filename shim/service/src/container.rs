//! One container: what it is, and what has become of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use containerd_shim_protos::api::Status;
use coracle_cgroups::Cgroup;
use coracle_container::Clerk;
use nix::errno::Errno;

use crate::events::Events;
use crate::oom;
use crate::process::Process;

/// A container that was made.
pub(crate) struct Container {
    /// Its name in containerd.
    pub(crate) id: String,
    /// The folder that containerd made for it.
    pub(crate) bundle: PathBuf,
    /// Its first process.
    pub(crate) process: Arc<Process>,
    /// The processes beside it, by name.
    pub(crate) execs: Mutex<BTreeMap<String, Exec>>,
    /// Where its limits stand, if it has any.
    pub(crate) group: Option<Cgroup>,
    /// Whether it holds a pod's namespaces and runs nothing.
    pub(crate) is_sandbox: bool,
    /// Finds the code of what it runs.
    pub(crate) clerk: Clerk,
    phase: Mutex<Phase>,
    memory: OnceLock<Arc<oom::Watch>>,
}

/// A process beside a container's first.
pub(crate) struct Exec {
    /// What it is to run, as containerd says it, until it is started.
    pub(crate) spec: Option<Vec<u8>>,
    pub(crate) process: Arc<Process>,
}

/// How far a container is, apart from its exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Created,
    Running,
    Paused,
}

impl Container {
    pub(crate) fn new(
        process: Arc<Process>,
        bundle: PathBuf,
        group: Option<Cgroup>,
        clerk: Clerk,
        is_sandbox: bool,
    ) -> Self {
        Self {
            id: process.container.clone(),
            bundle,
            process,
            execs: Mutex::default(),
            group,
            is_sandbox,
            clerk,
            phase: Mutex::new(Phase::Created),
            memory: OnceLock::new(),
        }
    }

    /// Its process of this name, or its first.
    pub(crate) fn process(&self, exec: &str) -> Option<Arc<Process>> {
        if exec.is_empty() {
            return Some(Arc::clone(&self.process));
        }
        let execs = lock(&self.execs);
        execs.get(exec).map(|exec| Arc::clone(&exec.process))
    }

    /// The processes beside its first.
    pub(crate) fn others(&self) -> Vec<Arc<Process>> {
        let execs = lock(&self.execs);
        execs.values().map(|e| Arc::clone(&e.process)).collect()
    }

    /// Its first process has ended, and takes the others along: in a PID namespace of the container's own
    /// the kernel has done that.
    pub(crate) fn end_others(&self) {
        for other in self.others() {
            match other.signal(nix::libc::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => {
                    log::error!(container = self.id, exec = other.exec, error:% = error; "not killed");
                }
            }
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

    pub(crate) fn phase(&self) -> Phase {
        *lock(&self.phase)
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        *lock(&self.phase) = phase;
    }

    /// The status of one of its processes as containerd names it.
    pub(crate) fn status(&self, process: &Process) -> Status {
        let is_first = process.exec.is_empty();
        match (process.exit(), self.phase()) {
            (Some(_), _) => Status::STOPPED,
            (None, Phase::Created) if is_first => Status::CREATED,
            (None, _) if process.pid().is_none() => Status::CREATED,
            (None, Phase::Paused) => Status::PAUSED,
            (None, _) => Status::RUNNING,
        }
    }
}

/// No code panics while it holds one of these locks, and one that did left a value that is still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
