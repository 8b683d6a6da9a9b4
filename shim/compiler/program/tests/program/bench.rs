//! What the tests stand on: folders, modules, and a compiler that can be looked at while it waits.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use coracle_cache::{Cache, Digests};
use coracle_compiler::{CompileError, Compiler, Limits, Store};
use coracle_engine::Engine;
use tempfile::TempDir;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_coracle-compile");

/// For what is bound to happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Limits under which an ordinary module compiles, by a compiler that is not optimised.
pub(crate) fn limits() -> Limits {
    Limits::default()
}

pub(crate) fn compiler(limits: Limits) -> Compiler {
    Compiler::new(Path::new(PROGRAM), &Engine::compatibility(), limits)
}

/// A file without a name that holds these bytes.
pub(crate) fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// Compiles, and answers with the size of the code.
pub(crate) fn compile(wasm: &[u8], limits: Limits) -> Result<u64, CompileError> {
    let output = tempfile::tempfile().unwrap();
    compiler(limits).compile(&file(wasm), &output)?;
    Ok(output.metadata().unwrap().len())
}

/// A command of WASI 0.1 that does nothing.
pub(crate) fn hello() -> Vec<u8> {
    wat::parse_str(r#"(module (func (export "_start")))"#).unwrap()
}

/// A module with one function of this many steps, which all have to be compiled.
pub(crate) fn long(steps: usize) -> Vec<u8> {
    let body = "(local.set 0 (i32.rotl (i32.mul (local.get 0) (i32.const 77)) (i32.const 3)))";
    let text = format!(
        r#"(module
            (global $result (mut i32) (i32.const 0))
            (func (export "_start") (local i32)
                (local.set 0 (global.get $result)) {} (global.set $result (local.get 0))))"#,
        body.repeat(steps)
    );
    wat::parse_str(text).unwrap()
}

pub(crate) fn store(root: &TempDir, program: &Path, limits: Limits) -> Store {
    let compatibility = Engine::compatibility();
    let (cache, marks) = (root.path().join("cache"), root.path().join("marks"));
    Store::new(
        Cache::open(&cache, &marks, &compatibility, 1 << 30).unwrap(),
        Digests::open(&marks).unwrap(),
        Compiler::new(program, &compatibility, limits),
    )
}

/// A named pipe as wasm: the compiler is in its sandbox and waits for the first byte.
pub(crate) struct Waiting {
    pub(crate) path: PathBuf,
    /// For reading, as the compiler gets it.
    pub(crate) reader: File,
    _writer: File,
}

impl Waiting {
    pub(crate) fn new(root: &TempDir) -> Self {
        let path = root.path().join("wasm");
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        Self::open(&path)
    }

    pub(crate) fn open(path: &Path) -> Self {
        // Both ends, so that neither opening waits for the other and the pipe has no end.
        let both = File::options().read(true).write(true).open(path).unwrap();
        Self {
            path: path.to_owned(),
            reader: File::open(path).unwrap(),
            _writer: both,
        }
    }

    /// The compiler that has this as its standard input, once it is in the sandbox.
    pub(crate) fn compiler(&self) -> u32 {
        wait_for("a compiler in its sandbox", || {
            let pid = self.candidates().into_iter().next()?;
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            // Both filters are there: this was the last step.
            (field(&status, "Seccomp_filters") == Some("2")).then_some(pid)
        })
    }

    /// Compilers with this as their standard input.
    pub(crate) fn candidates(&self) -> Vec<u32> {
        let wanted = fs::metadata(&self.path).unwrap().ino();
        processes()
            .filter(|pid| {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                let input = fs::metadata(format!("/proc/{pid}/fd/0"));
                name.trim() == "coracle-compile" && input.is_ok_and(|input| input.ino() == wanted)
            })
            .collect()
    }
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// A field of `/proc/PID/status`.
pub(crate) fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then_some(value.trim())
    })
}

pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "{what} did not come");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}
