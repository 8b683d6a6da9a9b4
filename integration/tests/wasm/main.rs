//! Wasm through the real containerd and the shim that `CORACLE_SHIM_DIR` names.

mod failures;
mod forms;
mod guests;
mod lifecycle;
mod pods;

use std::fs;

use anyhow::Result;
use coracle_integration::image::Form;
use coracle_integration::task::{Container, Runtime};
use coracle_integration::{Image, Node};

/// A guest without a test does not compile: its test has its name, in `guests.rs`.
mod completeness {
    macro_rules! has_a_test {
        ($name:ident) => {
            const _: fn() -> anyhow::Result<()> = crate::guests::$name;
        };
    }
    coracle_guests::for_each_guest!(has_a_test);
}

/// The bytes of guest `name`.
fn wasm(name: &str) -> Result<Vec<u8>> {
    Ok(fs::read(coracle_guests::built(name)?)?)
}

/// An image with guest `name` as the file `/<name>.wasm`.
fn image(name: &str) -> Result<Image> {
    in_form(Form::File, name)
}

/// An image with guest `name` in `form`, to be called `/<name>.wasm`.
fn in_form(form: Form, name: &str) -> Result<Image> {
    let reference = format!("coracle.test/{name}:{}", format!("{form:?}").to_lowercase());
    let reference = reference.replace(['(', ')'], "-");
    Image::of_wasm(&reference, form, &format!("{name}.wasm"), &wasm(name)?)
}

/// A container of the shared node that runs guest `name`.
async fn guest(name: &str) -> Result<Container<'static>> {
    contained(&image(name)?).await
}

/// A container of the shared node that runs `image`.
async fn contained(image: &Image) -> Result<Container<'static>> {
    let name = image.process.entrypoint.first().map_or("", String::as_str);
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let node = Node::shared().await?;
    Ok(node.container(&name).image(image).runtime(Runtime::Coracle))
}
