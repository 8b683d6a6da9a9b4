//! A namespace of the API, for one test.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Client;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::condition::{self, Condition};
use super::{Cluster, PERIOD, resource};
use crate::patience::patient;

/// How long a condition may take unless a test says otherwise.
const DEADLINE: Duration = Duration::from_secs(90);

/// A namespace, and a client that lives on the runtime of the test.
pub struct Space<'c> {
    cluster: &'c Cluster,
    client: Client,
    name: String,
    is_own: bool,
}

impl<'c> Space<'c> {
    pub(super) async fn make(cluster: &'c Cluster, name: &str) -> Result<Self> {
        let name = format!("{name}-{}", crate::unique());
        let mut space = Self::existing(cluster, &name).await?;
        let manifest =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        space.create(manifest).await?;
        space.is_own = true;
        space
            .until("ServiceAccount", "default", condition::exists())
            .await?;
        space
            .until("ConfigMap", "kube-root-ca.crt", condition::exists())
            .await?;
        Ok(space)
    }

    pub(super) async fn existing(cluster: &'c Cluster, name: &str) -> Result<Self> {
        Ok(Self {
            cluster,
            client: cluster.client().await?,
            name: name.to_owned(),
            is_own: false,
        })
    }

    /// The namespace's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &'c Cluster {
        self.cluster
    }

    /// Creates an object.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn create(&self, manifest: Value) -> Result<Value> {
        let (kind, object) = resource::of_manifest(manifest)?;
        let api = resource::api(&self.client, &self.name, &kind)?;
        let created = api.create(&PostParams::default(), &object).await;
        let created =
            created.with_context(|| format!("create {kind} {:?}", object.metadata.name))?;
        Ok(serde_json::to_value(created)?)
    }

    /// The object, where there is one.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn get(&self, kind: &str, name: &str) -> Result<Option<Value>> {
        let api = resource::api(&self.client, &self.name, kind)?;
        let found = api.get_opt(name).await?;
        Ok(found.map(serde_json::to_value).transpose()?)
    }

    /// All objects of a kind that have these labels (`key=value`, or nothing for all).
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn list(&self, kind: &str, labels: &str) -> Result<Vec<Value>> {
        let api = resource::api(&self.client, &self.name, kind)?;
        let found = api.list(&ListParams::default().labels(labels)).await?;
        let objects = found.items.into_iter().map(serde_json::to_value);
        Ok(objects.collect::<Result<_, _>>()?)
    }

    /// Merges `change` into an object, or into the part of it that has an address of its own (`resize`).
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn patch(
        &self,
        kind: &str,
        name: &str,
        part: Option<&str>,
        change: Value,
    ) -> Result<()> {
        let api = resource::api(&self.client, &self.name, kind)?;
        let (params, patch) = (PatchParams::default(), Patch::Strategic(&change));
        let patched = match part {
            None => api.patch(name, &params, &patch).await,
            Some(part) => api.patch_subresource(part, name, &params, &patch).await,
        };
        patched.with_context(|| format!("patch {kind} {name}"))?;
        Ok(())
    }

    /// Asks for the end of an object, with its own grace.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn delete(&self, kind: &str, name: &str) -> Result<()> {
        let api = resource::api(&self.client, &self.name, kind)?;
        api.delete(name, &DeleteParams::background()).await?;
        Ok(())
    }

    /// Waits until the object meets the condition, and answers with it (null where it is gone).
    ///
    /// # Errors
    /// When that takes too long: the object's last state and its events are shown.
    pub async fn until(&self, kind: &str, name: &str, condition: Condition) -> Result<Value> {
        self.within(DEADLINE, kind, name, condition).await
    }

    /// As [`Space::until`], with a deadline of its own.
    ///
    /// # Errors
    /// As [`Space::until`].
    pub async fn within(
        &self,
        deadline: Duration,
        kind: &str,
        name: &str,
        condition: Condition,
    ) -> Result<Value> {
        let deadline = patient(deadline);
        let end = Instant::now() + deadline;
        loop {
            let object = self.get(kind, name).await?;
            if condition.holds(object.as_ref()) {
                return Ok(object.unwrap_or_default());
            }
            if Instant::now() > end {
                let events = self.events(name).await?;
                let status =
                    object.map_or_else(|| json!("gone"), |object| object["status"].clone());
                bail!(
                    "after {deadline:?} it is not so that {kind} {name} {condition}: {status:#}\n{events}"
                );
            }
            sleep(PERIOD).await;
        }
    }

    /// Waits until so many objects with these labels meet a condition, and answers with those.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn until_all(
        &self,
        deadline: Duration,
        kind: &str,
        labels: &str,
        count: usize,
        condition: Condition,
    ) -> Result<Vec<Value>> {
        let deadline = patient(deadline);
        let end = Instant::now() + deadline;
        loop {
            let mut objects = self.list(kind, labels).await?;
            objects.retain(|object| condition.holds(Some(object)));
            if objects.len() >= count {
                return Ok(objects);
            }
            if Instant::now() > end {
                let found = objects.len();
                bail!("after {deadline:?}, {condition}: {found} of {count} {kind}s with {labels}");
            }
            sleep(PERIOD).await;
        }
    }

    /// What happened to the object `name`, one line each.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn events(&self, name: &str) -> Result<String> {
        let mut lines = Vec::new();
        for event in self.list("Event", "").await? {
            if event["involvedObject"]["name"] == name {
                let word = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
                lines.push(format!("{} {}", word("reason"), word("message")));
            }
        }
        Ok(lines.join("\n"))
    }

    /// Runs kubectl to its end in this namespace, and answers with what it wrote to standard output.
    ///
    /// # Errors
    /// When it ends with a failure: what it said is shown.
    pub async fn kubectl(&self, words: &[&str]) -> Result<String> {
        let mut kubectl = tokio::process::Command::from(self.command(words));
        let output = kubectl.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(patient(DEADLINE), output)
            .await
            .with_context(|| format!("`kubectl {}` takes too long", words.join(" ")))??;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!(
                "`kubectl {}` ended with {}: {stdout}{stderr}",
                words.join(" "),
                output.status
            );
        }
        Ok(stdout)
    }

    /// kubectl in this namespace, to be started.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut kubectl = self.cluster.kubectl();
        kubectl.arg("--namespace").arg(&self.name).args(words);
        kubectl
    }

    /// Waits until a pod's log contains `text`, and answers with the whole log.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn says(&self, pod: &str, text: &str) -> Result<String> {
        self.kubectl_until(&["logs", pod, "--all-containers"], text)
            .await
            .with_context(|| format!("pod {pod} does not say {text:?}"))
    }

    /// Runs kubectl until what it writes contains `text`, and answers with all of it.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn kubectl_until(&self, words: &[&str], text: &str) -> Result<String> {
        let end = Instant::now() + patient(DEADLINE);
        loop {
            match self.kubectl(words).await {
                Ok(said) if said.contains(text) => return Ok(said),
                last if Instant::now() > end => bail!("kubectl says {last:?}"),
                _ => sleep(PERIOD).await,
            }
        }
    }
}

/// The test's pods go when it ends, so that those of the next have room; nobody waits for it.
impl Drop for Space<'_> {
    fn drop(&mut self) {
        if !self.is_own {
            return;
        }
        let deleted = self
            .cluster
            .kubectl()
            .args(["delete", "namespace", "--wait=false", &self.name])
            .stdout(Stdio::null())
            .status();
        if !deleted
            .as_ref()
            .is_ok_and(std::process::ExitStatus::success)
        {
            log::warn!("namespace {} stays: {deleted:?}", self.name);
        }
    }
}
