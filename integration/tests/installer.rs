//! The node installer against the real containerd: from its default configuration to a wasm pod, and back.
//! With containerd 2 first on the PATH, from a configuration that has a folder of imports.
//!
//! The node's root that the installer sees is the folder of the harness's node; nothing outside is written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use coracle_integration::image::Form;
use coracle_integration::node::{PAUSE_IMAGE, SHIM_DIR};
use coracle_integration::pod::{CORACLE, PodContainer};
use coracle_integration::{Image, Node, logs};
use tokio::time::{Instant, sleep};

/// The environment variable with the path of the program, where it does not stand beside the tests.
const PROGRAM: &str = "CORACLE_NODE_INSTALLER";

const SHIM: &str = "containerd-shim-coracle-v1";

#[tokio::test]
async fn containerd_with_its_default_configuration_runs_wasm_pods_until_it_is_uninstalled()
-> Result<()> {
    let node = Node::start().await?;
    let before = match is_version_2()? {
        true => configuration_of_version_3(&node),
        false => default_configuration(&node)?,
    };
    fs::write(node.layout().config(), &before)?;
    node.restart_containerd().await?;
    let refused = hello(&node).await.err().context("a pod ran before")?;
    ensure!(
        format!("{refused:#}").contains("no runtime for"),
        "{refused:#}"
    );

    let machine = Machine::of(&node)?;
    machine.restarting("install", &node).await?;
    hello(&node).await?;
    let again = machine.run("install").output()?;
    ensure!(again.status.success(), "{again:?}");

    let sleeper = node
        .pod("sleeper")
        .runtime(CORACLE)
        .container(PodContainer::new("sleep", &guest("sleep")?))
        .start()
        .await?;
    sleeper.running("sleep").await?;
    let programs = |pod: &coracle_integration::pod::Pod<'_>| -> Result<Vec<_>> {
        Ok(pod
            .processes()?
            .into_iter()
            .map(|process| process.pid)
            .collect())
    };
    let running = programs(&sleeper)?;
    if is_version_2()? {
        // containerd 1.6 does not look at `runtime_path`.
        let installed = machine.bin.join(SHIM).canonicalize()?;
        let found = running
            .iter()
            .map(|pid| fs::read_link(format!("/proc/{pid}/exe")));
        let found = found.collect::<std::io::Result<Vec<_>>>()?;
        ensure!(
            found.contains(&installed),
            "no {} in {found:?}",
            installed.display()
        );
    }
    machine.change_shim()?;
    let upgraded = machine.run("install").output()?;
    ensure!(upgraded.status.success(), "{upgraded:?}");
    assert_eq!(programs(&sleeper)?, running);
    sleeper.running("sleep").await?;
    hello(&node).await?;
    sleeper.remove().await?;

    machine.restarting("uninstall", &node).await?;
    assert_eq!(fs::read_to_string(node.layout().config())?, before);
    ensure!(!machine.drop_in().exists(), "the drop-in is still there");
    ensure!(!machine.bin.join(SHIM).exists(), "the shim is still there");
    ensure!(hello(&node).await.is_err(), "a pod ran afterwards");
    Ok(())
}

/// Runs a pod that says hello.
async fn hello(node: &Node) -> Result<()> {
    let pod = node
        .pod("hello")
        .runtime(CORACLE)
        .container(PodContainer::new("hello", &guest("hello")?))
        .start()
        .await?;
    let ended = pod.ended("hello").await?;
    assert_eq!(ended.stdout, "hello from rust\n", "{}", ended.stderr);
    pod.remove().await
}

fn guest(name: &str) -> Result<Image> {
    let wasm = fs::read(coracle_guests::built(name)?)?;
    let reference = format!("coracle.test/{name}:installer");
    Image::of_wasm(&reference, Form::File, &format!("{name}.wasm"), &wasm)
}

fn is_version_2() -> Result<bool> {
    let output = Command::new("containerd").arg("--version").output()?;
    let said = String::from_utf8(output.stdout)?;
    let version = said.split_whitespace().nth(2);
    let version = version.with_context(|| format!("containerd calls itself {said:?}"))?;
    Ok(version.trim_start_matches('v').starts_with("2."))
}

/// What an operator of containerd 2 may have written. A drop-in of the imports is merged into it.
fn configuration_of_version_3(node: &Node) -> String {
    let layout = node.layout();
    let (root, state, socket) = (layout.root(), layout.state(), layout.socket());
    let (networks, snapshotter) = (layout.cni(), node.pods().snapshotter());
    format!(
        r#"version = 3
root = {root:?}
state = {state:?}
imports = ["conf.d/*.toml"]
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
address = {socket:?}

[plugins."io.containerd.cri.v1.images"]
snapshotter = "{snapshotter}"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = {networks:?}
"#
    )
}

/// What `containerd config default` says, with the paths of a node of the harness.
fn default_configuration(node: &Node) -> Result<String> {
    let layout = node.layout();
    let output = Command::new("containerd")
        .args(["config", "default"])
        .output()?;
    let mut text = String::from_utf8(output.stdout)?;
    let root = format!("{:?}", layout.root());
    let state = format!("{:?}", layout.state());
    let socket = format!("{:?}", layout.socket());
    let networks = format!("{:?}", layout.cni());
    let pause = format!("{PAUSE_IMAGE:?}");
    let snapshotter = format!("{:?}", node.pods().snapshotter());
    for (key, old, new) in [
        ("root", "\"/var/lib/containerd\"", root.as_str()),
        ("state", "\"/run/containerd\"", &state),
        ("address", "\"/run/containerd/containerd.sock\"", &socket),
        ("sandbox_image", "\"registry.k8s.io/pause:3.6\"", &pause),
        ("bin_dir", "\"/opt/cni/bin\"", "\"/usr/lib/cni\""),
        ("conf_dir", "\"/etc/cni/net.d\"", &networks),
        ("snapshotter", "\"overlayfs\"", &snapshotter),
        ("restrict_oom_score_adj", "false", "true"),
        ("netns_mounts_under_state_dir", "false", "true"),
    ] {
        let line = format!("{key} = {old}");
        ensure!(
            text.contains(&line),
            "containerd's default has no line {line}"
        );
        text = text.replace(&line, &format!("{key} = {new}"));
    }
    // The plugin of /opt makes its folder there.
    Ok(text.replacen(
        "disabled_plugins = []",
        "disabled_plugins = [\"io.containerd.internal.v1.opt\"]",
        1,
    ))
}

/// A node as the installer sees it.
struct Machine {
    root: PathBuf,
    /// The shim's folder, by the name that holds inside and outside of the root.
    bin: PathBuf,
    image: PathBuf,
}

impl Machine {
    fn of(node: &Node) -> Result<Self> {
        let root = node.layout().folder().to_owned();
        let bin = root.join("bin");
        let inside = bin.strip_prefix("/")?;
        symlink(inside, &bin)?;
        fs::create_dir_all(root.join(inside))?;
        fs::create_dir_all(root.join("etc/containerd"))?;
        fs::create_dir_all(root.join("image"))?;
        let built = std::env::var(SHIM_DIR).with_context(|| format!("{SHIM_DIR} is not set"))?;
        let image = root.join("image").join(SHIM);
        fs::copy(Path::new(&built).join(SHIM), &image)?;
        Ok(Self { root, bin, image })
    }

    fn drop_in(&self) -> PathBuf {
        self.root.join("conf.d/coracle.toml")
    }

    /// What the installer changes: the main file, or the drop-in that is not there before.
    fn written(&self, config: &Path) -> [Option<Vec<u8>>; 2] {
        [config, &self.drop_in()].map(|path| fs::read(path).ok())
    }

    /// The next build: bytes after the end of an ELF file mean nothing.
    fn change_shim(&self) -> Result<()> {
        let mut shim = fs::read(&self.image)?;
        shim.extend(b"another build");
        Ok(fs::write(&self.image, shim)?)
    }

    fn run(&self, task: &str) -> Command {
        let mut command = Command::new(program());
        command.arg(task).arg("--root").arg(&self.root);
        command.args([
            "--distribution",
            "containerd",
            "--restart",
            "none",
            "--timeout",
            "30",
        ]);
        command.args([
            "--config",
            "/containerd.toml",
            "--socket",
            "/containerd.sock",
        ]);
        command.arg("--bin-dir").arg(&self.bin);
        if task == "install" {
            command.arg("--payload").args(self.image.parent());
        }
        command
    }

    /// Runs a task that has to change the configuration, and restarts containerd once it did.
    async fn restarting(&self, task: &str, node: &Node) -> Result<()> {
        let config = node.layout().config();
        let before = self.written(&config);
        let mut command = self.run(task);
        let ran = tokio::task::spawn_blocking(move || command.output());
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.written(&config) == before && !ran.is_finished() {
            if Instant::now() > deadline {
                bail!("{task} does not change the configuration");
            }
            sleep(Duration::from_millis(20)).await;
        }
        node.restart_containerd().await?;
        let Output { status, stderr, .. } = ran.await??;
        let said = String::from_utf8_lossy(&stderr);
        let log = logs::tail(&node.layout().log());
        ensure!(
            status.success(),
            "{task} ended with {status}: {said}\ncontainerd said: {log}"
        );
        Ok(())
    }
}

fn program() -> PathBuf {
    let named = std::env::var_os(PROGRAM).map(PathBuf::from);
    let beside = || {
        Some(
            std::env::current_exe()
                .ok()?
                .parent()?
                .parent()?
                .join("coracle-node-installer"),
        )
    };
    named.or_else(beside).unwrap_or_default()
}
