//! A process in a control group, for the tests: enters it, says so, and does what it is told.
//!
//! `member CGROUPS_PATH RESOURCES ACTION [ARGUMENT]`, where RESOURCES is JSON as in a specification, or
//! `join` to enter the group of a container that runs. It prints `in` when it has entered, then what the
//! action has to say, and stays until its standard input ends.

#![allow(clippy::print_stdout, reason = "standard output is how it answers")]

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use coracle_cgroups::{Cgroup, Hierarchy};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [path, resources, action, rest @ ..] = &arguments[..] else {
        bail!("member CGROUPS_PATH RESOURCES ACTION [ARGUMENT]");
    };
    let cgroup = Hierarchy::detect()?.cgroup(Path::new(path))?;
    enter(&cgroup, resources)?;
    println!("in");
    let argument = rest.first().map_or("", String::as_str);
    let children = act(action, argument)?;
    io::stdin().read_to_end(&mut Vec::new())?;
    for mut child in children {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

fn enter(cgroup: &Cgroup, resources: &str) -> anyhow::Result<()> {
    if resources == "join" {
        return Ok(cgroup.join_self()?);
    }
    let resources = serde_json::from_str(resources).context("read RESOURCES")?;
    Ok(cgroup.enter_self(&resources)?)
}

fn act(action: &str, argument: &str) -> anyhow::Result<Vec<Child>> {
    match action {
        "stay" => {}
        "fork" => {
            return (0..argument.parse()?)
                .map(|_| sleeper("exec sleep 1000"))
                .collect();
        }
        "nest" => return Ok(vec![nest(argument)?]),
        "storm" => return Ok(vec![sleeper("while :; do sleep 0.05 & sleep 0.002; done")?]),
        "count" => count()?,
        "spin" => spin(Duration::from_millis(argument.parse()?)),
        "allocate" => allocate(argument.parse()?),
        "open" => match OpenOptions::new().read(true).write(true).open(argument) {
            Ok(_) => println!("opened"),
            Err(error) => println!("{}", error.kind()),
        },
        action => bail!("no action is named {action}"),
    }
    Ok(Vec::new())
}

fn sleeper(script: &str) -> anyhow::Result<Child> {
    Ok(Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::null())
        .spawn()?)
}

/// Makes a group below its own, as a container with a service manager does, and has a child in there.
fn nest(folder: &str) -> anyhow::Result<Child> {
    let script = format!(
        "mkdir -p {folder}/below/deep && echo $$ >{folder}/below/deep/cgroup.procs && echo nested && exec sleep 1000"
    );
    sleeper(&script)
}

/// Says numbers, fast, until nobody listens.
fn count() -> anyhow::Result<()> {
    for number in 1.. {
        writeln!(io::stdout(), "{number}")?;
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Uses so much of a processor's time.
fn spin(time: Duration) {
    let used = || fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = |text: String| text.split(' ').next().and_then(|first| first.parse().ok());
    while nanoseconds(used()).is_none_or(|used: u128| used < time.as_nanos()) {}
    println!("spun");
}

/// Takes memory until the kernel does something about it.
fn allocate(bytes: usize) {
    const STEP: usize = 1 << 20;
    let mut taken = Vec::new();
    while taken.len() * STEP < bytes {
        taken.push(vec![1_u8; STEP]);
    }
    println!("allocated {}", taken.len() * STEP);
    // It stays taken until this process ends.
    std::mem::forget(taken);
}
