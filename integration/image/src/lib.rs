//! OCI images made in memory: root file systems, and wasm in every form that exists in the field.
//!
//! An [`Image`] is a value: a manifest, a config and layers with their digests. It knows no containerd; it
//! is pushed to one by the harness, or written as an archive in the [`layout`] that every tool imports.
//!
//! Architecture invariant: the same input gives the same bytes, so that a digest says what was built.

pub mod elf;
pub mod layout;
pub mod node;

mod layer;
mod rootfs;
mod wasm;

pub use rootfs::Rootfs;
pub use wasm::{Form, Target};

use anyhow::Result;
use oci_spec::image::{
    Descriptor, DescriptorBuilder, Digest, ImageManifestBuilder, MediaType, SCHEMA_VERSION,
};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::str::FromStr;

/// One addressable piece of an image.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Media type, size and digest.
    pub descriptor: Descriptor,
    /// The content.
    pub bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: MediaType, bytes: Vec<u8>) -> Result<Self> {
        let descriptor = DescriptorBuilder::default()
            .media_type(media_type)
            .size(u64::try_from(bytes.len())?)
            .digest(Digest::from_str(&digest(&bytes))?)
            .build()?;
        Ok(Self { descriptor, bytes })
    }
}

/// What a container made of the image runs unless it is told otherwise.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// The program and its fixed arguments.
    pub entrypoint: Vec<String>,
    /// Arguments that a container may replace.
    pub cmd: Vec<String>,
    /// `NAME=value` pairs.
    pub env: Vec<String>,
}

/// An image, ready to be pushed.
#[derive(Clone, Debug)]
pub struct Image {
    /// The reference that it is stored under.
    pub name: String,
    /// The manifest.
    pub manifest: Blob,
    /// The config, in the format of whichever kind of image this is.
    pub config: Blob,
    /// The layers, lowest first.
    pub layers: Vec<Blob>,
    /// What it runs.
    pub process: Process,
    /// The digests of the uncompressed layers, where those are tar archives that make a root file system.
    pub diff_ids: Vec<String>,
}

impl Image {
    fn assemble(name: &str, config: Blob, layers: Vec<Blob>) -> Result<Self> {
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config.descriptor.clone())
            .layers(
                layers
                    .iter()
                    .map(|layer| layer.descriptor.clone())
                    .collect::<Vec<_>>(),
            )
            .build()?;
        let manifest = Blob::new(MediaType::ImageManifest, manifest.to_string()?.into_bytes())?;
        Ok(Self {
            name: name.to_owned(),
            manifest,
            config,
            layers,
            process: Process::default(),
            diff_ids: Vec::new(),
        })
    }

    /// The name of the snapshot that holds the unpacked image; `None` when there is nothing to unpack.
    #[must_use]
    pub fn chain_id(&self) -> Option<String> {
        self.chain().pop()
    }

    /// The snapshot names of all layers, lowest first.
    #[must_use]
    pub fn chain(&self) -> Vec<String> {
        let mut chain: Vec<String> = Vec::new();
        for diff_id in &self.diff_ids {
            chain.push(match chain.last() {
                None => diff_id.clone(),
                Some(parent) => digest(format!("{parent} {diff_id}").as_bytes()),
            });
        }
        chain
    }
}

/// The digest of `bytes` as OCI writes it.
fn digest(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}
