//! `coracle-image`: writes the image of the chart's DaemonSet, from programs that `cargo xtask image` built.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;
use coracle_image::{elf, layout, node};

/// Writes an image as an archive in the OCI image layout, and prints its digest
///
/// The program coracle-node-installer is what it starts; all others are what that one puts on a node.
#[derive(Parser)]
#[command(max_term_width = 100)]
struct Options {
    /// The name that the image has where it is imported, with its tag
    #[arg(long)]
    name: String,
    /// amd64 or arm64
    #[arg(long)]
    architecture: String,
    /// The archive to write
    #[arg(long)]
    output: PathBuf,
    /// Static programs
    #[arg(required = true)]
    programs: Vec<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut programs = BTreeMap::new();
    for path in &options.programs {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        elf::is_static(&bytes, &options.architecture)
            .with_context(|| format!("{} cannot be used", path.display()))?;
        programs.insert(name.into_owned(), bytes);
    }
    let image = node::image(&options.name, &options.architecture, &programs)?;
    let output = &options.output;
    fs::write(output, layout::write(&image)?)
        .with_context(|| format!("cannot write {}", output.display()))?;
    writeln!(std::io::stdout(), "{}", image.manifest.descriptor.digest())?;
    Ok(())
}
