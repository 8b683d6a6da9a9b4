//! Images with a root file system: ordinary tar layers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use oci_spec::image::{
    Arch, ConfigBuilder, ImageConfigurationBuilder, MediaType, Os, RootFsBuilder,
};

use super::layer::{Entry, archive};
use super::{Blob, Image, Process};

/// Collects the files of an image.
#[derive(Clone, Debug)]
pub struct Rootfs {
    name: String,
    entries: BTreeMap<PathBuf, Entry>,
    process: Process,
    architecture: Arch,
    os: Os,
}

impl Rootfs {
    /// An empty root file system for the host's platform.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            entries: BTreeMap::new(),
            process: Process::default(),
            architecture: Arch::default(),
            os: Os::Linux,
        }
    }

    /// Adds a file; the folders that lead to it come by themselves.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        self.entry(path, Entry::File { mode, bytes })
    }

    /// Adds a folder.
    #[must_use]
    pub fn folder(self, path: &str, mode: u32) -> Self {
        self.entry(path, Entry::Folder { mode })
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        let target = target.into();
        self.entry(path, Entry::Link { target })
    }

    fn entry(mut self, path: &str, entry: Entry) -> Self {
        self.entries
            .insert(path.trim_start_matches('/').into(), entry);
        self
    }

    /// The program and its fixed arguments.
    #[must_use]
    pub fn entrypoint<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.process.entrypoint = words.into_iter().map(Into::into).collect();
        self
    }

    /// Arguments that a container may replace.
    #[must_use]
    pub fn cmd<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.process.cmd = words.into_iter().map(Into::into).collect();
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.process.env.push(format!("{name}={value}"));
        self
    }

    /// States another platform than the host's, such as `wasm` and `wasi`.
    #[must_use]
    pub fn platform(mut self, architecture: &str, os: &str) -> Self {
        self.architecture = Arch::from(architecture);
        self.os = Os::from(os);
        self
    }

    /// Makes the image: one layer with everything in it.
    ///
    /// # Errors
    /// When a path cannot stand in a tar archive.
    pub fn build(self) -> Result<Image> {
        let layer = Blob::new(MediaType::ImageLayer, archive(&self.entries)?)?;
        let diff_ids = vec![layer.descriptor.digest().to_string()];
        let config = ImageConfigurationBuilder::default()
            .architecture(self.architecture)
            .os(self.os)
            .config(
                ConfigBuilder::default()
                    .entrypoint(self.process.entrypoint.clone())
                    .cmd(self.process.cmd.clone())
                    .env(self.process.env.clone())
                    .build()?,
            )
            .rootfs(
                RootFsBuilder::default()
                    .typ("layers".to_owned())
                    .diff_ids(diff_ids.clone())
                    .build()?,
            )
            .build()?;
        let config = Blob::new(MediaType::ImageConfig, config.to_string()?.into_bytes())?;
        Ok(Image {
            process: self.process,
            diff_ids,
            ..Image::assemble(&self.name, config, vec![layer])?
        })
    }
}
