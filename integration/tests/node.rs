//! Nodes start, restart and end, however they end, without a trace.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use coracle_integration::node::{Layout, sweep};
use coracle_integration::patience::patient;
use coracle_integration::pod::{Pod, PodContainer};
use coracle_integration::task::{Signal, State};
use coracle_integration::{Node, cgroup, native, processes};
use nix::sys::signal::kill;
use nix::unistd::Pid;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn nothing_is_left_of_a_removed_pod_and_container() -> Result<()> {
    let node = Node::start().await?;
    let busybox = native::busybox()?;
    let pod = node
        .pod("brief")
        .container(PodContainer::new("sleeper", &busybox).command(["sleep", "1000"]))
        .start()
        .await?;
    let mut task = node
        .container("brief")
        .image(&busybox)
        .command(["sleep", "1000"])
        .start()
        .await?;
    let seen = node.leftovers().await?;
    assert_eq!(
        seen.tasks.len(),
        3,
        "sandbox, sleeper and container: {seen}"
    );
    assert_eq!(seen.bundles.len(), 3, "{seen}");
    assert!(
        seen.processes.len() >= 5,
        "two shims and three programs: {seen}"
    );
    assert!(
        !seen.mounts.is_empty() && !seen.cgroups.is_empty() && !seen.networks.is_empty(),
        "{seen}"
    );
    pod.remove().await?;
    task.remove().await?;
    node.nothing_is_left(SOON).await
}

#[tokio::test]
async fn containers_outlive_a_restart_of_containerd() -> Result<()> {
    let node = Node::start().await?;
    let task = node
        .container("survivor")
        .image(&native::busybox()?)
        .command(["sleep", "1000"])
        .start()
        .await?;
    let before = (node.containerd_pid()?, task.pid()?);
    node.restart_containerd().await?;
    assert_ne!(node.containerd_pid()?, before.0);
    assert_eq!(task.pid()?, before.1);
    assert_eq!(task.state().await?, State::Running);
    drop(task);
    node.nothing_is_left(SOON).await
}

#[tokio::test]
async fn two_nodes_do_not_disturb_each_other() -> Result<()> {
    let (one, other) = (Node::start().await?, Node::start().await?);
    let pod = web(&one, "one").await?;
    let survivor = web(&other, "other").await?;
    assert_eq!(page(&one, &pod).await?, "one\n");
    assert_eq!(page(&other, &survivor).await?, "other\n");
    pod.remove().await?;
    drop(one);
    assert_eq!(page(&other, &survivor).await?, "other\n");
    survivor.remove().await?;
    other.nothing_is_left(SOON).await
}

/// A pod on `node` that serves `word`, ready to answer.
async fn web<'n>(node: &'n Node, word: &str) -> Result<Pod<'n>> {
    let script = format!("echo {word} > /tmp/page; httpd -p 8080 -h /tmp; echo ready; sleep 1000");
    let httpd = PodContainer::new("httpd", &native::busybox()?).command(["sh", "-c", &script]);
    let pod = node.pod("same").container(httpd).start().await?;
    pod.says("httpd", "ready\n").await?;
    Ok(pod)
}

async fn page(node: &Node, pod: &Pod<'_>) -> Result<String> {
    let address = SocketAddr::new(pod.address().await?, 8080);
    Ok(node.http_get(address, "/page")?.body)
}

/// A node with a running pod, and what can be seen of it from outside.
async fn inhabited() -> Result<Node> {
    let node = Node::start().await?;
    let pod = node
        .pod("victim")
        .container(PodContainer::new("sleeper", &native::busybox()?).command(["sleep", "1000"]))
        .start()
        .await?;
    // The pod stays on the node, to be swept with it.
    std::mem::forget(pod);
    assert!(!Traces::of(node.layout())?.is_empty());
    Ok(node)
}

#[tokio::test]
async fn a_node_that_ends_takes_everything_with_it() -> Result<()> {
    let node = inhabited().await?;
    let layout = node.layout().clone();
    drop(node);
    assert_eq!(Traces::of(&layout)?, Traces::default());
    Ok(())
}

#[tokio::test]
async fn a_node_whose_first_process_is_killed_leaves_nothing() -> Result<()> {
    let node = inhabited().await?;
    kill(node.first_process(), Signal::SIGKILL)?;
    let layout = node.layout().clone();
    Traces::are_gone(&layout).await
}

#[tokio::test]
async fn a_node_whose_keeper_is_killed_leaves_nothing_after_a_sweep() -> Result<()> {
    let node = inhabited().await?;
    let layout = node.layout().clone();
    kill(
        Pid::from_raw(i32::try_from(node.keeper())?),
        Signal::SIGKILL,
    )?;
    drop(node);
    sweep()?;
    assert_eq!(Traces::of(&layout)?, Traces::default());
    Ok(())
}

/// Runs this test program again for one ignored test, and kills it −9 when it has a node.
#[tokio::test]
async fn a_test_process_that_is_killed_leaves_nothing() -> Result<()> {
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--ignored", "--exact", "victim", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = BufReader::new(victim.stdout.take().unwrap()).lines();
    let folder = output
        .find_map(|line| Some(line.ok()?.split_once(FOLDER)?.1.to_owned()))
        .expect("the victim names its node");
    let layout = Layout::at(folder.into());
    assert!(!Traces::of(&layout)?.is_empty());
    victim.kill()?;
    victim.wait()?;
    Traces::are_gone(&layout).await
}

/// What the victim prints before the folder of its node.
const FOLDER: &str = "node in ";

#[tokio::test]
#[ignore = "the part of another test that is killed"]
async fn victim() -> Result<()> {
    let node = inhabited().await?;
    println!("{FOLDER}{}", node.layout().folder().display());
    std::future::pending().await
}

/// What can be seen of a node from outside its namespaces.
#[derive(Debug, Default, PartialEq, Eq)]
struct Traces {
    paths: Vec<PathBuf>,
    cgroups: Vec<PathBuf>,
    processes: Vec<String>,
}

impl Traces {
    fn of(layout: &Layout) -> Result<Self> {
        let mut paths = vec![layout.folder().to_owned(), layout.lock()];
        paths.retain(|path| path.exists());
        let parent = layout.cgroup_parent();
        let folder = layout.folder().to_string_lossy().into_owned();
        let processes = processes::all()?
            .into_iter()
            .filter(|process| {
                process.cgroups.contains(&parent) || process.command.contains(&folder)
            })
            .map(|process| process.command)
            .collect();
        Ok(Self {
            paths,
            cgroups: cgroup::below(&parent)?,
            processes,
        })
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    async fn are_gone(layout: &Layout) -> Result<()> {
        let deadline = Instant::now() + patient(SOON);
        loop {
            let traces = Self::of(layout)?;
            if traces.is_empty() {
                return Ok(());
            }
            assert!(Instant::now() < deadline, "still there: {traces:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
