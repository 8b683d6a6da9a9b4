//! A process that containerd knows by name: a container's first one, or one beside it.

use std::sync::{Mutex, OnceLock};
use std::time::SystemTime;

use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;

use crate::container::lock;
use crate::stdio::{Held, Paths};

/// A process, from before it is started until after its end.
#[derive(Debug)]
pub(crate) struct Process {
    /// The container's name in containerd.
    pub(crate) container: String,
    /// Its own name there; empty for the container's first process.
    pub(crate) exec: String,
    /// Where its standard streams go.
    pub(crate) paths: Paths,
    pid: OnceLock<i32>,
    held: Mutex<Option<Held>>,
    exit: watch::Sender<Option<Exit>>,
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

impl Process {
    /// One that does not run yet.
    pub(crate) fn new(container: &str, exec: &str, paths: Paths) -> Self {
        Self {
            container: container.to_owned(),
            exec: exec.to_owned(),
            paths,
            pid: OnceLock::new(),
            held: Mutex::new(None),
            exit: watch::Sender::new(None),
        }
    }

    /// The name that containerd's events have for it.
    pub(crate) fn name(&self) -> &str {
        if self.exec.is_empty() {
            &self.container
        } else {
            &self.exec
        }
    }

    /// It is there. Keeps the other ends of its streams open for as long as it lives.
    pub(crate) fn runs(&self, pid: i32, held: Held) {
        *lock(&self.held) = Some(held);
        // Only one is ever started under a name.
        self.pid.get_or_init(|| pid);
    }

    /// Its process id, from when it is there.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.pid.get().copied()
    }

    /// Its process id as containerd has it: 0 before it is there.
    pub(crate) fn number(&self) -> u32 {
        self.pid().unwrap_or(0).cast_unsigned()
    }

    /// What it is holding, for changes of the terminal.
    pub(crate) fn held<T>(&self, look: impl FnOnce(&Held) -> T) -> Option<T> {
        lock(&self.held).as_ref().map(look)
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

    /// Sends it a signal, by number: real-time signals have no name in [`Signal`].
    ///
    /// # Errors
    /// `ESRCH` when it is not there, before or after its life.
    pub(crate) fn signal(&self, number: i32) -> Result<(), Errno> {
        let (Some(pid), None) = (self.pid(), self.exit()) else {
            return Err(Errno::ESRCH);
        };
        match Signal::try_from(number) {
            Ok(signal) => kill(Pid::from_raw(pid), signal),
            Err(_) => coracle_container::send_real_time(pid, number),
        }
    }
}
