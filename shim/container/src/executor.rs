//! What a container's first process does once libcontainer has finished the container around it.
//!
//! libcontainer calls `validate` before it reports that the container is created, and `exec` once the
//! container is started, both in the container's first process.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::RawFd;
use std::rc::Rc;

use coracle_engine::process;
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use oci_spec::runtime::{Process, Spec};

use crate::guest::{self, Guest};
use crate::plan::{self, Plan};
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
                Plan::of(process, &questions, true).map_err(|e| failed(&format!("{e:#}")))?
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
                let (code, reason) = plan::execute(&path, process);
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
