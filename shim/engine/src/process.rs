//! A program as the whole work of this process: its signals, its exit code, and its last words.
//!
//! Exit codes, as shells and runc have them:
//!
//! | code | meaning |
//! |---|---|
//! | the guest's own | it exited |
//! | 126 | there is a file, and it cannot be run: no wasm, invalid, an unknown import, no start |
//! | 127 | there is no such file |
//! | 125 | the host could not give the guest what it was granted |
//! | 134 | it trapped |
//! | 128 + n | signal n ended it |
//!
//! The reason of every code that is not the guest's own is written to standard error, in lines that
//! start with `coracle: `, so that it stands in the container's log.

use std::error::Error;
use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::grants::Output;
use crate::{End, Grants, LoadError, Program, RunError, Stop};

/// Signals that end a process which does not handle them. As the first process of its PID namespace
/// the guest's process would ignore them without a handler.
const ENDING: [i32; 4] = [SIGTERM, SIGINT, SIGQUIT, SIGHUP];

/// Loads a program with `load`, runs it, and answers with this process's exit code.
///
/// From here on the signals SIGTERM, SIGINT, SIGQUIT and SIGHUP end this process with 128 + n, at
/// once, whatever the guest is doing. A guest that serves is given the chance to finish what is in
/// flight and ends with 0; a second signal does not wait.
pub async fn run(
    load: impl FnOnce() -> Result<Program, LoadError> + Send,
    name: &str,
    grants: Grants,
) -> u8 {
    let output = grants.stderr.clone();
    let serving = Serving::default();
    if let Err(error) = obey_signals(serving.clone()) {
        output.report(&format!("cannot handle signals: {error}"));
        return CANNOT_HOST;
    }
    let program = match load() {
        Ok(program) => program,
        Err(error) => {
            output.report(&format!("{name}: {}", chain(&error)));
            return code_of_load(&error);
        }
    };
    let stop = Stop::new();
    if program.world().serves() {
        serving.may_stop_with(stop.clone());
    }
    match program.run(grants, stop).await {
        Ok(end) => {
            if let End::Trapped { report } = &end {
                output.report(&format!("{name}: trap: {report}"));
            }
            end.exit_code()
        }
        Err(error) => {
            output.report(&format!("{name}: {}", chain(&error)));
            code_of_run(&error)
        }
    }
}

/// Exit code: the host could not give the guest what it was granted.
pub const CANNOT_HOST: u8 = 125;
/// Exit code: there is a file, and it cannot be run.
pub const CANNOT_RUN: u8 = 126;
/// Exit code: there is no such file.
pub const NOT_FOUND: u8 = 127;

fn code_of_load(error: &LoadError) -> u8 {
    match error {
        LoadError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => NOT_FOUND,
        LoadError::Read { .. }
        | LoadError::NotWasm(_)
        | LoadError::Precompiled { .. }
        | LoadError::Text { .. }
        | LoadError::Invalid { .. }
        | LoadError::World(_) => CANNOT_RUN,
        LoadError::Foreign { .. } | LoadError::Unmapped { .. } => CANNOT_HOST,
    }
}

fn code_of_run(error: &RunError) -> u8 {
    match error {
        RunError::Link { .. } => CANNOT_RUN,
        RunError::Preopen { .. } | RunError::Port { .. } | RunError::Listen { .. } => CANNOT_HOST,
    }
}

/// An error and all its sources on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        // Some libraries repeat their source in their own message.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = error.source();
    }
    line
}

/// What to ask to stop, once the program turns out to serve.
#[derive(Clone, Default)]
struct Serving(std::sync::Arc<std::sync::Mutex<Option<Stop>>>);

impl Serving {
    fn may_stop_with(&self, stop: Stop) {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(stop);
    }

    /// The stop is handed out once, so a second signal finds none.
    fn take(&self) -> Option<Stop> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take()
    }
}

/// Handles signals in a thread of its own, because a guest that computes never yields.
fn obey_signals(serving: Serving) -> io::Result<()> {
    let mut signals = Signals::new(ENDING)?;
    let obey = move || {
        for signal in signals.forever() {
            match serving.take() {
                Some(stop) => stop.request(),
                None => std::process::exit(128 + signal),
            }
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(obey)
        .map(drop)
}

/// Standard error of this process, for a host that fails before it has [`Grants`].
pub fn report(line: &str) {
    Output::Inherit.report(line);
}
