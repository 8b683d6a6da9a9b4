//! `cargo xtask image`: the image of the chart's DaemonSet, the same bytes from the same commit.

mod toolchain;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::build::{cargo, root, target};
use crate::steps::{self, Steps};
use toolchain::Toolchain;

/// The name that the image has where it is imported; the chart's default.
const NAME: &str = "coracle.dev/node";

/// A program of the image: the first is started, all others are installed on nodes.
struct Program {
    name: &'static str,
    package: &'static str,
    /// The workspace that it belongs to.
    manifest: &'static str,
}

const PROGRAMS: &[Program] = &[
    program(
        "coracle-node-installer",
        "coracle-node-installer",
        "Cargo.toml",
    ),
    program(
        "containerd-shim-coracle-v1",
        "coracle-shim-runwasi",
        "shim/runwasi/Cargo.toml",
    ),
];

const fn program(name: &'static str, package: &'static str, manifest: &'static str) -> Program {
    Program {
        name,
        package,
        manifest,
    }
}

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
    fn native() -> Self {
        if cfg!(target_arch = "aarch64") {
            Self::Arm64
        } else {
            Self::Amd64
        }
    }

    /// As OCI names it.
    fn architecture(self) -> &'static str {
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
    let mut steps = Steps::new(2 + PROGRAMS.len());
    let toolchain = steps.step("find the toolchain", || {
        Toolchain::of(options.platform, options.libc)
    })?;
    let mut programs = Vec::new();
    for program in PROGRAMS {
        let title = format!("build {}", program.name);
        programs.push(steps.step(&title, || build(program, &toolchain))?);
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
            .args(&programs);
        steps::answer(&mut image)
    })?;
    writeln!(std::io::stdout(), "{} {}", archive.display(), digest.trim())?;
    Ok(())
}

/// Builds a program, and answers where it is.
fn build(program: &Program, toolchain: &Toolchain) -> anyhow::Result<PathBuf> {
    let mut command: Command = cargo("build");
    command
        .args(["--release", "--locked", "--target", toolchain.triple])
        .args(["--package", program.package, "--bin", program.name])
        .arg("--manifest-path")
        .arg(root().join(program.manifest))
        .arg("--target-dir")
        .arg(target());
    toolchain.prepare(&mut command);
    steps::run(&mut command)?;
    let built = target()
        .join(toolchain.triple)
        .join("release")
        .join(program.name);
    built
        .metadata()
        .with_context(|| format!("no {}", built.display()))?;
    Ok(built)
}
