//! `coracle-compile`: compiles foreign wasm where a fault in the compiler can harm nothing.
//!
//! Reads wasm from standard input and writes compiled code to standard output, or one line that says why
//! not to standard error. Before it looks at a byte it gives up everything else: it has no root file
//! system, no network, no user and no capability, a filter on system calls, and limits on memory, time
//! and output. Whoever starts it keeps the end of a hung compilation in hand.

mod input;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use coracle_compile::sandbox::{self, Sandbox};
use coracle_compiler::{Limits, exit};
use coracle_engine::{Engine, LoadError, process};

/// Compiles wasm from standard input to standard output, in a sandbox.
///
/// Started by root, it gives up everything before it reads. Exit codes: 0 compiled; 126 the wasm was
/// refused, 125 the sandbox or the engine could not be set up, each with the reason on standard error;
/// 124 out of memory; SIGXCPU or SIGXFSZ when a limit ended it, SIGSYS a forbidden system call.
#[derive(Parser)]
#[command(name = "coracle-compile", version, max_term_width = 100)]
struct Arguments {
    /// Compile only if the code is for this; without it, print what the code is for, and end
    #[arg(long, value_name = "NAME")]
    compatibility: Option<String>,
    /// Address space that the compiler may have, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().memory, value_parser = clap::value_parser!(u64).range(1..))]
    memory: u64,
    /// Processor time that it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().processor.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    processor: u64,
    /// Size of compiled code that it may write, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().output, value_parser = clap::value_parser!(u64).range(1..))]
    output: u64,
    /// User id and group id to take on; not root's
    #[arg(long, value_name = "ID", default_value_t = Limits::default().user, value_parser = clap::value_parser!(u32).range(1..))]
    user: u32,
    /// Process to end with
    #[arg(long, value_name = "PID")]
    parent: Option<i32>,
}

fn main() -> ExitCode {
    // Before anything is opened here: whatever is open was left by who started this.
    if let Err(error) = sandbox::close_all_but_standard() {
        return fail(&error.into());
    }
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let here = Engine::compatibility();
    let Some(wanted) = &arguments.compatibility else {
        writeln!(io::stdout(), "{here}")?;
        return Ok(ExitCode::SUCCESS);
    };
    anyhow::ensure!(
        *wanted == here,
        "this program compiles for {here}, and {wanted} was asked for; install it and the shim from one release"
    );
    // The engine asks the processor what it can do; that is the last thing done with privileges.
    let engine = Engine::new()?;
    let (input, output) = input::files()?;
    Sandbox {
        memory: arguments.memory,
        processor: arguments.processor,
        output: arguments.output,
        user: arguments.user,
        parent: arguments.parent,
    }
    .enter()?;
    start_threads()?;
    let wasm = input::read(&input).context("cannot read the wasm")?;
    match engine.compile(&wasm) {
        Ok(code) => {
            (&output)
                .write_all(&code)
                .context("cannot write the compiled code")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if is_out_of_memory(&error) => Ok(ExitCode::from(exit::OUT_OF_MEMORY)),
        Err(error) => {
            say(&process::chain(&error));
            Ok(ExitCode::from(exit::REFUSED))
        }
    }
}

/// Most threads that compile one module: each has address space of its own, and nodes have many cores.
const THREADS: usize = 8;

/// In the sandbox, so that the filter of system calls holds for them too.
fn start_threads() -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    rayon::ThreadPoolBuilder::new()
        .num_threads(cores.min(THREADS))
        .build_global()
        .context("cannot start the threads that compile")
}

/// Wasmtime maps some memory itself, and tells of the kernel's refusal.
fn is_out_of_memory(error: &LoadError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if text.contains("Cannot allocate memory") || text.contains("out of memory") {
            return true;
        }
        cause = error.source();
    }
    false
}

fn fail(error: &anyhow::Error) -> ExitCode {
    say(&format!("{error:#}"));
    ExitCode::from(exit::CANNOT_HOST)
}

fn say(line: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(io::stderr(), "{line}"));
}
