//! What people do with a running pod: `kubectl logs`, `exec`, `attach`, `cp` and `top`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use coracle_integration::cluster::{Space, condition, expected_to_fail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use crate::{container, guest, on_cluster, pod, with};

/// Why `kubectl cp` does not work with an image that holds wasm alone, under any runtime.
const NO_TAR: &str = "`kubectl cp` runs `tar` in the container, and the image has none";

#[tokio::test]
async fn a_log_is_followed_while_it_grows() -> Result<()> {
    on_cluster("follow", async |cluster, space| {
        let server = container(&guest(cluster, "http_p2").await?, &[]);
        space.create(pod("server", server)).await?;
        let running = space.until("Pod", "server", condition::ready()).await?;
        let follow = space.command(&["logs", "--follow", "server"]);
        let mut follow = tokio::process::Command::from(follow)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(follow.stdout.take().context("no pipe")?).lines();
        let address = running["status"]["podIP"].as_str().context("no address")?;
        let address = format!("{address}:8080").parse()?;
        cluster.node().listens(address).await?;
        for path in ["/one", "/two"] {
            cluster.node().http_get(address, path)?;
            let line = timeout(Duration::from_secs(20), lines.next_line()).await??;
            assert_eq!(line, Some(format!("handled {path}")));
        }
        space.delete("Pod", "server").await?;
        let end = timeout(Duration::from_secs(60), lines.next_line()).await??;
        assert_eq!(end, None, "a log ends with its container");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_log_is_cut_by_lines_and_by_time() -> Result<()> {
    on_cluster("cut", async |cluster, space| {
        // 20 lines of 64 bytes.
        let flood = container(&guest(cluster, "flood").await?, &["1280"]);
        space.create(pod("flood", flood)).await?;
        space
            .until("Pod", "flood", condition::phase("Succeeded"))
            .await?;
        let all = space.kubectl(&["logs", "flood"]).await?;
        assert_eq!(all.len(), 1280);
        let last = space.kubectl(&["logs", "flood", "--tail=2"]).await?;
        let numbers: Vec<&str> = last
            .lines()
            .map(|line| line.trim_start_matches('0'))
            .collect();
        assert_eq!(numbers, ["12", "13"], "hexadecimal");
        assert_eq!(space.kubectl(&["logs", "flood", "--since=1h"]).await?, all);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(space.kubectl(&["logs", "flood", "--since=1s"]).await?, "");
        let timed = space
            .kubectl(&["logs", "flood", "--timestamps", "--tail=1"])
            .await?;
        assert!(timed.starts_with("20"), "{timed}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_log_of_the_container_before_is_kept() -> Result<()> {
    on_cluster("previous", async |cluster, space| {
        let traps = container(&guest(cluster, "trap").await?, &[]);
        let policy = json!({ "spec": { "restartPolicy": "Always" } });
        space.create(with(pod("traps", traps), policy)).await?;
        space.until("Pod", "traps", condition::restarted(1)).await?;
        // Between two starts, the container before may just have made room for the next.
        space
            .kubectl_until(&["logs", "traps", "--previous"], "coracle: ")
            .await?;
        Ok(())
    })
    .await
}

/// A pod that sleeps, for others to reach into.
async fn sleeper(cluster: &coracle_integration::Cluster) -> Result<Value> {
    Ok(pod(
        "sleeper",
        container(&guest(cluster, "sleep").await?, &[]),
    ))
}

#[tokio::test]
async fn exec_runs_another_guest_in_the_container() -> Result<()> {
    on_cluster("exec", async |cluster, space| {
        space.create(sleeper(cluster).await?).await?;
        space.until("Pod", "sleeper", condition::ready()).await?;
        let said = space
            .kubectl(&["exec", "sleeper", "--", "/sleep.wasm", "0"])
            .await?;
        ensure!(said == "ready\n", "it says {said:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn exec_runs_a_shell_in_a_native_container() -> Result<()> {
    on_cluster("native-exec", async |cluster, space| {
        let shell = json!({
            "name": "main", "image": crate::busybox(cluster).await?, "imagePullPolicy": "Never",
            "command": ["/bin/sleep", "1000"],
        });
        space.create(pod("shell", shell)).await?;
        space.until("Pod", "shell", condition::ready()).await?;
        let said = space
            .kubectl(&["exec", "shell", "--", "/bin/echo", "hello"])
            .await?;
        ensure!(said == "hello\n", "it says {said:?}");
        Ok(())
    })
    .await
}

/// `kubectl cp` runs `tar` in the container.
#[tokio::test]
async fn cp_copies_a_file_out_of_the_container() -> Result<()> {
    on_cluster("cp", async |cluster, space| {
        space.create(sleeper(cluster).await?).await?;
        space.until("Pod", "sleeper", condition::ready()).await?;
        let target = cluster.node().layout().folder().join("copied.wasm");
        expected_to_fail(NO_TAR, async {
            let path = target.to_string_lossy();
            space.kubectl(&["cp", "sleeper:/sleep.wasm", &path]).await?;
            ensure!(target.metadata()?.len() > 0, "an empty file came out");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn attach_reaches_the_standard_input_and_output() -> Result<()> {
    on_cluster("attach", async |cluster, space| {
        let copies = container(&guest(cluster, "stdin_to_stdout").await?, &[]);
        let open = json!({ "stdin": true, "stdinOnce": true });
        space.create(pod("copies", with(copies, open))).await?;
        space.until("Pod", "copies", condition::ready()).await?;
        let attach = space.command(&["attach", "--stdin", "--quiet", "copies"]);
        let mut attach = tokio::process::Command::from(attach)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut input = attach.stdin.take().context("no pipe")?;
        input.write_all(b"through and through\n").await?;
        let mut lines = BufReader::new(attach.stdout.take().context("no pipe")?).lines();
        let line = timeout(Duration::from_secs(20), lines.next_line()).await??;
        assert_eq!(line.as_deref(), Some("through and through"));
        drop(input);
        space
            .until("Pod", "copies", condition::phase("Succeeded"))
            .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_has_a_terminal() -> Result<()> {
    on_cluster("terminal", async |cluster, space| {
        let hello = container(&guest(cluster, "hello").await?, &[]);
        let terminal = json!({ "stdin": true, "tty": true });
        space.create(pod("hello", with(hello, terminal))).await?;
        let ended = condition::phase("Succeeded");
        space.until("Pod", "hello", ended).await?;
        let log = space.kubectl(&["logs", "hello"]).await?;
        // As under runc, the terminal leaves line ends as they are.
        ensure!(log == "hello from rust\n", "it says {log:?}");
        Ok(())
    })
    .await
}

/// What `kubectl top pod` shows comes from here, by way of a metrics server, which this cluster does not have.
#[tokio::test]
async fn the_kubelet_knows_what_a_pod_takes() -> Result<()> {
    on_cluster("summary", async |cluster, space| {
        space.create(sleeper(cluster).await?).await?;
        space.until("Pod", "sleeper", condition::ready()).await?;
        let takes = |container: &Value, place: &str| {
            let amount = container.pointer(place).and_then(Value::as_u64);
            amount.is_some_and(|amount| amount > 0)
        };
        let mut main = Value::Null;
        let deadline = Instant::now() + Duration::from_secs(30);
        let figures = ["/memory/workingSetBytes", "/cpu/usageCoreNanoSeconds"];
        while !figures.iter().all(|figure| takes(&main, figure)) {
            ensure!(Instant::now() < deadline, "the kubelet knows only {main:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
            main = summary(&space).await?;
        }
        Ok(())
    })
    .await
}

/// What the kubelet says of the one container in `space`, or null where it says nothing yet.
async fn summary(space: &Space<'_>) -> Result<Value> {
    let path = "/api/v1/nodes/node0/proxy/stats/summary";
    let summary: Value = serde_json::from_str(&space.kubectl(&["get", "--raw", path]).await?)?;
    let pods = summary["pods"].as_array().cloned().unwrap_or_default();
    let own = pods
        .into_iter()
        .find(|pod| pod["podRef"]["namespace"] == space.name());
    Ok(own.map_or(Value::Null, |pod| pod["containers"][0].clone()))
}
