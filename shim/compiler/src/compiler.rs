//! One compilation: a process, its limits, and what its end means.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::Signal;

use crate::child::Running;
use crate::{CompileError, Limit, Limits, exit};

/// Starts the program that compiles.
#[derive(Clone, Debug)]
pub struct Compiler {
    program: PathBuf,
    compatibility: String,
    limits: Limits,
}

impl Compiler {
    /// Compiles with this program, for the engine that calls itself `compatibility`: a program that was
    /// built for another one refuses to work.
    #[must_use]
    pub fn new(program: &Path, compatibility: &str, limits: Limits) -> Self {
        Self {
            program: program.to_owned(),
            compatibility: compatibility.to_owned(),
            limits,
        }
    }

    /// What a compilation may take.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Compiles the module or component in `wasm`, all of it, into the empty file `output`. Blocks until
    /// the program has ended, at most for [`Limits::wall`]; no process is left then, whatever the result.
    /// If this process is killed, the kernel ends the program with it.
    ///
    /// SIGCHLD must not be ignored in this process, because ended children could not be asked then.
    ///
    /// # Errors
    /// [`CompileError`]; what is in `output` is of no use then.
    pub fn compile(&self, wasm: &File, output: &File) -> Result<(), CompileError> {
        let deadline = Instant::now() + self.limits.wall;
        let child = self.spawn(wasm, output)?;
        let mut running =
            Running::follow(child).map_err(CompileError::to("follow the compiler"))?;
        let status = running
            .wait(deadline)
            .map_err(CompileError::to("wait for the compiler"))?;
        let Some(status) = status else {
            return Err(self.too_large(Limit::Wall));
        };
        self.verdict(status, running.said())?;
        let written = output
            .metadata()
            .map_err(CompileError::to("look at the compiled code"))?;
        if written.len() == 0 {
            let said = "it ended well and wrote nothing".to_owned();
            return Err(CompileError::Unable { said });
        }
        Ok(())
    }

    fn spawn(&self, wasm: &File, output: &File) -> Result<Child, CompileError> {
        let start = |source| CompileError::Start {
            program: self.program.clone(),
            source,
        };
        let limits = &self.limits;
        Command::new(&self.program)
            .arg("--compatibility")
            .arg(&self.compatibility)
            .args(["--parent", &std::process::id().to_string()])
            .args(["--memory", &limits.memory.to_string()])
            .args([
                "--processor",
                &limits.processor.as_secs().max(1).to_string(),
            ])
            .args(["--output", &limits.output.to_string()])
            .args(["--user", &limits.user.to_string()])
            .env_clear()
            .current_dir("/")
            .stdin(wasm.try_clone().map_err(start)?)
            .stdout(output.try_clone().map_err(start)?)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)
    }

    fn verdict(&self, status: ExitStatus, said: String) -> Result<(), CompileError> {
        if let Some(code) = status.code() {
            return match u8::try_from(code) {
                Ok(0) => Ok(()),
                Ok(exit::REFUSED) => Err(CompileError::Refused { reason: said }),
                Ok(exit::CANNOT_HOST) => Err(CompileError::Unable { said }),
                Ok(exit::OUT_OF_MEMORY) => Err(self.too_large(Limit::Memory)),
                _ => Err(crashed(format!("exit code {code}"), said)),
            };
        }
        let signal = status.signal().and_then(Signal::from_named_raw);
        Err(match signal {
            // What the standard library says when an allocation fails.
            _ if said.contains("memory allocation of ") => self.too_large(Limit::Memory),
            Some(Signal::XCPU) => self.too_large(Limit::Processor),
            Some(Signal::XFSZ) => self.too_large(Limit::Output),
            Some(Signal::SYS) => crashed("it made a forbidden system call".to_owned(), said),
            Some(signal) => crashed(named(signal), said),
            None => crashed(status.to_string(), said),
        })
    }

    pub(crate) fn too_large(&self, limit: Limit) -> CompileError {
        CompileError::TooLarge {
            limit,
            allowed: self.limits.allowed(limit),
        }
    }
}

/// The signals that end a process which did not expect them.
fn named(signal: Signal) -> String {
    let name = match signal {
        Signal::ABORT => " (SIGABRT)",
        Signal::BUS => " (SIGBUS)",
        Signal::FPE => " (SIGFPE)",
        Signal::ILL => " (SIGILL)",
        // The kernel's when the node or the control group is out of memory, or an operator's.
        Signal::KILL => " (SIGKILL)",
        Signal::SEGV => " (SIGSEGV)",
        Signal::TERM => " (SIGTERM)",
        _ => "",
    };
    format!("signal {}{name}", signal.as_raw())
}

fn crashed(how: String, said: String) -> CompileError {
    CompileError::Crashed { how, said }
}
