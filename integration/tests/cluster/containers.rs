//! The lives of a pod's containers: order, probes, restarts, and the end.

use std::time::{Duration, Instant};

use anyhow::Result;
use coracle_integration::cluster::condition;
use serde_json::json;

use crate::{container, guest, on_cluster, pod, with};

#[tokio::test]
async fn init_containers_run_one_after_the_other_and_first() -> Result<()> {
    on_cluster("init", async |cluster, space| {
        let hello = guest(cluster, "hello").await?;
        let init = |name: &str| with(container(&hello, &[]), json!({ "name": name }));
        let spec = json!({ "initContainers": [init("first"), init("second")] });
        let pod = with(
            pod("order", container(&hello, &[])),
            json!({ "spec": spec }),
        );
        space.create(pod).await?;
        let ended = space
            .until("Pod", "order", condition::phase("Succeeded"))
            .await?;
        let end = |list: &str, place: usize, time: &str| {
            ended["status"][list][place]["state"]["terminated"][time]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let inits = "initContainerStatuses";
        assert!(end(inits, 0, "finishedAt") <= end(inits, 1, "startedAt"));
        assert!(end(inits, 1, "finishedAt") <= end("containerStatuses", 0, "startedAt"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_failing_init_container_keeps_the_pod_from_starting() -> Result<()> {
    on_cluster("failing-init", async |cluster, space| {
        let fails = container(&guest(cluster, "exit_code").await?, &["7"]);
        let fails = with(fails, json!({ "name": "init" }));
        let main = container(&guest(cluster, "hello").await?, &[]);
        let spec = json!({ "initContainers": [fails] });
        space
            .create(with(pod("fails", main), json!({ "spec": spec })))
            .await?;
        let failed = space
            .until("Pod", "fails", condition::phase("Failed"))
            .await?;
        let init = &failed["status"]["initContainerStatuses"][0]["state"]["terminated"];
        assert_eq!(init["exitCode"], 7);
        Ok(())
    })
    .await
}

/// A sidecar starts before the main container and is stopped after it: the pod ends, although the sidecar
/// never would.
#[tokio::test]
async fn a_native_sidecar_ends_with_the_pod() -> Result<()> {
    on_cluster("sidecar", async |cluster, space| {
        let sidecar = container(&guest(cluster, "http_p2").await?, &[]);
        let sidecar = with(
            sidecar,
            json!({
                "name": "sidecar", "restartPolicy": "Always",
                "startupProbe": { "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 },
            }),
        );
        let main = container(&guest(cluster, "hello").await?, &[]);
        let spec = json!({ "initContainers": [sidecar] });
        space
            .create(with(pod("both", main), json!({ "spec": spec })))
            .await?;
        let ended = space
            .until("Pod", "both", condition::phase("Succeeded"))
            .await?;
        let sidecar = &ended["status"]["initContainerStatuses"][0]["state"]["terminated"];
        assert_eq!(sidecar["exitCode"], 0, "{ended:#}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_liveness_probe_that_fails_starts_the_container_anew() -> Result<()> {
    on_cluster("liveness", async |cluster, space| {
        let probe = json!({ "livenessProbe": {
            "httpGet": { "path": "/env/NOT_SET", "port": 8080 },
            "periodSeconds": 1, "failureThreshold": 2, "initialDelaySeconds": 1,
        } });
        let server = with(container(&guest(cluster, "http_p2").await?, &[]), probe);
        let always = json!({ "spec": { "restartPolicy": "Always" } });
        space.create(with(pod("ill", server), always)).await?;
        space.until("Pod", "ill", condition::restarted(1)).await?;
        assert!(
            space
                .events("ill")
                .await?
                .contains("Unhealthy Liveness probe failed")
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_startup_probe_holds_the_other_probes_back() -> Result<()> {
    on_cluster("startup", async |cluster, space| {
        let probes = json!({
            "startupProbe": { "tcpSocket": { "port": 8080 }, "periodSeconds": 1 },
            "livenessProbe": { "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 },
            "readinessProbe": { "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 },
        });
        let server = with(container(&guest(cluster, "http_p2").await?, &[]), probes);
        space.create(pod("well", server)).await?;
        let ready = space.until("Pod", "well", condition::ready()).await?;
        let status = &ready["status"]["containerStatuses"][0];
        assert_eq!(
            (&status["started"], &status["restartCount"]),
            (&json!(true), &json!(0))
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_guest_that_fails_is_started_again_with_more_and_more_time_between() -> Result<()> {
    on_cluster("back-off", async |cluster, space| {
        let fails = container(&guest(cluster, "exit_code").await?, &["3"]);
        let policy = json!({ "spec": { "restartPolicy": "OnFailure" } });
        space.create(with(pod("fails", fails), policy)).await?;
        space
            .until("Pod", "fails", condition::waits("CrashLoopBackOff"))
            .await?;
        let again = space.until("Pod", "fails", condition::restarted(1)).await?;
        assert!(
            condition::ended(3, "Error").holds(Some(&again)),
            "{again:#}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_trap_is_code_134_and_the_log_says_why() -> Result<()> {
    on_cluster("trap", async |cluster, space| {
        let traps = container(&guest(cluster, "trap").await?, &[]);
        space.create(pod("traps", traps)).await?;
        let ended = condition::ended(134, "Error");
        space.until("Pod", "traps", ended).await?;
        let log = space.kubectl(&["logs", "traps"]).await?;
        assert!(log.contains("coracle: "), "{log}");
        Ok(())
    })
    .await
}

/// The guest ends at SIGTERM by itself, long before its grace is over.
#[tokio::test]
async fn a_pod_that_is_deleted_ends_gracefully() -> Result<()> {
    on_cluster("graceful", async |cluster, space| {
        let server = container(&guest(cluster, "http_p2").await?, &[]);
        let grace = json!({ "spec": { "terminationGracePeriodSeconds": 60 } });
        space.create(with(pod("server", server), grace)).await?;
        space
            .until("Pod", "server", condition::phase("Running"))
            .await?;
        let begin = Instant::now();
        space.delete("Pod", "server").await?;
        space.until("Pod", "server", condition::gone()).await?;
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "{:?}",
            begin.elapsed()
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_image_that_is_not_there_is_named() -> Result<()> {
    on_cluster("no-image", async |_cluster, space| {
        let absent = container("coracle.test/absent:1", &[]);
        space.create(pod("absent", absent)).await?;
        space
            .until("Pod", "absent", condition::waits("ErrImageNeverPull"))
            .await?;
        Ok(())
    })
    .await
}
