//! How long a pod takes from its creation until it runs and until it is ready: wasm beside native.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use coracle_integration::cluster::{Space, condition};
use serde_json::{Value, json};

use crate::{busybox, container, guest, on_cluster, pod, with};

/// Pods of each kind, one of each in turn.
const ROUNDS: usize = 10;

/// An HTTP server of either kind is asked at once, and then every second.
fn server(name: &str, container: Value) -> Value {
    let probe = json!({
        "readinessProbe": { "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 },
    });
    pod(name, with(container, probe))
}

/// Creates the pod, and answers with the times until it runs and until it is ready.
async fn times(space: &Space<'_>, pod: Value) -> Result<[Duration; 2]> {
    let name = pod["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let begin = Instant::now();
    space.create(pod).await?;
    let mut reached = Vec::new();
    for wanted in [condition::phase("Running"), condition::ready()] {
        while !wanted.holds(space.get("Pod", &name).await?.as_ref()) {
            ensure!(
                begin.elapsed() < Duration::from_secs(60),
                "{name} {wanted} is not so"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        reached.push(begin.elapsed());
    }
    space.delete("Pod", &name).await?;
    Ok([reached[0], reached[1]])
}

#[tokio::test]
#[ignore = "measures: the machine should have nothing else to do"]
async fn a_wasm_pod_is_ready_within_twice_the_time_of_a_native_one() -> Result<()> {
    on_cluster("times", async |cluster, space| {
        let wasm = guest(cluster, "http_p2").await?;
        let busybox = busybox(cluster).await?;
        let (mut of_wasm, mut of_native) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let wasm = server(&format!("wasm-{round}"), container(&wasm, &[]));
            of_wasm.push(times(&space, wasm).await?);
            let command = ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/bin"];
            let native = with(container(&busybox, &[]), json!({ "command": command }));
            // The directory has no page; any answer between 200 and 399 is a success.
            let mut native = server(&format!("native-{round}"), native);
            native["spec"]["runtimeClassName"] = Value::Null;
            native["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"] =
                json!("/busybox");
            of_native.push(times(&space, native).await?);
        }
        let mut ready = Vec::new();
        for (kind, mut all) in [("wasm", of_wasm), ("native", of_native)] {
            for (place, what) in ["Running", "Ready"].iter().enumerate() {
                all.sort_by_key(|times| times[place]);
                let [least, median, most] = [0, ROUNDS / 2, ROUNDS - 1].map(|at| all[at][place]);
                println!("{kind} {what}: {least:.2?} least, {median:.2?} median, {most:.2?} most");
                ready.push(median);
            }
        }
        ensure!(
            ready[1] < 2 * ready[3],
            "wasm {:?}, native {:?}",
            ready[1],
            ready[3]
        );
        Ok(())
    })
    .await
}
