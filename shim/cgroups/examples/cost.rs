//! What a group costs: `cost COUNT`, as root. A line a step, in milliseconds: least, median, most.
//!
//! The steps are those of a container's life, each in a group that is new, with a pause before it so that
//! the kernel has come to rest. Entering is measured by the process that enters.

#![allow(clippy::print_stdout, reason = "standard output is how it answers")]

use std::env;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use coracle_cgroups::Hierarchy;
use oci_spec::runtime::LinuxResources;

const KUBELET: &str = r#"{
    "cpu": {"shares": 512, "quota": 50000, "period": 100000},
    "memory": {"limit": 67108864},
    "pids": {"limit": 100},
    "devices": [{"allow": false, "access": "rwm"}]
}"#;

const PAUSE: Duration = Duration::from_millis(200);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["enter", path, file] => enter(path, file),
        [count] => all(count.parse()?),
        _ => anyhow::bail!("cost COUNT"),
    }
}

/// What is measured, by name.
#[derive(Default)]
struct Times(Vec<(&'static str, Vec<Duration>)>);

impl Times {
    fn add(&mut self, name: &'static str, time: Duration) {
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, times)) => times.push(time),
            None => self.0.push((name, vec![time])),
        }
    }

    fn print(self) {
        for (name, mut times) in self.0 {
            times.sort_unstable();
            let at = |at: usize| times[at].as_secs_f64() * 1000.0;
            let (least, median, most) = (at(0), at(times.len() / 2), at(times.len() - 1));
            println!("{name:44} {least:8.3} {median:8.3} {most:8.3}");
        }
    }
}

fn timed<T, E>(
    times: &mut Times,
    name: &'static str,
    act: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let began = Instant::now();
    let done = act()?;
    times.add(name, began.elapsed());
    Ok(done)
}

fn all(count: u32) -> anyhow::Result<()> {
    let mut times = Times::default();
    let resources: LinuxResources = serde_json::from_str(KUBELET)?;
    for number in 0..count {
        timed(&mut times, "detect", Hierarchy::detect)?;
        let hierarchy = Hierarchy::detect()?;
        let path = format!("/coracle-cost/{}-{number}", std::process::id());
        let cgroup = hierarchy.cgroup(Path::new(&path))?;
        for (name, file) in [
            ("enter_self", "self"),
            ("enter by cgroup.procs", "cgroup.procs"),
            ("enter by cgroup.procs, warm", "warm"),
        ] {
            thread::sleep(PAUSE);
            timed(&mut times, "create", || cgroup.create(&resources))?;
            thread::sleep(PAUSE);
            times.add(name, entered(&path, file)?);
            thread::sleep(PAUSE);
            timed(&mut times, "delete", || {
                cgroup.delete(Duration::from_secs(5))
            })?;
        }
    }
    Hierarchy::detect()?
        .cgroup(Path::new("/coracle-cost"))?
        .delete(Duration::from_secs(5))?;
    times.print();
    Ok(())
}

/// The time that another process says it took to enter.
fn entered(path: &str, file: &str) -> anyhow::Result<Duration> {
    let mut child = Command::new(env::current_exe()?)
        .args(["enter", path, file])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut answer = String::new();
    child
        .stdout
        .take()
        .context("no output")?
        .read_to_string(&mut answer)?;
    ensure!(child.wait()?.success(), "a process could not enter {path}");
    Ok(Duration::from_nanos(answer.trim().parse()?))
}

/// Enters and says how many nanoseconds that took.
fn enter(path: &str, file: &str) -> anyhow::Result<()> {
    let cgroup = Hierarchy::detect()?.cgroup(Path::new(path))?;
    let files = files(path);
    if file == "warm" {
        // What a supervisor could do at its start: move itself to where it is.
        let own = if Path::new("/sys/fs/cgroup/cgroup.procs").exists() {
            ""
        } else {
            "memory"
        };
        fs::write(
            Path::new("/sys/fs/cgroup").join(own).join("cgroup.procs"),
            "0",
        )?;
        thread::sleep(Duration::from_millis(3));
    }
    let began = Instant::now();
    match file {
        "self" => cgroup.join_self()?,
        _ => files.iter().try_for_each(|file| fs::write(file, "0"))?,
    }
    println!("{}", began.elapsed().as_nanos());
    Ok(())
}

fn files(path: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let inside = Path::new(path.trim_start_matches('/')).join("cgroup.procs");
    let mut found: Vec<PathBuf> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join(&inside))
        .filter(|file| file.exists())
        .collect();
    if found.is_empty() {
        found.push(root.join(inside));
    }
    found
}
