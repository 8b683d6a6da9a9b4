//! Kubernetes' own programs, built once with Go and kept in Coracle's cache.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use coracle_guests::cache_folder;
use sha2::{Digest, Sha256};

/// The release that is built unless another is asked for.
pub const KUBERNETES: &str = "1.34.4";

/// The cluster's DNS server.
const COREDNS: Tool = Tool {
    name: "coredns",
    package: "github.com/coredns/coredns",
    version: "v1.14.7",
};

/// For `cargo xtask cluster helm` only.
const HELM: Tool = Tool {
    name: "helm",
    package: "helm.sh/helm/v4/cmd/helm",
    version: "v4.3.1",
};

/// The oldest Go that builds all of it.
const GO: (u32, u32) = (1, 25);

/// What the system's own packages bring.
const SYSTEM: [(&str, &str); 3] = [
    ("etcd", "etcd-server"),
    ("conntrack", "conntrack"),
    ("iptables", "iptables"),
];

/// The names that the one program of Kubernetes' own is started by.
const NAMES: [&str; 6] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
];

/// What goes into the program.
const MAIN: &str = include_str!("../../cluster/kubernetes/main.go");
const MODULE: &str = include_str!("../../cluster/kubernetes/1.34.4/go.mod");
const SUMS: &str = include_str!("../../cluster/kubernetes/1.34.4/go.sum");

/// As Kubernetes' own releases are built: static, and the same bytes wherever it was built.
const FLAGS: [&str; 2] = ["-trimpath", "-buildvcs=false"];

/// How often a build says how far it is.
const PROGRESS: Duration = Duration::from_secs(15);

/// A program that `go install` builds.
struct Tool {
    name: &'static str,
    package: &'static str,
    version: &'static str,
}

/// The built programs.
#[derive(Clone, Debug)]
pub struct Programs {
    kubernetes: PathBuf,
    coredns: PathBuf,
}

impl Programs {
    /// Finds the programs, and builds what is not there yet, which takes minutes; progress goes to standard
    /// error.
    ///
    /// # Errors
    /// When there is no Go or it is too old ([`missing`] says so before), or a build fails.
    pub fn ready() -> Result<Self> {
        let hash = short_hash([MAIN, MODULE, SUMS, &ldflags(), &FLAGS.join(" ")]);
        let kubernetes = folder(&format!("{KUBERNETES}-{hash}"), build_kubernetes)?;
        Ok(Self {
            kubernetes,
            coredns: tool(&COREDNS)?,
        })
    }

    /// One of Kubernetes' own programs.
    #[must_use]
    pub fn kubernetes(&self, name: &str) -> PathBuf {
        self.kubernetes.join(name)
    }

    /// The DNS server.
    #[must_use]
    pub fn coredns(&self) -> &Path {
        &self.coredns
    }
}

/// Finds helm, or builds it.
///
/// # Errors
/// As [`Programs::ready`].
pub fn helm() -> Result<PathBuf> {
    tool(&HELM)
}

/// Why no cluster can run on this machine; `None` where it can.
#[must_use]
pub fn missing() -> Option<String> {
    for (program, package) in SYSTEM {
        if Command::new(program).arg("--version").output().is_err() {
            return Some(format!(
                "there is no `{program}` (Debian package {package})"
            ));
        }
    }
    let wanted = format!("Go {}.{} or newer", GO.0, GO.1);
    let Ok(said) = Command::new("go").args(["env", "GOVERSION"]).output() else {
        return Some(format!(
            "building Kubernetes needs {wanted}, and no `go` is on the PATH"
        ));
    };
    let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    let version = said.trim_start_matches("go").split('.');
    let numbers: Vec<u32> = version.map_while(|part| part.parse().ok()).collect();
    match numbers[..] {
        [major, minor, ..] if (major, minor) >= GO => None,
        _ => Some(format!(
            "building Kubernetes needs {wanted}, and `go` is {said}"
        )),
    }
}

fn ldflags() -> String {
    // Without a version, kubectl and the API server disagree.
    format!("-s -w -X k8s.io/component-base/version.gitVersion=v{KUBERNETES}")
}

fn short_hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    let mut text = String::new();
    for byte in hash.finalize().iter().take(6) {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

fn tool(tool: &Tool) -> Result<PathBuf> {
    let name = format!("{}-{}", tool.name, tool.version);
    let folder = folder(&name, |folder| {
        say(&format!("building {name} (takes a minute or two)"));
        let mut go = go();
        go.arg("install").args(FLAGS).args(["-ldflags", "-s -w"]);
        go.arg(format!("{}@{}", tool.package, tool.version))
            .env("GOBIN", folder);
        build(&mut go, None)
    })?;
    Ok(folder.join(tool.name))
}

fn build_kubernetes(folder: &Path) -> Result<()> {
    say(&format!(
        "building Kubernetes {KUBERNETES}, once for this machine (takes 5 to 10 minutes)"
    ));
    let source = folder.join("source");
    fs::create_dir(&source)?;
    for (file, text) in [("main.go", MAIN), ("go.mod", MODULE), ("go.sum", SUMS)] {
        fs::write(source.join(file), text)?;
    }
    let listed = go()
        .args(["list", "-deps", "."])
        .current_dir(&source)
        .output()?;
    ensure!(
        listed.status.success(),
        "cannot list Kubernetes' packages:\n{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let total = listed.stdout.iter().filter(|byte| **byte == b'\n').count();
    let mut go = go();
    go.args(["build", "-v", "-ldflags", &ldflags()])
        .args(FLAGS)
        .args(["-o", "../kubernetes", "."])
        .current_dir(&source);
    build(&mut go, Some(total))?;
    for name in NAMES {
        symlink("kubernetes", folder.join(name))?;
    }
    Ok(fs::remove_dir_all(source)?)
}

fn go() -> Command {
    let mut go = Command::new("go");
    go.env("CGO_ENABLED", "0").env_remove("GOFLAGS");
    go
}

/// Runs a build to its end; its last lines stand in the error.
fn build(go: &mut Command, packages: Option<usize>) -> Result<()> {
    let begin = Instant::now();
    let mut child = go
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("start `go`")?;
    let output = child.stderr.take().context("no pipe from `go`")?;
    let (mut seen, mut told, mut lines) = (0, begin, Vec::new());
    for line in BufReader::new(output).lines() {
        lines.push(line?);
        seen += 1;
        if let Some(total) = packages.filter(|_| told.elapsed() > PROGRESS) {
            say(&format!("  {seen} of about {total} packages"));
            told = Instant::now();
        }
    }
    let status = child.wait()?;
    if !status.success() {
        let last = lines.split_off(lines.len().saturating_sub(20));
        bail!("`go` ended with {status}:\n{}", last.join("\n"));
    }
    say(&format!(
        "  built in {:.0} s",
        begin.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// The folder `name` of the cache; `make` fills it where it is not there. It appears whole or not at all,
/// and is made once, whoever asks for it at the same time.
fn folder(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let parent = cache_folder()?.join("kubernetes");
    let folder = parent.join(name);
    if folder.exists() {
        return Ok(folder);
    }
    fs::create_dir_all(&parent)?;
    let lock = File::create(parent.join(format!("{name}.lock")))?;
    lock.lock()?;
    if folder.exists() {
        return Ok(folder);
    }
    if let Some(why) = missing() {
        bail!(why);
    }
    let unfinished = parent.join(format!("{name}.unfinished"));
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir(&unfinished)?,
    }
    make(&unfinished).with_context(|| format!("build {name}"))?;
    fs::rename(&unfinished, &folder)?;
    Ok(folder)
}

/// Tells the person at the terminal, past a test's captured output.
pub(crate) fn say(line: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(io::stderr(), "{line}"));
}
