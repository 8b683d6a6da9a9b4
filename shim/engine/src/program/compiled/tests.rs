//! Code that takes the way through a file: the same as code that did not, and refused where it is foreign.

use std::io::Write as _;

use super::*;
use crate::Binary;

const MODULE: &str = r#"(module (func (export "_start")))"#;
const COMPONENT: &str = r#"(component
    (core module $m (func (export "run") (result i32) (i32.const 0)))
    (core instance $i (instantiate $m))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.0" (instance $run)))"#;

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[expect(unsafe_code, reason = "the tests keep the contract")]
fn load(file: &File) -> Result<Program, LoadError> {
    // SAFETY: a file of these tests, which holds what `compile` wrote or is refused by its header.
    unsafe { Program::from_compiled(&Engine::new().unwrap(), file, None) }
}

fn refusal(file: &File) -> LoadError {
    load(file).map(drop).unwrap_err()
}

#[test]
fn the_header_tells_a_module_from_a_component_as_wasmtime_does() {
    let engine = Engine::new().unwrap();
    for (text, expected) in [
        (MODULE, Binary::PrecompiledModule),
        (COMPONENT, Binary::PrecompiledComponent),
    ] {
        let code = engine.compile(text.as_bytes()).unwrap();
        assert_eq!(Binary::of(&code), Ok(expected));
        let told = match form(&file(&code)).unwrap() {
            Precompiled::Module => Binary::PrecompiledModule,
            Precompiled::Component => Binary::PrecompiledComponent,
        };
        assert_eq!(told, expected);
    }
}

#[test]
fn what_stands_behind_the_code_does_not_disturb() {
    let engine = Engine::new().unwrap();
    for text in [MODULE, COMPONENT] {
        let mut code = engine.compile(text.as_bytes()).unwrap();
        code.extend([0xaa; 80]);
        load(&file(&code)).unwrap();
    }
}

#[test]
#[expect(unsafe_code, reason = "the tests keep the contract")]
fn a_component_is_loaded_where_its_file_cannot_be_opened_anew() {
    let engine = Engine::new().unwrap();
    let file = file(&engine.compile(COMPONENT.as_bytes()).unwrap());
    // SAFETY: the path leads nowhere, and the file holds what was just compiled.
    let copied = unsafe { component(&engine, &file, "/nowhere") }.unwrap();
    let world = crate::World::of_component(&copied, &engine, None);
    assert_eq!(world, Ok(crate::World::Command02));
}

#[test]
fn the_code_of_both_is_mapped_from_the_file() {
    let engine = Engine::new().unwrap();
    for text in [MODULE, COMPONENT] {
        let mut stored = tempfile::NamedTempFile::new().unwrap();
        let code = engine.compile(text.as_bytes()).unwrap();
        stored.write_all(&code).unwrap();
        let program = load(stored.as_file()).unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let path = stored.path().to_str().unwrap();
        let rights: Vec<_> = maps
            .lines()
            .filter(|line| line.ends_with(path))
            .filter_map(|line| line.split(' ').nth(1))
            .collect();
        assert!(rights.contains(&"r-xp"), "{rights:?}");
        assert!(
            rights.iter().all(|rights| !rights.contains('w')),
            "{rights:?}"
        );
        drop(program);
    }
}

#[test]
fn a_program_keeps_the_lock_on_its_file() {
    let engine = Engine::new().unwrap();
    for text in [MODULE, COMPONENT] {
        let mut stored = tempfile::NamedTempFile::new().unwrap();
        let code = engine.compile(text.as_bytes()).unwrap();
        stored.write_all(&code).unwrap();
        let opened = File::open(stored.path()).unwrap();
        opened.lock_shared().unwrap();
        let program = load(&opened).unwrap();
        drop(opened);
        let other = File::open(stored.path()).unwrap();
        assert!(
            other.try_lock().is_err(),
            "the lock went with the caller's file"
        );
        drop(program);
        other.try_lock().unwrap();
    }
}

#[test]
fn code_of_another_configuration_is_told_from_everything_else() {
    let mut config = wasmtime::Config::new();
    config
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Enable)
        .epoch_interruption(true);
    let other = wasmtime::Engine::new(&config).unwrap();
    let code = other
        .precompile_module(&wat::parse_str(MODULE).unwrap())
        .unwrap();
    let refused = refusal(&file(&code));
    assert!(matches!(refused, LoadError::Foreign { .. }), "{refused:?}");
    let line = crate::process::chain(&refused);
    assert!(line.contains("epoch interruption"), "{line}");
}

#[test]
fn what_is_no_compiled_code_is_foreign_and_says_what_it_is() {
    let line = |bytes: &[u8]| {
        let refused = refusal(&file(bytes));
        assert!(matches!(refused, LoadError::Foreign { .. }), "{refused:?}");
        crate::process::chain(&refused)
    };
    assert_eq!(
        line(b"short"),
        "the compiled code does not fit this engine: it is shorter than an ELF header"
    );
    assert_eq!(
        line(&[0; 100]),
        "the compiled code does not fit this engine: its header has the ABI 0 and the flags 0x0; \
         accepted are 200 with 0x1 (module) or 0x2 (component)"
    );
    let code = Engine::new().unwrap().compile(MODULE.as_bytes()).unwrap();
    let cut = line(&code[..code.len() / 2]);
    assert!(cut.starts_with("the compiled code does not fit"), "{cut}");
}

#[test]
fn the_kernels_refusal_is_no_reason_to_compile_anew() {
    let folder = File::open("/").unwrap();
    let refused = refusal(&folder);
    assert!(matches!(refused, LoadError::Unmapped { .. }), "{refused:?}");
}
