//! What a container's first process does once libcontainer has finished the container around it.
//!
//! libcontainer calls `validate` before it reports that the container is created, and `exec` once the
//! container is started, both in the container's first process.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use coracle_engine::{Entry, process};
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use nix::errno::Errno;
use oci_spec::runtime::{Process, Spec};

use crate::entry::{self, Found};
use crate::guest::{self, Guest};
use crate::message::{Answer, Question};
use crate::{signals, spawn};

/// Runs a container's command, whatever it turns out to be.
#[derive(Clone)]
pub(crate) struct Workload {
    /// Where the maker tells its outcome, by number. The container's first process has it only by
    /// inheritance, and must not keep it open.
    pub(crate) outcome: RawFd,
    /// Where to ask the clerk, by number: libcontainer forks, and numbers are what survives that.
    /// Without it this is the pod's sandbox, which runs nothing.
    pub(crate) questions: Option<RawFd>,
    /// What was decided in `validate`, for `exec`.
    pub(crate) plan: Rc<RefCell<Plan>>,
}

/// What to do when the container is started.
#[derive(Debug, Default)]
pub(crate) enum Plan {
    /// Not known yet.
    #[default]
    Open,
    /// Sleep, and hold the pod's namespaces.
    Sleep,
    /// Execute a program.
    Execute(PathBuf),
    /// Run wasm.
    Run {
        name: String,
        code: OwnedFd,
        function: Option<String>,
    },
    /// Say why not, and exit.
    Refuse { code: u8, reason: String },
}

impl Executor for Workload {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let failed =
            |e: &dyn std::fmt::Display| ExecutorValidationError::ArgValidationError(e.to_string());
        drop(spawn::inherited(self.outcome));
        check_isolation(spec).map_err(|e| failed(&e))?;
        let plan = match self.questions {
            None => Plan::Sleep,
            Some(questions) => {
                let questions = spawn::inherited(questions);
                let process = process_of(spec).map_err(|e| failed(&e))?;
                plan(process, &questions).map_err(|e| failed(&format!("{e:#}")))?
            }
        };
        self.plan.replace(plan);
        Ok(())
    }

    /// Nothing: the environment is handed to the program that is executed, and to the guest. This
    /// process's own holds nothing.
    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let process = process_of(spec).map_err(|e| ExecutorError::Other(e.to_string()))?;
        let code = match self.plan.take() {
            Plan::Open => return Err(ExecutorError::Other("nothing was validated".to_owned())),
            Plan::Sleep => {
                spawn::close_all_but(&[]);
                spawn::trim_memory();
                signals::sleep_until_told()
            }
            Plan::Execute(path) => {
                let (code, reason) = execute(&path, process);
                report(code, &reason)
            }
            Plan::Run {
                name,
                code,
                function,
            } => {
                let guest = Guest {
                    name,
                    code: File::from(code),
                    function,
                };
                i32::from(guest::run(guest, process))
            }
            Plan::Refuse { code, reason } => report(code, &reason),
        };
        // Not by returning, and not by `exit`: handlers and destructors belong to the supervisor, whose
        // memory this process copied.
        spawn::end(code)
    }
}

fn report(code: u8, reason: &str) -> i32 {
    process::report(reason);
    i32::from(code)
}

fn process_of(spec: &Spec) -> Result<&Process, &'static str> {
    spec.process()
        .as_ref()
        .ok_or("the container's spec has no process")
}

/// What libcontainer tries without looking whether it succeeded.
fn check_isolation(spec: &Spec) -> Result<(), String> {
    let wanted = process_of(spec)?.no_new_privileges() == Some(true);
    match nix::sys::prctl::get_no_new_privs() {
        Ok(set) if set || !wanted => Ok(()),
        Ok(_) => Err("the kernel did not set no_new_privs".to_owned()),
        Err(errno) => Err(format!("cannot read no_new_privs: {errno}")),
    }
}

/// Decides what the container runs.
fn plan(process: &Process, questions: &OwnedFd) -> anyhow::Result<Plan> {
    let empty = Vec::new();
    let command = process.args().as_ref().and_then(|args| args.first());
    let command = command.map_or("", String::as_str);
    let Ok(entry) = command.parse::<Entry>();
    let env = process.env().as_ref().unwrap_or(&empty);
    // A native program may have `#` in its name.
    let found = match entry::find(Path::new(command), env) {
        Found::Nothing if entry.function.is_some() => entry::find(&entry.path, env),
        found => found,
    };
    let question = match found {
        Found::Native(path) => return Ok(Plan::Execute(path)),
        Found::Unusable(path, error) => {
            return Ok(Plan::Refuse {
                code: process::CANNOT_RUN,
                reason: format!("{}: {error}", path.display()),
            });
        }
        Found::Other(path, file) => Question::File {
            name: path.display().to_string(),
            file: file.into(),
        },
        Found::Nothing => Question::Layer,
    };
    question.send(questions.as_fd())?;
    Ok(match Answer::receive(questions.as_fd())? {
        Answer::Compiled { name, code } => Plan::Run {
            name,
            code,
            function: entry.function,
        },
        Answer::Refused { code, reason } => Plan::Refuse { code, reason },
        Answer::NoLayer if command.is_empty() => Plan::Refuse {
            code: process::NOT_FOUND,
            reason: "no command, and the image has no wasm layer".to_owned(),
        },
        Answer::NoLayer => Plan::Refuse {
            code: process::NOT_FOUND,
            reason: format!("{}: no such file in the container", entry.path.display()),
        },
    })
}

/// Executes a program; returns only when that fails, with an exit code and the reason.
fn execute(path: &Path, process: &Process) -> (u8, String) {
    let strings = |values: &Option<Vec<String>>| -> Result<Vec<CString>, std::ffi::NulError> {
        let values = values.iter().flatten();
        values.map(|v| CString::new(v.as_bytes())).collect()
    };
    let prepared = (|| {
        let program = CString::new(path.as_os_str().as_bytes())?;
        Ok::<_, std::ffi::NulError>((program, strings(process.args())?, strings(process.env())?))
    })();
    let errno = match &prepared {
        Ok((program, args, env)) => match nix::unistd::execve(program, args, env) {
            Err(errno) => errno,
            Ok(never) => match never {},
        },
        Err(_) => Errno::EINVAL,
    };
    let code = match errno {
        Errno::ENOENT => process::NOT_FOUND,
        _ => process::CANNOT_RUN,
    };
    (code, format!("{}: {}", path.display(), errno.desc()))
}
