//! `cargo xtask demo akri`: a device comes, goes and comes back, through all the real parts; then what that took.
//!
//! `akri-demo --rounds N` measures N changes.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result};
use coracle_akri_agent::{Configuration, instance_name};
use coracle_akri_harness::{HANDLER, PROXY, Plugin};
use coracle_integration::Node;
use coracle_integration::node::process;
use tokio::time::Instant;

/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(60);

/// The devices while they are there.
const FOO0: &[&str] = &["foo0"];

fn main() -> Result<()> {
    if let Some(ended) = process::requested() {
        return ended;
    }
    env_logger::init();
    let rounds = rounds()?;
    tokio::runtime::Runtime::new()?.block_on(demo(rounds))
}

fn rounds() -> Result<usize> {
    let mut words = std::env::args().skip(1);
    match (words.next().as_deref(), words.next()) {
        (None, _) => Ok(6),
        (Some("--rounds"), Some(count)) => count
            .parse()
            .with_context(|| format!("--rounds takes a number, not {count:?}")),
        (Some(word), _) => anyhow::bail!("expected --rounds NUMBER, not {word}"),
    }
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}

async fn demo(rounds: usize) -> Result<()> {
    let node = Node::start().await?;
    let plugin = Plugin::start(&node).await?;
    let registered = plugin.agent()?.registered(1, WITHIN).await?;
    say(&format!(
        "the handler (wasm) and the proxy (native) run in one pod; the proxy registered as {:?}, shared: {}",
        registered.name, registered.shared
    ))?;
    let configuration = plugin.apply("descriptions: [\"foo0\"]")?;
    let view = configuration.devices(FOO0, WITHIN).await?;
    for device in &view.devices {
        say(&format!(
            "found:   device {:?} {:?}, Instance {}",
            device.id,
            device.properties,
            instance_name("akri-debug-echo", &device.id, None)
        ))?;
    }
    let gone = took(&configuration, plugin.offline()?, &[]).await?;
    say(&format!(
        "offline: no device, {} ms later",
        gone.as_millis()
    ))?;
    let back = took(&configuration, plugin.online()?, FOO0).await?;
    say(&format!(
        "online:  device \"foo0\", {} ms later",
        back.as_millis()
    ))?;
    let spread = measure(&plugin, &configuration, rounds).await?;
    say(&spread)?;
    say(&weight(&plugin).await?)?;
    plugin.remove().await?;
    say("the pod is removed")
}

/// Waits for `ids`, and says how long after `since` they came.
async fn took(configuration: &Configuration, since: Instant, ids: &[&str]) -> Result<Duration> {
    let view = configuration.devices(ids, WITHIN).await?;
    let last = view.lists.last().context("a list without a time")?;
    Ok(last.at - since)
}

async fn measure(
    plugin: &Plugin<'_>,
    configuration: &Configuration,
    rounds: usize,
) -> Result<String> {
    let mut durations = Vec::new();
    for round in 0..rounds {
        // Else each change would meet the handler at the same place of its period.
        let place = u64::try_from(round * 377 % 1000)?;
        tokio::time::sleep(Duration::from_millis(place)).await;
        let (since, ids) = if round % 2 == 0 {
            (plugin.offline()?, &[][..])
        } else {
            (plugin.online()?, FOO0)
        };
        durations.push(took(configuration, since, ids).await?);
    }
    durations.sort_unstable();
    let median = durations.get(durations.len() / 2).context("no rounds")?;
    let maximum = durations.last().context("no rounds")?;
    Ok(format!(
        "from a change of availability to the Agent's stream, {rounds} changes: median {} ms, maximum {} ms",
        median.as_millis(),
        maximum.as_millis()
    ))
}

async fn weight(plugin: &Plugin<'_>) -> Result<String> {
    let (handler, proxy) = (plugin.memory(HANDLER).await?, plugin.memory(PROXY).await?);
    Ok(format!(
        "memory (PSS): handler {} KiB, proxy {} KiB, together {:.1} MiB",
        handler.pss,
        proxy.pss,
        f64::from(u32::try_from(handler.pss + proxy.pss)?) / 1024.0
    ))
}
