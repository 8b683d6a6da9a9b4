//! Every form in which an image may carry wasm. The file in a root file system is what all other tests use.

use anyhow::Result;
use coracle_integration::image::{Form, Target};

use crate::{contained, in_form};

/// Asserts that guest `name` says `text` in `form`.
async fn runs(form: Form, name: &str, text: &str) -> Result<()> {
    let finished = contained(&in_form(form, name)?).await?.run().await?;
    assert_eq!(finished.stdout, text, "{}", finished.stderr);
    assert_eq!(finished.code, 0);
    Ok(())
}

#[tokio::test]
async fn a_module_in_an_artifact_runs() -> Result<()> {
    runs(Form::Artifact(Target::Wasip1), "hello", "hello from rust\n").await
}

#[tokio::test]
async fn a_component_in_an_artifact_runs() -> Result<()> {
    runs(
        Form::Artifact(Target::Wasip2),
        "hello_p2",
        "hello from rust\n",
    )
    .await
}

#[tokio::test]
async fn a_bytecodealliance_component_layer_runs() -> Result<()> {
    runs(Form::ComponentLayer, "hello_p2", "hello from rust\n").await
}

#[tokio::test]
async fn a_wasm_content_layer_runs() -> Result<()> {
    runs(Form::ContentLayer, "hello", "hello from rust\n").await
}

#[tokio::test]
async fn a_module_in_an_artifact_gets_its_arguments() -> Result<()> {
    let image = in_form(Form::Artifact(Target::Wasip1), "args")?;
    let finished = contained(&image).await?.args(["one"]).run().await?;
    assert_eq!(finished.stdout, "/args.wasm\none\n", "{}", finished.stderr);
    Ok(())
}
