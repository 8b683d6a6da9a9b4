//! What builds static programs for a platform, and the flags that keep this machine out of them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure};

use crate::build::{root, target};
use crate::image::{Libc, Platform};
use crate::prerequisites::find;
use crate::steps;

/// The programs and libraries that build for one target.
pub(crate) struct Toolchain {
    /// The target, as Rust names it.
    pub(crate) triple: &'static str,
    /// The C compiler, which links too.
    compiler: PathBuf,
    /// The folder of the static libseccomp.
    seccomp: PathBuf,
}

impl Toolchain {
    /// The toolchain for a platform.
    ///
    /// # Errors
    /// When a part of it is missing: says which, and how it is installed.
    pub(crate) fn of(platform: Platform, libc: Libc) -> anyhow::Result<Self> {
        let (triple, debian) = match (platform, libc) {
            (Platform::Amd64, Libc::Glibc) => ("x86_64-unknown-linux-gnu", "x86_64-linux-gnu"),
            (Platform::Amd64, Libc::Musl) => ("x86_64-unknown-linux-musl", "x86_64-linux-musl"),
            (Platform::Arm64, Libc::Glibc) => ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu"),
            (Platform::Arm64, Libc::Musl) => ("aarch64-unknown-linux-musl", "aarch64-linux-musl"),
        };
        let standard_library = standard_library(triple);
        let compiler = compiler(platform, libc, debian);
        let seccomp = seccomp(platform, libc, debian);
        match (standard_library, compiler, seccomp) {
            (Ok(()), Ok(compiler), Ok(seccomp)) => Ok(Self {
                triple,
                compiler,
                seccomp,
            }),
            (standard_library, compiler, seccomp) => {
                let missing = [standard_library.err(), compiler.err(), seccomp.err()];
                let missing: Vec<_> = missing
                    .iter()
                    .flatten()
                    .map(|one| format!("{one:#}"))
                    .collect();
                bail!("for {triple} there is {}", missing.join("; "))
            }
        }
    }

    /// Sets what a build with this toolchain is told beside its target.
    ///
    /// [`Paths::Removed`] makes the programs the same wherever they are built. It also makes cargo compile
    /// everything anew in each checkout, so what is only tested keeps its paths.
    pub(crate) fn prepare(&self, cargo: &mut Command, paths: Paths) {
        let moved = match paths {
            Paths::Removed => removed_folders(),
            Paths::Kept => Vec::new(),
        };
        let remap = |flag: &str| -> Vec<String> {
            let each = |(from, to): &(PathBuf, &str)| format!("{flag}{}={to}", from.display());
            moved.iter().map(each).collect()
        };
        let mut flags = vec![
            "-Ctarget-feature=+crt-static".to_owned(),
            "-Crelocation-model=static".to_owned(),
        ];
        flags.extend(remap("--remap-path-prefix="));
        let upper = self.triple.replace('-', "_").to_uppercase();
        let lower = self.triple.replace('-', "_");
        cargo
            // The separator of this variable, which knows no quotes, is the unit separator.
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
            .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
            .env(format!("CARGO_TARGET_{upper}_LINKER"), &self.compiler)
            .env(format!("CC_{lower}"), &self.compiler)
            .env(
                format!("CFLAGS_{lower}"),
                remap("-ffile-prefix-map=").join(" "),
            )
            .env("LIBSECCOMP_LINK_TYPE", "static")
            .env("LIBSECCOMP_LIB_PATH", &self.seccomp);
    }
}

/// Whether the names of this machine's folders may stand in a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paths {
    Kept,
    Removed,
}

/// The folders whose names must not stand in a program, and what stands there instead. Where one lies in
/// another, the last one counts.
fn removed_folders() -> Vec<(PathBuf, &'static str)> {
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo = env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    vec![
        (cargo, "/cargo"),
        (root(), "/coracle"),
        (target(), "/target"),
    ]
}

fn standard_library(triple: &str) -> anyhow::Result<()> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command
        .args(["--print", "target-libdir", "--target", triple])
        .current_dir(root());
    let folder = steps::answer(&mut command)?;
    ensure!(
        Path::new(folder.trim()).is_dir(),
        "no standard library of Rust (`rustup target add {triple}`)"
    );
    Ok(())
}

fn compiler(platform: Platform, libc: Libc, debian: &str) -> anyhow::Result<PathBuf> {
    let own = format!("{debian}-gcc");
    let (native, package) = match libc {
        Libc::Glibc => ("cc", format!("gcc-{}", debian.replace('_', "-"))),
        Libc::Musl => ("musl-gcc", "musl-tools".to_owned()),
    };
    let is_native = platform == Platform::native();
    let names = if is_native {
        vec![own.as_str(), native]
    } else {
        vec![own.as_str()]
    };
    match names.iter().find_map(|name| find(name)) {
        Some(found) => Ok(found),
        None => bail!(
            "no C compiler and linker {} on the PATH (Debian package {package})",
            names.join(" or ")
        ),
    }
}

/// The folder that the environment names, else Debian's.
fn seccomp(platform: Platform, libc: Libc, debian: &str) -> anyhow::Result<PathBuf> {
    const NAME: &str = "libseccomp.a";
    if let Some(named) = env::var_os("LIBSECCOMP_LIB_PATH") {
        return Ok(named.into());
    }
    let mut folders = vec![PathBuf::from("/usr/lib").join(debian)];
    if platform == Platform::native() && libc == Libc::Glibc {
        folders.extend(["/usr/lib64", "/usr/lib"].map(PathBuf::from));
    }
    match folders.iter().find(|folder| folder.join(NAME).is_file()) {
        Some(folder) => Ok(folder.clone()),
        None => bail!(
            "no {NAME} in {} (Debian package libseccomp-dev:{}; elsewhere build it, and set LIBSECCOMP_LIB_PATH \
             to its folder)",
            folders[0].display(),
            platform.architecture()
        ),
    }
}
