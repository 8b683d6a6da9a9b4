//! What each world runs, and what it refuses, on programs small enough to read here.

use std::io::Write as _;

use wasmtime_wasi::p2::pipe::MemoryOutputPipe;

use super::*;
use crate::process::chain;
use crate::{LoadError, Output};

fn load(text: &str, function: Option<&str>) -> Result<Program, LoadError> {
    Program::from_bytes(&Engine::new().unwrap(), text.as_bytes(), function)
}

/// The same program by the way of a file that holds its compiled code.
#[expect(unsafe_code, reason = "the file holds what `compile` wrote just now")]
fn load_compiled(text: &str, function: Option<&str>) -> Result<Program, LoadError> {
    let engine = Engine::new().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&engine.compile(text.as_bytes())?).unwrap();
    // SAFETY: the file has no name, and nobody else has it open.
    unsafe { Program::from_compiled(&engine, &file, function) }
}

/// Runs and answers with the end and what was written to standard output, which are the same whether the
/// program was compiled here or mapped.
async fn run(text: &str, function: Option<&str>) -> (Result<End, RunError>, String) {
    let compiled = run_program(load(text, function).unwrap()).await;
    let mapped = run_program(load_compiled(text, function).unwrap()).await;
    assert_eq!(seen(&mapped), seen(&compiled));
    mapped
}

/// For comparing, without the backtrace of the host, which stands there when it is asked for.
fn seen(run: &(Result<End, RunError>, String)) -> String {
    let text = format!("{run:?}");
    let (guests, _) = text
        .split_once("Stack backtrace:")
        .unwrap_or((text.as_str(), ""));
    guests.to_owned()
}

async fn run_program(program: Program) -> (Result<End, RunError>, String) {
    let stdout = MemoryOutputPipe::new(1 << 16);
    let grants = Grants {
        stdout: Output::Capture(stdout.clone()),
        ..Grants::default()
    };
    let end = program.run(grants, Stop::new()).await;
    (end, String::from_utf8(stdout.contents().to_vec()).unwrap())
}

fn exits_with(code: u32) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (func (export "_start") (call $exit (i32.const {code}))))"#
    )
}

const ANSWER: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "forty-two")
    (data (i32.const 0) "\10\00\00\00\09\00\00\00")
    (func (export "answer") (result i32)
        (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (func (export "add") (param i32 i32) (result i32) (local.get 0)))"#;

#[tokio::test]
async fn exit_codes_reach_the_caller_over_their_whole_range() {
    for code in [0, 1, 42, 126, 255] {
        let (end, _) = run(&exits_with(code), None).await;
        let Ok(End::Exited(seen)) = end else {
            panic!("{code}: {end:?}")
        };
        assert_eq!(u32::from(seen), code);
    }
}

#[tokio::test]
async fn a_plain_function_is_called_by_name() {
    let (end, stdout) = run(ANSWER, Some("answer")).await;
    assert!(matches!(end, Ok(End::Exited(0))), "{end:?}");
    assert_eq!(stdout, "forty-two");
}

#[tokio::test]
async fn a_trap_reports_what_happened_and_the_names_on_the_way() {
    let divides = r#"(module
        (func $inner (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
        (func $outer (export "_start") (drop (call $inner (i32.const 0)))))"#;
    let (end, _) = run(divides, None).await;
    let Ok(End::Trapped { report }) = end else {
        panic!("{end:?}")
    };
    assert_eq!(
        End::Trapped {
            report: String::new()
        }
        .exit_code(),
        134
    );
    for part in ["integer divide by zero", "inner", "outer"] {
        assert!(report.contains(part), "{part:?} is missing in {report}");
    }
}

#[tokio::test]
async fn an_unknown_import_is_named() {
    let wants = r#"(module (import "env" "nosuch" (func)) (func (export "_start")))"#;
    let (end, _) = run(wants, None).await;
    let Err(RunError::Link { world, source }) = end else {
        panic!("{end:?}")
    };
    assert_eq!(world, "wasip1 command");
    assert!(source.to_string().contains("`env::nosuch`"), "{source}");
}

#[tokio::test]
async fn a_component_that_wants_an_unknown_interface_is_told_which() {
    let wants = r#"(component
        (import "acme:paint/brush@1.0.0" (instance (export "dip" (func))))
        (instance $run) (export "wasi:cli/run@0.2.0" (instance $run)))"#;
    let (end, _) = run(wants, None).await;
    let Err(RunError::Link { source, .. }) = end else {
        panic!("{end:?}")
    };
    assert!(
        format!("{source:?}").contains("acme:paint/brush@1.0.0"),
        "{source:?}"
    );
}

#[test]
fn worlds_of_components_are_told_by_their_exports() {
    let world = |export: &str| {
        let text = format!(r#"(component (instance $i) (export "{export}" (instance $i)))"#);
        let world = |loaded: Result<Program, LoadError>| {
            loaded
                .map(|program| program.world().clone())
                .map_err(|e| e.to_string())
        };
        let mapped = world(load_compiled(&text, None));
        assert_eq!(mapped, world(load(&text, None)));
        mapped
    };
    assert_eq!(world("wasi:cli/run@0.2.6"), Ok(World::Command02));
    assert_eq!(world("wasi:cli/run@0.3.0"), Ok(World::Command03));
    assert_eq!(
        world("wasi:http/incoming-handler@0.2.0"),
        Ok(World::HttpProxy02)
    );
    assert_eq!(world("wasi:http/handler@0.3.0"), Ok(World::HttpService03));
    let refusal = world("wasi:http/incoming-handler@0.1.0").unwrap_err();
    let start =
        "nothing to start: it exports wasi:http/incoming-handler@0.1.0; a component is started";
    assert!(refusal.starts_with(start), "{refusal}");
}

#[test]
fn a_module_without_a_start_says_what_it_exports() {
    let refusal = load(ANSWER, None).map(drop).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "nothing to start: it exports memory, answer, add; a module is started by `_start`, \
         or by the function that the entrypoint names as `path#function`"
    );
}

#[test]
fn a_function_that_is_missing_or_wants_arguments_is_refused_by_name() {
    let refusal = |name| {
        let mapped = load_compiled(ANSWER, Some(name)).map(drop).unwrap_err();
        let refused = load(ANSWER, Some(name)).map(drop).unwrap_err();
        assert_eq!(mapped.to_string(), refused.to_string());
        mapped.to_string()
    };
    let missing = "it has no exported function `anser`; it exports memory, answer, add";
    assert_eq!(refusal("anser"), missing);
    let memory = "it has no exported function `memory`; it exports memory, answer, add";
    assert_eq!(refusal("memory"), memory);
    assert_eq!(
        refusal("add"),
        "the exported function `add` takes parameters (2); accepted are functions without"
    );
}

#[test]
fn code_compiled_elsewhere_is_refused() {
    let engine = Engine::new().unwrap();
    let module = wat::parse_str(exits_with(0)).unwrap();
    let module = Module::new(engine.wasmtime(), module).unwrap();
    let code = module.serialize().unwrap();
    let refusal = Program::from_bytes(&engine, &code, None)
        .map(drop)
        .unwrap_err();
    let expected = "a precompiled module: code compiled elsewhere is refused, ship the wasm itself";
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn invalid_wasm_is_refused_with_the_place() {
    let engine = Engine::new().unwrap();
    let valid = wat::parse_str(exits_with(0)).unwrap();
    let cut = &valid[..valid.len() - 3];
    let error = Program::from_bytes(&engine, cut, None)
        .map(drop)
        .unwrap_err();
    let line = chain(&error);
    assert!(line.starts_with("invalid core module: "), "{line}");
    assert!(line.contains("at offset"), "{line}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_granted_stops_the_start() {
    let missing = crate::Preopen {
        host: "/nowhere/at/all".into(),
        guest: "/".to_owned(),
        read_only: true,
    };
    let grants = Grants {
        preopens: vec![missing],
        ..Grants::default()
    };
    let end = load(&exits_with(0), None)
        .unwrap()
        .run(grants, Stop::new())
        .await;
    assert_eq!(
        end.unwrap_err().to_string(),
        "cannot open /nowhere/at/all for the guest"
    );
}
