//! What a process in a container is to run: decided by the file that its command names, as the container
//! sees it.

use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use coracle_engine::{Entry, process};
use nix::errno::Errno;
use oci_spec::runtime::Process;

use crate::entry::{self, Found};
use crate::message::{Answer, Question};

/// What to do when the process may run.
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

impl Plan {
    /// Decides what to run for a command, in a process that sees the container's files. Where the command
    /// names no file, and it `may_be_the_image`, that is the image's wasm layer.
    pub(crate) fn of(
        process: &Process,
        questions: &OwnedFd,
        may_be_the_image: bool,
    ) -> anyhow::Result<Self> {
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
            Found::Native(path) => return Ok(Self::Execute(path)),
            Found::Unusable(path, error) => {
                return Ok(Self::Refuse {
                    code: process::CANNOT_RUN,
                    reason: format!("{}: {error}", path.display()),
                });
            }
            Found::Other(path, file) => Question::File {
                name: path.display().to_string(),
                file: file.into(),
            },
            Found::Nothing if may_be_the_image => Question::Layer,
            Found::Nothing => return Ok(Self::nothing(&entry.path)),
        };
        question.send(questions.as_fd())?;
        Ok(match Answer::receive(questions.as_fd())? {
            Answer::Compiled { name, code } => Self::Run {
                name,
                code,
                function: entry.function,
            },
            Answer::Refused { code, reason } => Self::Refuse { code, reason },
            Answer::NoLayer if command.is_empty() => Self::Refuse {
                code: process::NOT_FOUND,
                reason: "no command, and the image has no wasm layer".to_owned(),
            },
            Answer::NoLayer => Self::nothing(&entry.path),
        })
    }

    fn nothing(path: &Path) -> Self {
        Self::Refuse {
            code: process::NOT_FOUND,
            reason: format!("{}: no such file in the container", path.display()),
        }
    }
}

/// Executes a program; returns only when that fails, with an exit code and the reason.
pub(crate) fn execute(path: &Path, process: &Process) -> (u8, String) {
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
