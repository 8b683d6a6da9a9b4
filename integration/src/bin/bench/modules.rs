//! Modules of a given size, all code.

use anyhow::Result;
use coracle_integration::Image;
use coracle_integration::image::Form;
use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, FunctionSection, Module, TypeSection, ValType,
};

/// Instructions of one function.
const LENGTH: i32 = 200;

/// An image with a command of about this size that returns at once.
pub(crate) fn image(mebibytes: usize) -> Result<Image> {
    let name = format!("large{mebibytes}");
    let wasm = module(mebibytes << 20);
    Image::of_wasm(
        &format!("localhost/{name}:bench"),
        Form::File,
        &format!("{name}.wasm"),
        &wasm,
    )
}

/// A start that returns, and exported functions that cannot be left out.
fn module(size: usize) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    types.ty().function([ValType::I32], [ValType::I32]);
    let (mut functions, mut exports, mut code) = (
        FunctionSection::new(),
        ExportSection::new(),
        CodeSection::new(),
    );
    functions.function(0);
    exports.export("_start", ExportKind::Func, 0);
    let mut start = Function::new([]);
    start.instructions().end();
    code.function(&start);
    let mut index = 1;
    while code.byte_len() < size {
        functions.function(1);
        exports.export(&format!("f{index}"), ExportKind::Func, index);
        code.function(&busy(index));
        index += 1;
    }
    let mut module = Module::new();
    module
        .section(&types)
        .section(&functions)
        .section(&exports)
        .section(&code);
    module.finish()
}

fn busy(seed: u32) -> Function {
    let mut function = Function::new([]);
    let mut body = function.instructions();
    for step in 0..LENGTH {
        let value = seed.cast_signed().wrapping_mul(0x9e37).wrapping_add(step);
        body.local_get(0)
            .i32_const(value)
            .i32_xor()
            .i32_const(step)
            .i32_mul()
            .local_set(0);
    }
    body.local_get(0).end();
    function
}
