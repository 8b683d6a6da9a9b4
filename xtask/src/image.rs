//! `cargo xtask image`: the image of the chart's DaemonSet, the same bytes from the same commit.

use std::io::Write as _;

use clap::{Args, ValueEnum};

use crate::build::{cargo, target};
use crate::programs;
use crate::steps::{self, Steps};
use crate::toolchain::{Paths, Toolchain};

/// The name that the image has where it is imported; the chart's default.
const NAME: &str = "coracle.dev/node";

/// What kind of image.
#[derive(Args)]
pub(crate) struct Options {
    /// The platform of the nodes that it is for
    #[arg(long, value_enum, default_value_t = Platform::native())]
    platform: Platform,
    /// The C library that is linked into the programs
    ///
    /// It is chosen here and not by what is installed: the same commit has to give the same digest.
    #[arg(long, value_enum, default_value_t = Libc::Glibc)]
    libc: Libc,
    /// The image's tag
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    tag: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Platform {
    #[value(name = "linux/amd64")]
    Amd64,
    #[value(name = "linux/arm64")]
    Arm64,
}

impl Platform {
    pub(crate) fn native() -> Self {
        if cfg!(target_arch = "aarch64") {
            Self::Arm64
        } else {
            Self::Amd64
        }
    }

    /// As OCI names it.
    pub(crate) fn architecture(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Libc {
    Glibc,
    Musl,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut steps = Steps::new(2 + programs::ALL.len());
    let toolchain = steps.step("find the toolchain", || {
        Toolchain::of(options.platform, options.libc)
    })?;
    let mut built = Vec::new();
    for program in programs::ALL {
        let title = format!("build {}", program.name);
        built.push(steps.step(&title, || program.build(&toolchain, Paths::Removed))?);
    }
    let architecture = options.platform.architecture();
    let folder = target().join("image");
    let archive = folder.join(format!("coracle-node-{architecture}.tar"));
    let digest = steps.step("write the image", || {
        std::fs::create_dir_all(&folder)?;
        let mut image = cargo("run");
        image
            .args(["--quiet", "--locked", "--package", "coracle-image", "--"])
            .args(["--name", &format!("{NAME}:{}", options.tag)])
            .args(["--architecture", architecture, "--output"])
            .arg(&archive)
            .args(&built);
        steps::answer(&mut image)
    })?;
    writeln!(std::io::stdout(), "{} {}", archive.display(), digest.trim())?;
    Ok(())
}
