//! What cannot be run says why, on the container's standard error.

use std::fs;

use anyhow::Result;
use coracle_integration::Node;
use coracle_integration::image::{Form, Rootfs};
use coracle_integration::{Image, task};

use crate::{contained, guest, wasm};

/// Asserts that `image` is refused with `code`, for a reason that has all `parts`.
async fn refused(image: &Image, code: u32, parts: &[&str]) -> Result<()> {
    let finished: task::Finished = contained(image).await?.run().await?;
    assert_eq!(finished.code, code, "{}", finished.stderr);
    assert!(
        finished.stderr.text().starts_with("coracle: "),
        "{}",
        finished.stderr
    );
    for part in parts {
        assert!(
            finished.stderr.contains(part),
            "no {part:?} in {}",
            finished.stderr
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_not_wasm_is_refused() -> Result<()> {
    let text = b"neither a module nor a program\n";
    let image = Image::of_wasm("coracle.test/text:1", Form::File, "text.wasm", text)?;
    refused(&image, 126, &["/text.wasm"]).await
}

#[tokio::test]
async fn a_truncated_module_is_refused() -> Result<()> {
    let hello = wasm("hello")?;
    let half = &hello[..hello.len() / 2];
    let image = Image::of_wasm("coracle.test/truncated:1", Form::File, "half.wasm", half)?;
    refused(&image, 126, &["/half.wasm"]).await
}

#[tokio::test]
async fn an_entrypoint_that_is_missing_is_named() -> Result<()> {
    let image = Rootfs::new("coracle.test/missing:1")
        .file("other.wasm", 0o755, wasm("hello")?)
        .entrypoint(["/nosuch.wasm"])
        .build()?;
    refused(&image, 127, &["/nosuch.wasm"]).await
}

#[tokio::test]
async fn an_exported_function_that_is_missing_is_named() -> Result<()> {
    let finished = guest("plain_export")
        .await?
        .command(["/plain_export.wasm#nosuch"])
        .run()
        .await?;
    assert_eq!(finished.code, 126, "{}", finished.stderr);
    assert!(finished.stderr.contains("nosuch"), "{}", finished.stderr);
    Ok(())
}

#[tokio::test]
async fn a_read_only_mount_cannot_be_written() -> Result<()> {
    let folder = Node::shared().await?.layout().temporary().join("read_only");
    fs::create_dir_all(&folder)?;
    let words = ["/data/file", "lost"];
    let finished = guest("write_file")
        .await?
        .mount_read_only(&folder, "/data")
        .args(words)
        .run()
        .await?;
    assert_eq!(finished.code, 1);
    // wasmtime-wasi has no errno for a read-only file system in preview 1: the guest sees an I/O error.
    assert!(
        finished.stderr.text().starts_with("/data/file: "),
        "{}",
        finished.stderr
    );
    assert_eq!(fs::read_dir(&folder)?.count(), 0);
    Ok(())
}
