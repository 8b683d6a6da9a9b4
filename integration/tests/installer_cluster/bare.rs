//! A cluster whose containerd does not know this runtime, and what can be seen on its node.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use coracle_integration::cluster::{Cluster, NODE_NAME, Space, condition};
use coracle_integration::image::{Form, layout, node};
use coracle_integration::node::SHIM_DIR;
use coracle_integration::{Image, native, processes};
use serde_json::{Value, json};

use crate::release;

const SHIM: &str = "containerd-shim-coracle-v1";

/// Where programs go on a node, if they can.
const BIN: &str = "/usr/local/bin";

/// The label by which pods of the class find their nodes.
const LABEL: &str = "/metadata/labels/coracle.dev~1runtime";

/// A cluster whose containerd knows nothing of this runtime, and the image that is to change that.
pub(crate) struct Bare {
    pub(crate) cluster: Cluster,
    before: String,
    pub(crate) first: Image,
}

impl Bare {
    pub(crate) async fn start() -> Result<Self> {
        let archive = std::env::var("CORACLE_NODE_IMAGE").context(
            "CORACLE_NODE_IMAGE is not set: it names what `cargo xtask image` has written",
        )?;
        let first = layout::read(&fs::read(&archive).with_context(|| archive.clone())?)?;
        let cluster = Cluster::start().await?;
        let config = cluster.node().layout().config();
        let before = without_coracle(&fs::read_to_string(&config)?)?;
        fs::write(&config, &before)?;
        // The machine's own programs of this kind, and its folder for them, are nothing that the node has.
        for folder in [std::env::var(SHIM_DIR)?, BIN.to_owned()] {
            let folder = std::path::absolute(folder)?;
            let mut mount = Command::new("nsenter");
            mount.args([
                "--mount",
                "--target",
                &cluster.node().first_process().to_string(),
            ]);
            mount.args(["mount", "-t", "tmpfs", "tmpfs"]).arg(folder);
            release::said(&mut mount)?;
        }
        cluster.node().restart_containerd().await?;
        let bare = Self {
            cluster,
            before,
            first,
        };
        bare.knows_nothing().await?;
        Ok(bare)
    }

    async fn knows_nothing(&self) -> Result<()> {
        let space = self.space().await?;
        space.delete("RuntimeClass", "coracle").await?;
        space
            .until("RuntimeClass", "coracle", condition::gone())
            .await?;
        let node = space.until("Node", NODE_NAME, condition::ready()).await?;
        ensure!(node.pointer(LABEL).is_none(), "{node:#}");
        for name in ["hello", "sleep"] {
            let wasm = fs::read(coracle_guests::built(name)?)?;
            let image = Image::of_wasm(
                &image_name(name),
                Form::File,
                &format!("{name}.wasm"),
                &wasm,
            )?;
            self.cluster.node().pods().push(&image).await?;
        }
        let refused = space
            .create(pod("refused"))
            .await
            .err()
            .context("a pod was taken before")?;
        ensure!(
            format!("{refused:#}").contains("RuntimeClass \"coracle\" not found"),
            "{refused:#}"
        );
        Ok(())
    }

    async fn space(&self) -> Result<Space<'_>> {
        self.cluster.all().await
    }

    /// The node's first process sees the files that only the node has, as those in its `/var/lib`.
    fn seen(&self, path: &str) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/root{path}",
            self.cluster.node().first_process()
        ))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.cluster.node().layout().temporary().join(name)
    }

    /// An installed program.
    fn installed(&self, name: &str) -> PathBuf {
        self.seen(BIN).join(name)
    }

    /// What helm is told to install.
    pub(crate) fn install(&self) -> Vec<String> {
        let layout = self.cluster.node().layout();
        let (_, tag) = self.first.name.rsplit_once(':').unwrap_or_default();
        let values = [
            format!("image.tag={tag}"),
            "containerd.restart=terminate".to_owned(),
            format!("containerd.config={}", layout.config().display()),
            format!("containerd.socket={}", layout.socket().display()),
            "cleanup.timeoutSeconds=10".to_owned(),
        ];
        let words = [
            "install",
            "coracle",
            release::CHART,
            "--create-namespace",
            "--wait",
        ];
        let mut words: Vec<String> = words.map(str::to_owned).into();
        words.extend(
            values
                .into_iter()
                .flat_map(|value| ["--set".to_owned(), value]),
        );
        words
    }

    /// The image with another build of the shim: bytes after the end of an ELF file mean nothing.
    pub(crate) fn second(&self) -> Result<Image> {
        let mut programs = programs(&self.first)?;
        programs
            .entry(SHIM.to_owned())
            .or_default()
            .extend(b"another build");
        let (name, _) = self.first.name.rsplit_once(':').context("no tag")?;
        node::image(
            &format!("{name}:second"),
            std::env::consts::ARCH.replace("x86_64", "amd64").as_str(),
            &programs,
        )
    }

    /// Imports an archive of the image, as an operator without a registry does.
    pub(crate) fn import(&self, image: &Image) -> Result<()> {
        let file = self.file("image.tar");
        fs::write(&file, layout::write(image)?)?;
        let node = self.cluster.node();
        let mut ctr = Command::new("ctr");
        ctr.arg("--address").arg(node.layout().socket());
        ctr.args(["--namespace", "k8s.io", "images", "import", "--snapshotter"]);
        release::said(ctr.arg(node.pods().snapshotter()).arg(file))?;
        Ok(())
    }

    /// The node has the programs of this image, all of them, the label, and a class.
    pub(crate) async fn is_installed(&self, image: &Image) -> Result<()> {
        for (name, bytes) in programs(image)? {
            let installed = fs::read(self.installed(&name)).with_context(|| name.clone());
            ensure!(
                name == node::INSTALLER || installed? == bytes,
                "{name} is another build"
            );
        }
        let space = self.space().await?;
        space
            .until("Node", NODE_NAME, condition::has(LABEL, "true"))
            .await?;
        space
            .until("RuntimeClass", "coracle", condition::exists())
            .await?;
        let config = fs::read_to_string(self.cluster.node().layout().config())?;
        ensure!(
            config.starts_with(&self.before) && config.contains("runtimes.coracle]"),
            "{config}"
        );
        Ok(())
    }

    /// Runs the guest to its end in a pod, with the shim that was installed and no other.
    pub(crate) async fn runs(&self, guest: &str) -> Result<()> {
        let space = self.space().await?;
        space.create(pod(guest)).await?;
        space
            .until("Pod", guest, condition::phase("Succeeded"))
            .await?;
        let log = space.kubectl(&["logs", guest]).await?;
        ensure!(log == "hello from rust\n", "{log}");
        self.ends(guest).await
    }

    pub(crate) async fn starts(&self, guest: &str) -> Result<Value> {
        let space = self.space().await?;
        space.create(pod(guest)).await?;
        space.until("Pod", guest, condition::ready()).await?;
        space.says(guest, "ready").await?;
        let shims = processes::in_namespace_of(self.cluster.node().first_process())?;
        let installed = Path::new(BIN).join(SHIM);
        let programs: Vec<_> = shims
            .iter()
            .filter_map(|process| fs::read_link(format!("/proc/{}/exe", process.pid)).ok())
            .collect();
        ensure!(
            programs.contains(&installed),
            "no process of {} among {programs:?}",
            installed.display()
        );
        self.state_of(guest).await
    }

    /// What may not change while a pod runs undisturbed.
    pub(crate) async fn state_of(&self, guest: &str) -> Result<Value> {
        let pod = self
            .space()
            .await?
            .get("Pod", guest)
            .await?
            .context("the pod is gone")?;
        let status = &pod["status"]["containerStatuses"][0];
        Ok(json!([
            status["containerID"],
            status["restartCount"],
            status["state"]
        ]))
    }

    pub(crate) async fn ends(&self, guest: &str) -> Result<()> {
        let space = self.space().await?;
        space.delete("Pod", guest).await?;
        space.until("Pod", guest, condition::gone()).await.map(drop)
    }

    /// Nothing of the installation is left, and native pods run as ever.
    pub(crate) async fn is_as_before(&self) -> Result<()> {
        let layout = self.cluster.node().layout();
        let config = fs::read_to_string(layout.config())?;
        ensure!(config == self.before, "the configuration is {config}");
        let beside: Vec<_> = fs::read_dir(layout.folder())?
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .filter(|name| name.contains("coracle"))
            .collect();
        ensure!(beside.is_empty(), "left in the node's folder: {beside:?}");
        ensure!(
            !self.seen("/var/lib/coracle").exists(),
            "the record is still there"
        );
        let left = fs::read_dir(self.seen(BIN))?.count();
        ensure!(left == 0, "{left} files are left in {BIN}");
        let space = self.space().await?;
        let node = space.get("Node", NODE_NAME).await?.context("no node")?;
        ensure!(
            node.pointer(LABEL).is_none(),
            "the label is still there: {node:#}"
        );
        let kinds = "runtimeclasses,clusterroles,clusterrolebindings,daemonsets,serviceaccounts";
        let label = "--selector=app.kubernetes.io/instance=coracle";
        let left = space
            .kubectl(&["get", kinds, label, "--all-namespaces", "--output=name"])
            .await?;
        ensure!(left.is_empty(), "left in the cluster: {left}");
        let native = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "native" },
            "spec": { "restartPolicy": "Never", "containers": [{
                "name": "main", "image": self.busybox().await?, "args": ["true"],
            }] },
        });
        space.create(native).await?;
        space
            .until("Pod", "native", condition::phase("Succeeded"))
            .await?;
        Ok(())
    }

    async fn busybox(&self) -> Result<String> {
        let image = native::busybox()?;
        self.cluster.node().pods().push(&image).await?;
        Ok(image.name)
    }
}

/// The programs of an image, by their names.
fn programs(image: &Image) -> Result<BTreeMap<String, Vec<u8>>> {
    let layer = image.layers.first().context("an image without layers")?;
    let files = layout::files(&layer.bytes)?.into_iter();
    let programs = files.filter(|(path, _)| path != Path::new("hello.wasm"));
    let named = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
    Ok(programs
        .filter_map(|(path, bytes)| Some((named(&path)?, bytes)))
        .collect())
}

/// The harness's configuration without its last section but one, which is this runtime's.
fn without_coracle(config: &str) -> Result<String> {
    const SECTION: &str = "\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.coracle]";
    let (before, section) = config.split_once(SECTION).context("no section to remove")?;
    let after = section
        .split_once("\n[")
        .map_or(String::new(), |(_, after)| format!("\n[{after}"));
    Ok(format!("{before}{after}"))
}

fn image_name(guest: &str) -> String {
    format!("coracle.test/{guest}:chart")
}

fn pod(guest: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": guest },
        "spec": {
            "runtimeClassName": "coracle", "restartPolicy": "Never", "terminationGracePeriodSeconds": 5,
            "containers": [{ "name": "main", "image": image_name(guest), "imagePullPolicy": "Never" }],
        },
    })
}
