//! Each way in which a compilation can end, and that nothing is left of it.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use coracle_cache::{FetchError, Origin};
use coracle_compiler::{CompileError, Compiler, Limit, Limits};
use coracle_engine::Engine;

use crate::bench::{
    PROGRAM, Waiting, compile, compiler, file, hello, limits, long, signal, store, wait_for,
};

fn too_large(wasm: &[u8], limits: Limits) -> (Limit, String) {
    match compile(wasm, limits).unwrap_err() {
        error @ CompileError::TooLarge { limit, .. } => (limit, error.to_string()),
        other => panic!("{other}"),
    }
}

#[test]
fn memory_beyond_the_limit_is_refused_by_its_name() {
    for mebibytes in [160, 256] {
        let limits = Limits {
            memory: mebibytes << 20,
            ..limits()
        };
        let expected = format!(
            "the compiler's memory is limited to {mebibytes} MiB (setting `compiler.memory`)"
        );
        assert_eq!(too_large(&long(300_000), limits), (Limit::Memory, expected));
    }
}

#[test]
fn processor_time_beyond_the_limit_is_refused_by_its_name() {
    let limits = Limits {
        processor: Duration::from_secs(1),
        ..limits()
    };
    let expected = "the compiler's processor time is limited to 1 s (setting `compiler.processor`)";
    let seen = too_large(&long(300_000), limits);
    assert_eq!(seen, (Limit::Processor, expected.to_owned()));
}

#[test]
fn code_beyond_the_limit_is_refused_by_its_name() {
    let limits = Limits {
        output: 4096,
        ..limits()
    };
    let expected = "the size of compiled code is limited to 4096 bytes (setting `compiler.output`)";
    let seen = too_large(&hello(), limits);
    assert_eq!(seen, (Limit::Output, expected.to_owned()));
}

#[test]
fn wasm_beyond_the_limit_is_not_even_read() {
    let root = tempfile::tempdir().unwrap();
    let limits = Limits {
        input: 10,
        ..limits()
    };
    let store = store(&root, Path::new("/no/compiler"), limits);
    let refused = store.entry(&file(&hello()), Origin::Elsewhere).unwrap_err();
    let FetchError::Compile(refused) = refused else {
        panic!("{refused}")
    };
    assert_eq!(
        refused.to_string(),
        "the size of wasm is limited to 10 bytes (setting `compiler.input`)"
    );
}

#[test]
fn a_compiler_that_hangs_is_ended_in_time_and_leaves_no_process() {
    let root = tempfile::tempdir().unwrap();
    let waiting = Waiting::new(&root);
    let limits = Limits {
        wall: Duration::from_secs(5),
        ..limits()
    };
    thread::scope(|scope| {
        let compilation = scope.spawn(|| compiler(limits).compile(&waiting.reader, &file(b"")));
        waiting.compiler();
        let refused = compilation.join().unwrap().unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the time to compile is limited to 5s (setting `compiler.wall`)"
        );
    });
    assert_eq!(waiting.candidates(), []);
}

#[test]
fn a_compiler_that_dies_of_a_signal_has_crashed_and_says_which() {
    // Not QUIT or INT: a shell that starts the tests in the background has them ignored.
    for (name, expected) in [
        ("KILL", "signal 9 (SIGKILL)"),
        ("SYS", "it made a forbidden system call"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let waiting = Waiting::new(&root);
        let refused = thread::scope(|scope| {
            let compilation =
                scope.spawn(|| compiler(limits()).compile(&waiting.reader, &file(b"")));
            signal(waiting.compiler(), name);
            compilation.join().unwrap().unwrap_err()
        });
        let CompileError::Crashed { how, .. } = refused else {
            panic!("{refused}")
        };
        assert_eq!(how, expected);
        assert_eq!(waiting.candidates(), []);
    }
}

#[test]
fn the_compiler_ends_with_whoever_started_it() {
    let root = tempfile::tempdir().unwrap();
    let waiting = Waiting::new(&root);
    let mut maker = crate::sharing::maker(&root, Path::new(PROGRAM), &waiting.path);
    let compiler = waiting.compiler();
    maker.kill().unwrap();
    maker.wait().unwrap();
    wait_for("the end of the compiler", || {
        (!waiting.candidates().contains(&compiler)).then_some(())
    });
}

#[test]
fn a_compiler_that_is_not_there_is_named() {
    let missing = Compiler::new(Path::new("/no/compiler"), "any", limits());
    let refused = missing.compile(&file(&hello()), &file(b"")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cannot start the compiler /no/compiler"
    );
    assert!(!refused.is_about_the_module());
}

#[test]
fn a_compiler_of_another_release_refuses_to_work() {
    let other = Compiler::new(Path::new(PROGRAM), "48.0.0-1-other", limits());
    let refused = other.compile(&file(&hello()), &file(b"")).unwrap_err();
    let here = Engine::compatibility();
    assert_eq!(
        refused.to_string(),
        format!(
            "the compiler cannot work: this program compiles for {here}, and 48.0.0-1-other was \
             asked for; install it and the shim from one release"
        )
    );
}

#[test]
fn a_user_is_told_that_root_is_needed() {
    let root = tempfile::tempdir().unwrap();
    // Another user cannot walk to where the program was built.
    let program = root.path().join("coracle-compile");
    std::fs::hard_link(PROGRAM, &program)
        .or_else(|_| std::fs::copy(PROGRAM, &program).map(drop))
        .unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(root.path(), open).unwrap();
    let ended = Command::new(&program)
        .args(["--compatibility", &Engine::compatibility()])
        .uid(1000)
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(125));
    assert_eq!(
        String::from_utf8(ended.stderr).unwrap(),
        "the sandbox is made by root, and this is user 1000: it needs to leave the node's \
         namespaces, mount an empty root and take on another user\n"
    );
}
