//! The compiler together with the cache, and several processes that use them at once.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use coracle_cache::{Cache, Digest, Digests, Entry, Origin};
use coracle_compiler::{Compiler, Store};
use coracle_engine::{Engine, LoadError, Program, World};
use tempfile::TempDir;

use crate::bench::{PROGRAM, Waiting, file, hello, limits, long, store, wait_for};

const ROOT: &str = "CORACLE_TEST_ROOT";
const COMPILER: &str = "CORACLE_TEST_COMPILER";
const WASM: &str = "CORACLE_TEST_WASM";

/// A process that compiles this wasm by way of the cache, as a maker of the shim does.
pub(crate) fn maker(root: &TempDir, program: &Path, wasm: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "sharing::the_maker", "--ignored"])
        .env(ROOT, root.path())
        .env(COMPILER, program)
        .env(WASM, wasm)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "started by other tests, in a process of its own"]
fn the_maker() {
    let path = |name| env::var_os(name).unwrap();
    let (root, compiler) = (path(ROOT), path(COMPILER));
    let compatibility = Engine::compatibility();
    let marks = Path::new(&root).join("marks");
    let cache = Cache::open(
        &Path::new(&root).join("cache"),
        &marks,
        &compatibility,
        1 << 30,
    );
    let compiler = Compiler::new(Path::new(&compiler), &compatibility, limits());
    let wasm = File::open(path(WASM)).unwrap();
    if wasm.metadata().unwrap().is_file() {
        let store = Store::new(cache.unwrap(), Digests::open(&marks).unwrap(), compiler);
        store.entry(&wasm, Origin::Elsewhere).unwrap();
    } else {
        // A pipe, which has no digest: the compiler waits for what is in it.
        let digest = Digest::of(b"");
        let compile = |output: &File| compiler.compile(&wasm, output);
        cache.unwrap().fetch(&digest, compile).unwrap();
    }
}

#[expect(unsafe_code, reason = "entries hold what the compiler wrote")]
fn load(entry: &Entry) -> Result<Program, LoadError> {
    // SAFETY: the entry is of a cache that only this test writes, and only the compiler's output.
    unsafe { Program::from_compiled(&Engine::new().unwrap(), entry.file(), None) }
}

/// A compiler that counts how often it is started.
fn counting(root: &TempDir) -> (std::path::PathBuf, impl Fn() -> usize) {
    let (script, log) = (root.path().join("counting"), root.path().join("starts"));
    let text = format!(
        "#!/bin/sh\necho started >> {}\nexec {PROGRAM} \"$@\"\n",
        log.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let starts = move || fs::read_to_string(&log).map_or(0, |log| log.lines().count());
    (script, starts)
}

#[test]
fn what_is_compiled_once_is_mapped_from_then_on() {
    let root = tempfile::tempdir().unwrap();
    let (script, starts) = counting(&root);
    let store = store(&root, &script, limits());
    for origin in [Origin::Elsewhere, Origin::Layer { device: 1 }] {
        let entry = store.entry(&file(&hello()), origin).unwrap();
        assert_eq!(load(&entry).unwrap().world(), &World::Wasip1Command);
    }
    assert_eq!(starts(), 1);
}

#[test]
fn wasm_under_anothers_digest_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = store(&root, Path::new(PROGRAM), limits());
    let (digest, other) = (Digest::of(&hello()), Digest::of(b"other"));
    let refused = store.entry_of(&other, &file(&hello())).unwrap_err();
    let reason = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(
        reason,
        format!("its digest is {digest}, and {other} was expected: it was changed meanwhile")
    );
    load(&store.entry_of(&digest, &file(&hello())).unwrap()).unwrap();
    // Found without a look at the file.
    load(&store.entry_of(&digest, &file(b"")).unwrap()).unwrap();
}

#[test]
fn what_is_written_between_hashing_and_compiling_does_not_take_anothers_place() {
    let root = tempfile::tempdir().unwrap();
    // A compiler that stands for the moment between: it changes the file, and then compiles.
    let wasm = root.path().join("app.wasm");
    fs::write(&wasm, hello()).unwrap();
    let swaps = root.path().join("swaps");
    let text = format!(
        "#!/bin/sh\necho '(module (func (export \"other\")))' > {}\nexec {PROGRAM} \"$@\"\n",
        wasm.display()
    );
    fs::write(&swaps, text).unwrap();
    fs::set_permissions(&swaps, fs::Permissions::from_mode(0o755)).unwrap();
    // What is said to be of a layer is believed no more: a container may write over its root.
    for origin in [Origin::Elsewhere, Origin::Layer { device: 1 }] {
        fs::write(&wasm, hello()).unwrap();
        let fresh = tempfile::tempdir().unwrap();
        let store = store(&fresh, &swaps, limits());
        let opened = File::open(&wasm).unwrap();
        let entry = store.entry(&opened, origin).unwrap();
        assert_ne!(fs::read(&wasm).unwrap(), hello());
        assert_eq!(load(&entry).unwrap().world(), &World::Wasip1Command);
    }
}

#[test]
fn processes_that_want_the_same_compile_it_once() {
    let root = tempfile::tempdir().unwrap();
    let (script, starts) = counting(&root);
    let wasm = root.path().join("app.wasm");
    fs::write(&wasm, long(20_000)).unwrap();
    let makers: Vec<_> = (0..4).map(|_| maker(&root, &script, &wasm)).collect();
    for mut maker in makers {
        assert!(maker.wait().unwrap().success());
    }
    assert_eq!(starts(), 1);
}

#[test]
fn a_damaged_entry_is_compiled_anew() {
    let root = tempfile::tempdir().unwrap();
    let (script, starts) = counting(&root);
    let store = store(&root, &script, limits());
    let entry = store.entry(&file(&hello()), Origin::Elsewhere).unwrap();
    let damaged = File::options().write(true).open(entry.path()).unwrap();
    damaged.write_all_at(&[0xff], 5000).unwrap();
    drop((entry, damaged));
    let entry = store.entry(&file(&hello()), Origin::Elsewhere).unwrap();
    load(&entry).unwrap();
    assert_eq!(starts(), 2);
}

#[test]
fn code_of_another_engine_is_told_and_compiled_anew() {
    let root = tempfile::tempdir().unwrap();
    let store = store(&root, Path::new(PROGRAM), limits());
    let entry = store.entry(&file(&hello()), Origin::Elsewhere).unwrap();
    // Sealed as ours, and not what the engine runs: as if its configuration had changed unnoticed.
    let (cache, marks) = (root.path().join("cache"), root.path().join("marks"));
    let cache = Cache::open(&cache, &marks, &Engine::compatibility(), 1 << 30).unwrap();
    let digest = Digest::of(&hello());
    let mut code = vec![0; usize::try_from(entry.file().metadata().unwrap().len()).unwrap() - 80];
    entry.file().read_exact_at(&mut code, 0).unwrap();
    let version = code.windows(3).position(|w| w == b"\x0248").unwrap();
    code[version + 2] = b'7';
    cache.remove(&digest).unwrap();
    let foreign = cache
        .fetch(&digest, |output| output.write_all_at(&code, 0))
        .unwrap();
    let refused = load(&foreign).map(drop).unwrap_err();
    assert!(matches!(refused, LoadError::Foreign { .. }), "{refused}");
    let rebuilt = store.rebuilt(&file(&hello()), Origin::Elsewhere).unwrap();
    load(&rebuilt).unwrap();
}

#[test]
fn a_killed_maker_leaves_no_entry_and_the_next_one_compiles() {
    let root = tempfile::tempdir().unwrap();
    let waiting = Waiting::new(&root);
    let mut killed = maker(&root, Path::new(PROGRAM), &waiting.path);
    waiting.compiler();
    killed.kill().unwrap();
    killed.wait().unwrap();
    wait_for("the end of the compiler", || {
        waiting.candidates().is_empty().then_some(())
    });
    let folder = root.path().join("cache").join(Engine::compatibility());
    let names = || -> Vec<String> {
        let entries = fs::read_dir(&folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert!(!names().iter().any(|name| name.ends_with(".cwasm")));
    // As if a minute had passed.
    for name in names() {
        let left = File::options().write(true).open(folder.join(name)).unwrap();
        left.set_modified(std::time::SystemTime::now() - Duration::from_secs(61))
            .unwrap();
    }
    let store = store(&root, Path::new(PROGRAM), limits());
    let entry = store.entry(&file(&hello()), Origin::Elsewhere).unwrap();
    let name = entry.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(names(), [name]);
}

#[test]
fn what_a_start_costs_once_the_code_is_there() {
    let root = tempfile::tempdir().unwrap();
    let store = store(&root, Path::new(PROGRAM), limits());
    for (name, wasm) in [("hello", hello()), ("20000 steps", long(20_000))] {
        let path = root.path().join("app.wasm");
        fs::write(&path, &wasm).unwrap();
        let wasm = File::open(&path).unwrap();
        let layer = Origin::Layer { device: 1 };
        let start = Instant::now();
        let entry = store.entry(&wasm, layer).unwrap();
        let compiled = start.elapsed();
        let size = entry.file().metadata().unwrap().len();
        // The digest of a file that has just changed is not kept.
        wait_for("a quiet file", || {
            store.entry(&wasm, layer).unwrap();
            (start.elapsed() > compiled + Duration::from_secs(4)).then_some(())
        });
        let start = Instant::now();
        for _ in 0..50 {
            load(&store.entry(&wasm, layer).unwrap()).unwrap();
        }
        let each = start.elapsed() / 50;
        println!("{name}: {size} bytes of code, compiled in {compiled:?}, then {each:?} each");
    }
}
