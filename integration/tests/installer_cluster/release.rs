//! A release of the chart: helm, told which cluster and which namespace.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use coracle_integration::Cluster;
use coracle_integration::cluster::programs;
use serde_json::{Value, json};

/// The chart.
pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/coracle");

/// The namespace of the release.
const NAMESPACE: &str = "coracle";

/// helm on one cluster.
pub(crate) struct Release<'c> {
    cluster: &'c Cluster,
}

impl<'c> Release<'c> {
    pub(crate) fn new(cluster: &'c Cluster) -> Self {
        Self { cluster }
    }

    /// Runs helm to its end, and answers with what it wrote. Where it fails, the error has the events and the
    /// installer's log too.
    pub(crate) async fn helm<S: AsRef<str>>(&self, words: &[S]) -> Result<String> {
        let mut helm = self.command(words)?;
        let ran = tokio::task::spawn_blocking(move || said(&mut helm)).await?;
        match ran {
            Ok(said) => Ok(said),
            Err(error) => bail!("{error:#}\n{}", self.state().await?),
        }
    }

    /// The pods of the chart, each with the kind of what makes it.
    pub(crate) async fn pods(&self, install: &[String]) -> Result<Vec<(String, Value)>> {
        let values = install.iter().skip_while(|word| *word != "--set");
        let template = ["template", "coracle", CHART]
            .map(str::to_owned)
            .into_iter();
        let words: Vec<String> = template.chain(values.cloned()).collect();
        let rendered = self.helm(&words).await?;
        let file = self
            .cluster
            .node()
            .layout()
            .temporary()
            .join("rendered.yaml");
        std::fs::write(&file, rendered)?;
        let mut kubectl = self.cluster.kubectl();
        kubectl.args(["create", "--dry-run=client", "-o", "json", "-f"]);
        let parsed = said(kubectl.arg(file))?;
        // One document after the other, or a list.
        let mut pods = Vec::new();
        for document in serde_json::Deserializer::from_str(&parsed).into_iter::<Value>() {
            let document = document?;
            let listed = document["items"].as_array().cloned();
            for object in listed.unwrap_or_else(|| vec![document]) {
                let kind = object["kind"].as_str().unwrap_or_default().to_owned();
                let spec = match kind.as_str() {
                    "Pod" => object["spec"].clone(),
                    "DaemonSet" | "Job" => object["spec"]["template"]["spec"].clone(),
                    _ => continue,
                };
                pods.push((kind, standalone(spec)));
            }
        }
        ensure!(
            pods.len() == 3,
            "not the DaemonSet, the clean-up and the test: {pods:#?}"
        );
        Ok(pods)
    }

    fn command<S: AsRef<str>>(&self, words: &[S]) -> Result<Command> {
        let mut helm = Command::new(programs::helm()?);
        helm.args(["--namespace", NAMESPACE]);
        helm.args(words.iter().map(AsRef::as_ref));
        // helm keeps caches; none of them is to outlive the cluster.
        let home = self.cluster.node().layout().temporary();
        helm.env("HOME", home)
            .env("KUBECONFIG", self.cluster.kubeconfig());
        Ok(helm)
    }

    async fn state(&self) -> Result<String> {
        let space = self.cluster.all().await?;
        let mut told = String::new();
        for words in [
            &["get", "pods", "--output=wide"][..],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &[
                "logs",
                "--selector=app.kubernetes.io/instance=coracle",
                "--prefix",
                "--tail=20",
            ],
        ] {
            let words = [&["--namespace", NAMESPACE], words].concat();
            let said = space.kubectl(&words).await;
            told += &said.unwrap_or_else(|error| format!("{error:#}\n"));
        }
        Ok(told)
    }
}

/// A pod of its own as a controller would make it, so that only its own security is judged.
fn standalone(mut spec: Value) -> Value {
    if let Some(fields) = spec.as_object_mut() {
        // Neither exists before the chart is installed.
        fields.remove("serviceAccountName");
        fields.remove("serviceAccount");
        fields.remove("runtimeClassName");
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "judged" }, "spec": spec })
}

/// Runs a command to its end, and answers with what it wrote.
pub(crate) fn said(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?}: {}: {text}{errors}",
        output.status
    );
    Ok(text)
}
