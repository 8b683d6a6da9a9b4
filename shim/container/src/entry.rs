//! Finding the file that a container's command names, inside the finished container.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

/// What stands at the path of a command.
#[derive(Debug)]
pub(crate) enum Found {
    /// A program that the kernel executes.
    Native(PathBuf),
    /// Any other file, open for reading.
    Other(PathBuf, File),
    /// Nothing.
    Nothing,
    /// Something that cannot be run, and why.
    Unusable(PathBuf, io::Error),
}

/// wasmtime marks the code that it compiles with an ABI of its own in the header of an ELF file.
const WASMTIME_ABI: u8 = 200;

/// Looks at the file that `command` names in a process with the environment `env`.
pub(crate) fn find(command: &Path, env: &[String]) -> Found {
    if command.as_os_str().is_empty() {
        return Found::Nothing;
    }
    let path = search(command, env);
    let (file, start) = match open(&path) {
        Ok(opened) => opened,
        Err(error) if is_absent(&error) => return Found::Nothing,
        // A program may be executable and not readable, and only the kernel tells what it is.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return match access(&path, AccessFlags::X_OK) {
                Ok(()) => Found::Native(path),
                Err(_) => Found::Unusable(path, error),
            };
        }
        Err(error) => return Found::Unusable(path, error),
    };
    if !is_native(&start) {
        return Found::Other(path, file);
    }
    match access(&path, AccessFlags::X_OK) {
        Ok(()) => Found::Native(path),
        Err(errno) => Found::Unusable(path, errno.into()),
    }
}

/// The path of a command: as it is when it has a slash, else the first file of that name in the
/// container's `PATH`, else in the working directory.
fn search(command: &Path, env: &[String]) -> PathBuf {
    if command.as_os_str().as_encoded_bytes().contains(&b'/') {
        return command.to_owned();
    }
    let path = env
        .iter()
        .find_map(|variable| variable.strip_prefix("PATH="));
    std::env::split_paths(path.unwrap_or_default())
        .map(|folder| folder.join(command))
        .find(|file| file.is_file())
        .unwrap_or_else(|| Path::new(".").join(command))
}

fn open(path: &Path) -> io::Result<(File, Vec<u8>)> {
    // Looked at first: opening a FIFO or a device could block, or have effects.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let file = File::open(path)?;
    let mut start = Vec::new();
    (&file).take(8).read_to_end(&mut start)?;
    io::Seek::rewind(&mut &file)?;
    Ok((file, start))
}

fn is_native(start: &[u8]) -> bool {
    match start {
        [0x7f, b'E', b'L', b'F', _, _, _, abi, ..] => *abi != WASMTIME_ABI,
        _ => start.starts_with(b"#!"),
    }
}

fn is_absent(error: &io::Error) -> bool {
    [Errno::ENOENT, Errno::ENOTDIR].contains(&Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

/// The home directory of a user as the container's `/etc/passwd` has it, else `/`.
pub(crate) fn home(passwd: &str, uid: u32) -> String {
    passwd
        .lines()
        .find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields.as_slice() {
                [_, _, id, _, _, home, ..] if id.parse() == Ok(uid) && !home.is_empty() => {
                    Some((*home).to_owned())
                }
                _ => None,
            }
        })
        .unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("coracle-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_bare_command_is_looked_for_in_the_containers_path() {
        let folder = folder("find");
        std::fs::write(folder.join("tool.wasm"), b"\0asm").unwrap();
        let env = [format!("PATH=/nowhere:{}", folder.display())];
        let found = search(Path::new("tool.wasm"), &env);
        let relative = search(Path::new("./tool.wasm"), &env);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, folder.join("tool.wasm"));
        assert_eq!(relative, Path::new("./tool.wasm"));
    }

    #[test]
    fn programs_are_native_and_compiled_wasm_is_not() {
        assert!(is_native(b"\x7fELF\x02\x01\x01\x00"));
        assert!(is_native(b"#!/bin/sh"));
        assert!(!is_native(b"\x7fELF\x02\x01\x01\xc8"));
        assert!(!is_native(b"\0asm\x01\0\0\0"));
        assert!(!is_native(b"(module)"));
        assert!(!is_native(b""));
    }

    #[test]
    fn a_program_must_be_executable_and_a_module_readable() {
        let folder = folder("kinds");
        let at = |name: &str, content: &[u8], mode: u32| {
            let path = folder.join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let program = at("program", b"#!/bin/true\n", 0o755);
        let data = at("data", b"#!/bin/true\n", 0o644);
        let module = at("module", b"\0asm\x01\0\0\0", 0o644);
        let kinds = [&program, &data, &module, &folder].map(|path| match find(path, &[]) {
            Found::Native(_) => "native",
            Found::Other(..) => "other",
            Found::Nothing => "nothing",
            Found::Unusable(..) => "unusable",
        });
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(kinds, ["native", "unusable", "other", "unusable"]);
        assert!(matches!(find(&program, &[]), Found::Nothing));
    }

    #[test]
    fn home_is_the_users_or_the_root() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:\nbroken\n";
        assert_eq!(home(passwd, 1000), "/home/app");
        assert_eq!(home(passwd, 0), "/root");
        assert_eq!(home(passwd, 7), "/");
    }
}
