//! The processes of a node, seen from outside its PID namespace, and what memory they take.

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::unistd::Pid;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id in the caller's PID namespace.
    pub pid: Pid,
    /// Its id one PID namespace deeper, where it is in one; else 0.
    pub inner_pid: u32,
    /// Its parent's id in the caller's PID namespace.
    pub parent: Pid,
    /// The kernel's name for it: at most 15 bytes of the program's name.
    pub name: String,
    /// Its command line, with spaces between the words.
    pub command: String,
    /// The paths of its cgroups, one line for each hierarchy.
    pub cgroups: String,
}

/// What processes take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Proportional set size in KiB: shared pages count in parts.
    pub pss: u64,
    /// Pages that no other process has, in KiB.
    pub private: u64,
}

/// All processes in the PID namespace of `first`, and in those below it. Those that end meanwhile are left out.
///
/// # Errors
/// When `first` is gone or the process table cannot be read.
pub fn in_namespace_of(first: Pid) -> Result<Vec<Process>> {
    read(first).with_context(|| format!("process {first} is gone"))?;
    let all = all()?;
    let mut inside = vec![first];
    // Whoever the node's first process adopts is its child, so descent is membership.
    loop {
        let known = inside.len();
        for process in &all {
            if inside.contains(&process.parent) && !inside.contains(&process.pid) {
                inside.push(process.pid);
            }
        }
        if inside.len() == known {
            break;
        }
    }
    Ok(all
        .into_iter()
        .filter(|process| inside.contains(&process.pid))
        .collect())
}

/// All processes that the caller can see. Those that end meanwhile are left out.
///
/// # Errors
/// When the process table cannot be read.
pub fn all() -> Result<Vec<Process>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Ok(process) = read(Pid::from_raw(pid)) {
            all.push(process);
        }
    }
    Ok(all)
}

/// The memory of `pids` together. Processes that are gone count nothing.
///
/// # Errors
/// When a process's memory map cannot be read.
pub fn memory(pids: impl IntoIterator<Item = Pid>) -> Result<Memory> {
    let mut sum = Memory::default();
    for pid in pids {
        let path = PathBuf::from(format!("/proc/{pid}/smaps_rollup"));
        let map = match fs::read_to_string(&path) {
            // A zombie has no memory: its map cannot be read.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    || error.raw_os_error() == Some(nix::libc::ESRCH) =>
            {
                continue;
            }
            map => map.with_context(|| format!("read {}", path.display()))?,
        };
        for line in map.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(key), Some(Ok(size))) = (words.next(), words.next().map(str::parse::<u64>))
            else {
                continue;
            };
            match key {
                "Pss:" => sum.pss += size,
                "Private_Clean:" | "Private_Dirty:" => sum.private += size,
                _ => {}
            }
        }
    }
    Ok(sum)
}

fn read(pid: Pid) -> io::Result<Process> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let parent = field(&status, "PPid:")
        .and_then(|parent| parent.parse().ok())
        .unwrap_or(0);
    let command = fs::read(format!("/proc/{pid}/cmdline"))?;
    Ok(Process {
        pid,
        parent: Pid::from_raw(parent),
        inner_pid: field(&status, "NSpid:")
            .and_then(|pids| pids.split_ascii_whitespace().nth(1)?.parse().ok())
            .unwrap_or(0),
        name: field(&status, "Name:").unwrap_or_default().to_owned(),
        command: String::from_utf8_lossy(&command)
            .replace('\0', " ")
            .trim_end()
            .to_owned(),
        cgroups: fs::read_to_string(format!("/proc/{pid}/cgroup"))?,
    })
}

fn field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .map(str::trim)
}
