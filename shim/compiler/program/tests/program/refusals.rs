//! What is no wasm, or not valid, is refused in the words of the engine.

use coracle_compiler::CompileError;
use coracle_engine::Engine;

use crate::bench::{compile, hello, limits};

fn reason(wasm: &[u8]) -> String {
    match compile(wasm, limits()).unwrap_err() {
        CompileError::Refused { reason } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn wasm_is_compiled_to_what_the_engine_itself_would_make() {
    let expected = Engine::new().unwrap().compile(&hello()).unwrap();
    assert_eq!(compile(&hello(), limits()).unwrap(), expected.len() as u64);
}

#[test]
fn what_is_refused_is_refused_with_the_engines_reason() {
    let mut invalid = hello();
    invalid.truncate(invalid.len() - 1);
    let cases: [(&[u8], &str); 4] = [
        (b"", "not wasm: it is empty"),
        (
            b"#!/bin/sh\n",
            "not wasm: it starts with [23, 21, 2f, 62, 69, 6e, 2f, 73]; \
             wasm starts with 00 61 73 6d, text with `(module` or `(component`",
        ),
        (b"(module (func", "text format with an error: "),
        (&invalid, "invalid core module: "),
    ];
    for (wasm, expected) in cases {
        let reason = reason(wasm);
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[test]
fn code_compiled_elsewhere_is_refused() {
    let code = Engine::new().unwrap().compile(&hello()).unwrap();
    assert_eq!(
        reason(&code),
        "a precompiled module: code compiled elsewhere is refused, ship the wasm itself"
    );
}
