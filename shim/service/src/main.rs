//! `containerd-shim-coracle-v1`: what containerd starts for pods of the runtime class `coracle`.
//!
//! containerd calls it with an action. `start` leaves a supervisor behind, one per pod, and prints its
//! address; the supervisor serves containerd's task API until the pod is gone. `delete` takes away what a
//! supervisor that died has left.

mod arguments;
mod bootstrap;
mod console;
mod container;
mod delete;
mod events;
mod group;
mod info;
mod logger;
mod metrics;
mod oom;
mod process;
mod readiness;
mod reaper;
mod start;
mod stdio;
mod supervisor;
mod task;

use std::process::ExitCode;

use arguments::{Action, Arguments};

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => return fail(&error.into()),
    };
    logger::install(arguments.debug);
    let done = match arguments.action {
        Action::Start => start::start(&arguments),
        Action::Delete => delete::delete(&arguments),
        Action::Supervise => supervisor::supervise(&arguments),
        Action::Info => info::info(),
        Action::Version => info::version(),
        Action::Help => info::help(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    logger::complain(error);
    ExitCode::FAILURE
}
