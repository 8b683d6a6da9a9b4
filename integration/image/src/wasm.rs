//! Images whose layer is the wasm itself.

use anyhow::Result;
use oci_spec::image::MediaType;
use serde_json::json;

use super::{Blob, Image, Process, Rootfs};

/// The interface that a module or component was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A core module.
    Wasip1,
    /// A component.
    Wasip2,
}

impl Target {
    fn os(self) -> &'static str {
        match self {
            Self::Wasip1 => "wasip1",
            Self::Wasip2 => "wasip2",
        }
    }
}

/// How an image carries wasm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A file in a root file system, named by the entrypoint.
    File,
    /// The artifact that CNCF's TAG Runtime describes: a config of its own type, one layer `application/wasm`.
    Artifact(Target),
    /// A layer of the type that runwasi defined, under an ordinary config for `wasm`.
    ComponentLayer,
    /// A layer of the type that wasm-to-oci and older tools write, under an ordinary config for `wasm`.
    ContentLayer,
}

impl Image {
    /// An image `name` with `wasm` in the given form; a file in it is called `/<file>`.
    ///
    /// Every form runs `/<file>`: that is its entrypoint, as far as it can say so.
    ///
    /// # Errors
    /// When `file` cannot stand in a tar archive.
    pub fn of_wasm(name: &str, form: Form, file: &str, wasm: &[u8]) -> Result<Self> {
        let entrypoint = vec![format!("/{file}")];
        let layer = |media_type: &str| Blob::new(MediaType::from(media_type), wasm.to_vec());
        let image = match form {
            Form::File => {
                return Rootfs::new(name)
                    .file(file, 0o755, wasm)
                    .entrypoint(entrypoint)
                    .build();
            }
            Form::Artifact(target) => {
                let layer = layer("application/wasm")?;
                let config = artifact_config(target, &layer)?;
                Self::assemble(name, config, vec![layer])?
            }
            Form::ComponentLayer => {
                let layer = layer("application/vnd.bytecodealliance.wasm.component.layer.v0+wasm")?;
                let config = ordinary_config(&layer, &entrypoint)?;
                Self::assemble(name, config, vec![layer])?
            }
            Form::ContentLayer => {
                let layer = layer("application/vnd.wasm.content.layer.v1+wasm")?;
                let config = ordinary_config(&layer, &entrypoint)?;
                Self::assemble(name, config, vec![layer])?
            }
        };
        Ok(Self {
            process: Process {
                entrypoint,
                ..Process::default()
            },
            ..image
        })
    }
}

fn artifact_config(target: Target, layer: &Blob) -> Result<Blob> {
    let component = match target {
        Target::Wasip1 => None,
        Target::Wasip2 => Some(json!({ "exports": ["wasi:cli/run@0.2.0"], "imports": [] })),
    };
    let mut config = json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": target.os(),
        "layerDigests": [layer.descriptor.digest()],
    });
    if let Some(component) = component {
        config["component"] = component;
    }
    Blob::new(
        MediaType::from("application/vnd.wasm.config.v0+json"),
        serde_json::to_vec(&config)?,
    )
}

fn ordinary_config(layer: &Blob, entrypoint: &[String]) -> Result<Blob> {
    let config = json!({
        "architecture": "wasm",
        "os": "wasip1",
        "config": { "Entrypoint": entrypoint },
        "rootfs": { "type": "layers", "diff_ids": [layer.descriptor.digest()] },
    });
    Blob::new(MediaType::ImageConfig, serde_json::to_vec(&config)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn an_artifact_has_the_config_and_the_layer_that_the_guidance_asks_for() {
        let wasm = b"\0asm\x01\0\0\0";
        let image = Image::of_wasm("a", Form::Artifact(Target::Wasip2), "a.wasm", wasm).unwrap();
        let manifest: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
        let config: Value = serde_json::from_slice(&image.config.bytes).unwrap();
        assert_eq!(
            manifest["config"]["mediaType"],
            "application/vnd.wasm.config.v0+json"
        );
        assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
        assert_eq!(config["architecture"], "wasm");
        assert_eq!(config["os"], "wasip2");
        assert_eq!(config["layerDigests"][0], manifest["layers"][0]["digest"]);
        assert_eq!(image.layers[0].bytes, wasm);
        assert_eq!(image.chain_id(), None);
    }
}
