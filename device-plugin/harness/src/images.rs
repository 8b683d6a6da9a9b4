//! The images of the programs.

use anyhow::Result;
use coracle_akri_programs::program;
use coracle_integration::Image;
use coracle_integration::image::{Form, Rootfs};

/// The image of a handler, or of the broker: a root file system with the module alone, which every containerd can unpack.
///
/// # Errors
/// When the program is not built.
pub fn handler_image(name: &str) -> Result<Image> {
    Image::of_wasm(
        &format!("coracle.test/{name}:1"),
        Form::File,
        &format!("{name}.wasm"),
        &program(name)?,
    )
}

/// The image of the proxy: one program, which needs nothing else.
///
/// # Errors
/// When the program is not built.
pub fn proxy_image() -> Result<Image> {
    Rootfs::new("coracle.test/akri_proxy:1")
        .file("coracle-akri-proxy", 0o755, program("akri_proxy")?)
        .entrypoint(["/coracle-akri-proxy"])
        .build()
}
