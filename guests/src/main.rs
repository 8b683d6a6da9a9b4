//! Builds the guests named as arguments, or all of them, and says what it does.
//!
//! A program of its own, so that `cargo xtask` need not compile what encodes components before it can do
//! anything at all.

#![allow(clippy::print_stderr, reason = "a program for people")]

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use coracle_guests::{Event, Guest, Skipped, build, catalogue, find};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What goes wrong here is a compiler's or the machine's doing; a backtrace would only hide it.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let names: Vec<String> = env::args().skip(1).collect();
    let guests: Vec<&'static Guest> = if names.is_empty() {
        catalogue().iter().collect()
    } else {
        names
            .iter()
            .map(|name| find(name))
            .collect::<Result<_, _>>()?
    };
    let mut out = io::stdout().lock();
    let mut written = Ok(());
    let report = build(guests, &mut |event| {
        if written.is_ok() {
            written = writeln!(out, "{}", describe(event));
        }
    })?;
    written?;
    let (built, cached) = (report.built.len(), report.cached.len());
    writeln!(
        out,
        "guests: {built} built, {cached} as they were, {} skipped",
        report.skipped.len()
    )?;
    Ok(())
}

fn describe(event: &Event) -> String {
    match event {
        Event::Assembling { toolchain } => {
            format!("assembling the {toolchain} toolchain (once; up to a few minutes)")
        }
        Event::Building(guest) => format!("building {}", guest.name),
        Event::Built { guest, size, took } => {
            format!(
                "built {} ({} KiB in {:.1} s)",
                guest.name,
                size.div_ceil(1024),
                took.as_secs_f32()
            )
        }
        Event::Skipped(Skipped { guest, reason }) => format!("skipped {}: {reason}", guest.name),
    }
}
