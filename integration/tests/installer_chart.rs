//! The chart `coracle` before a real API server. No image for its DaemonSet is built here, so nothing runs.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use coracle_integration::Cluster;
use coracle_integration::cluster::programs;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/coracle");

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtimeclass/manifests");

/// Values that show or hide parts of the chart.
const VALUES: [&str; 4] = [
    "cleanup.force=true",
    "containerd.restart=nsenter,distribution=k3s,updateStrategy.maxUnavailable=10%,cleanup.enabled=false",
    "containerd.restart=terminate,seLinuxType=spc_t,binDir=/opt/bin,containerd.socket=/run/x.sock",
    "priorityClassName=,resources=null,affinity.nodeAffinity=null,imagePullSecrets[0].name=key",
];

#[tokio::test]
async fn the_api_server_accepts_the_chart_and_the_manifests() -> Result<()> {
    if let Some(why) = programs::missing() {
        writeln!(std::io::stderr(), "skipped: {why}")?;
        return Ok(());
    }
    let helm = programs::helm()?;
    let lint = ["lint", "--strict", CHART];
    said(Command::new(&helm).args(lint))?;

    let cluster = Cluster::start().await?;
    let mut kustomize = cluster.kubectl();
    let applied = said(kustomize.args(["apply", "--validate=strict", "-k", MANIFESTS]))?;
    ensure!(
        applied.contains("runtimeclass.node.k8s.io/coracle"),
        "{applied}"
    );
    for values in VALUES {
        let template = [
            "template",
            "coracle",
            CHART,
            "--namespace",
            "default",
            "--set",
            values,
        ];
        let rendered = said(Command::new(&helm).args(template))?;
        let file = cluster.node().layout().temporary().join("chart.yaml");
        File::create(&file)?.write_all(rendered.as_bytes())?;
        let mut kubectl = cluster.kubectl();
        kubectl.args(["apply", "--dry-run=server", "--validate=strict", "-f"]);
        let accepted = said(kubectl.arg(&file)).with_context(|| values.to_owned())?;
        for object in [
            "daemonset.apps/coracle-node",
            "serviceaccount/coracle-node",
            "pod/coracle-node-test",
        ] {
            ensure!(
                accepted.contains(object),
                "{values}: no {object} in {accepted}"
            );
        }
    }
    Ok(())
}

fn said(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?}: {}: {errors}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}
