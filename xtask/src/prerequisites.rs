//! What a machine needs that cargo does not bring: installed where that is possible, else named.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use crate::steps::{run, say};

/// A thing that must be there, and the Debian package that brings it.
struct Prerequisite {
    package: &'static str,
    what_for: &'static str,
    found_by: Probe,
}

enum Probe {
    /// A program on the PATH, or in the folders of the administrator's programs.
    Program(&'static str),
    /// Any of these files.
    File(&'static [&'static str]),
}

const ALL: &[Prerequisite] = &[
    program(
        "containerd",
        "containerd",
        "runs the pods of the tests and the demo",
    ),
    program(
        "runc",
        "runc",
        "runs the containers that the shim is compared with",
    ),
    program(
        "protobuf-compiler",
        "protoc",
        "generates clients of containerd's and CRI's gRPC",
    ),
    program("pkg-config", "pkg-config", "finds libseccomp"),
    program(
        "gcc",
        "cc",
        "links, and compiles the C parts of dependencies",
    ),
    program(
        "iproute2",
        "ip",
        "sets up the network of the private containerd",
    ),
    program("iptables", "iptables", "is called by the CNI plugins"),
    program(
        "busybox-static",
        "busybox",
        "is the native program of mixed pods",
    ),
    Prerequisite {
        package: "containernetworking-plugins",
        what_for: "gives pods their addresses",
        found_by: Probe::File(&["/usr/lib/cni/bridge", "/opt/cni/bin/bridge"]),
    },
    Prerequisite {
        package: "libseccomp-dev",
        what_for: "applies the seccomp profiles of pods",
        found_by: Probe::File(&[
            "/usr/include/seccomp.h",
            "/usr/include/x86_64-linux-gnu/seccomp.h",
            "/usr/include/aarch64-linux-gnu/seccomp.h",
        ]),
    },
];

/// What only a cluster needs (`cargo xtask cluster`, and the tests on one), beside Go.
const CLUSTER: &[Prerequisite] = &[
    program("etcd-server", "etcd", "keeps what the API server knows"),
    program(
        "conntrack",
        "conntrack",
        "is called by the proxy of Services",
    ),
];

/// What only the emulated machine needs (`cargo xtask vm`).
const VM: &[Prerequisite] = &[
    program(
        "qemu-system-x86",
        "qemu-system-x86_64",
        "emulates the machine with cgroup v2",
    ),
    program("cpio", "cpio", "packs the machine's first files"),
    program("kmod", "depmod", "orders the kernel's modules"),
    program(
        "busybox-static",
        "busybox",
        "is the machine's first program",
    ),
    program("util-linux", "setpriv", "ends the machine with its keeper"),
    program("systemd", "systemctl", "is the machine's first process"),
    program("dbus", "dbus-daemon", "carries requests to systemd"),
];

const fn program(
    package: &'static str,
    name: &'static str,
    what_for: &'static str,
) -> Prerequisite {
    Prerequisite {
        package,
        what_for,
        found_by: Probe::Program(name),
    }
}

/// Installs what is missing, as root on Debian and its relatives.
///
/// # Errors
/// Elsewhere: names every missing thing, what it is for, and the command that would install it.
pub(crate) fn install() -> anyhow::Result<()> {
    install_all(ALL)
}

/// Installs what a cluster needs beyond that.
///
/// # Errors
/// As [`install`].
pub(crate) fn install_for_cluster() -> anyhow::Result<()> {
    install_all(CLUSTER)
}

/// Installs what the emulated machine needs beyond that.
///
/// # Errors
/// As [`install`].
pub(crate) fn install_for_vm() -> anyhow::Result<()> {
    install_all(VM)
}

fn install_all(wanted: &[Prerequisite]) -> anyhow::Result<()> {
    let missing: Vec<&Prerequisite> = wanted.iter().filter(|p| !is_there(p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for prerequisite in &missing {
        say(&format!(
            "  missing: {} ({})",
            prerequisite.package, prerequisite.what_for
        ));
    }
    let packages: Vec<&str> = missing.iter().map(|p| p.package).collect();
    if !is_root() || !on_path("apt-get") {
        bail!(
            "these are missing and cannot be installed from here. As root on Debian or Ubuntu: \
             apt-get update && apt-get install --no-install-recommends {}. \
             On other systems install what provides the same programs.",
            packages.join(" ")
        );
    }
    update()?;
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(packages);
    apt(&install)?;
    match missing.into_iter().find(|p| !is_there(p)) {
        Some(p) => bail!(
            "{} was installed, and still its files are not found",
            p.package
        ),
        None => Ok(()),
    }
}

/// Fetches the lists of packages.
///
/// # Errors
/// When apt cannot.
pub(crate) fn update() -> anyhow::Result<()> {
    apt(&["update"])
}

fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    run(command
        .arg("--quiet=2")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

fn is_there(prerequisite: &Prerequisite) -> bool {
    match prerequisite.found_by {
        Probe::Program(name) => on_path(name),
        Probe::File(files) => files.iter().any(|file| Path::new(file).exists()),
    }
}

fn on_path(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program is. A user's PATH often lacks the folders where containerd, ip, iptables and depmod are.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let administrators = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(administrators)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Root can write the system's folders; asking the effective user id would need a call into libc.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}
