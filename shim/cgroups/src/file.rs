//! Reading and writing the files of a control group.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::CgroupError;

/// Writes a value in one call, as the kernel wants it.
pub(crate) fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(value.as_bytes()))
        .map_err(|source| CgroupError::Write {
            path: path.to_owned(),
            value: value.to_owned(),
            source,
        })
}

/// All of a file.
pub(crate) fn read(path: &Path) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|source| CgroupError::Read {
        path: path.to_owned(),
        source,
    })
}

/// All of a file, unless there is no such file: a kernel without the feature, or a group that is gone.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>, CgroupError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(source) => Err(CgroupError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Whether an operation failed because the group is gone, be it before the file was opened or after.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    let gone = [nix::errno::Errno::ENOENT, nix::errno::Errno::ENODEV];
    gone.iter()
        .any(|errno| error.raw_os_error() == Some(*errno as i32))
}

/// A number in a text of the kernel's; `max`, where a limit may be missing, is none.
pub(crate) fn number(path: &Path, text: &str) -> Result<Option<u64>, CgroupError> {
    let text = text.trim();
    if text == "max" {
        return Ok(None);
    }
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(CgroupError::Form {
            path: path.to_owned(),
            found: text.to_owned(),
            expected: "a number or `max`",
        }),
    }
}
