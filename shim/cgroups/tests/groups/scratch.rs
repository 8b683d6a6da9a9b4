//! A group with processes in it that is gone after its test, also when that fails.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use coracle_cgroups::{Cgroup, Hierarchy, Signal};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use oci_spec::runtime::LinuxResources;

/// How long a group may take to become empty.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Limits from JSON as in a specification.
pub(crate) fn limits(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

/// A container's group in a parent of its own.
pub(crate) struct Scratch {
    pub(crate) path: String,
    pub(crate) cgroup: Cgroup,
    pub(crate) parent: Cgroup,
    /// `cgroupsPath`.
    argument: String,
    members: Vec<Child>,
}

/// A process in the group, which ends when this is dropped.
#[must_use]
pub(crate) struct Member {
    pub(crate) id: i32,
    answers: BufReader<ChildStdout>,
    /// The process ends when this is closed.
    input: Option<ChildStdin>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let parent = format!("/coracle-test-{}-{count}", std::process::id());
        let path = format!("{parent}/container");
        let hierarchy = Hierarchy::detect().unwrap();
        Self {
            cgroup: hierarchy.cgroup(Path::new(&path)).unwrap(),
            parent: hierarchy.cgroup(Path::new(&parent)).unwrap(),
            argument: path.clone(),
            path,
            members: Vec::new(),
        }
    }

    /// Made, with these limits.
    pub(crate) fn made(json: &str) -> Self {
        let scratch = Self::new();
        scratch.cgroup.create(&limits(json)).unwrap();
        scratch
    }

    /// A scope, which is there as soon as it has a process.
    pub(crate) fn of_systemd() -> Self {
        let mut scratch = Self::new();
        let name = scratch.path.replace('/', "");
        scratch.path = format!("/coracle.slice/coracle-test.slice/t-{name}.scope");
        scratch.argument = format!("coracle-test.slice:t:{name}");
        let hierarchy = Hierarchy::detect().unwrap();
        scratch.cgroup = hierarchy.cgroup(Path::new(&scratch.argument)).unwrap();
        scratch.parent = scratch.cgroup.clone();
        scratch
    }

    /// Starts a process that enters the group; see `examples/member.rs`.
    pub(crate) fn member(&mut self, action: &str, argument: &str) -> Member {
        self.member_with("{}", action, argument)
    }

    /// The same with the limits that the group is to have, or `join`.
    pub(crate) fn member_with(&mut self, json: &str, action: &str, argument: &str) -> Member {
        let mut child = self
            .command(json, action, argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut member = Member {
            id: child.id().try_into().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            input: child.stdin.take(),
        };
        self.members.push(child);
        assert_eq!(member.answer(), "in");
        member
    }

    /// What a process says that cannot enter.
    pub(crate) fn refused_member(&self, json: &str) -> String {
        let ended = self
            .command(json, "stay", "")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(!ended.status.success());
        String::from_utf8(ended.stderr).unwrap()
    }

    /// Waits for the ends of processes that were killed.
    pub(crate) fn wait_for_members(&mut self) {
        for mut member in self.members.drain(..) {
            member.wait().unwrap();
        }
    }

    /// Waits until there are so many processes.
    pub(crate) fn wait_for_processes(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.cgroup.processes().unwrap().len() < count {
            assert!(Instant::now() < deadline, "{:?}", self.cgroup.processes());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn command(&self, json: &str, action: &str, argument: &str) -> Command {
        let mut command = Command::new(program());
        command.args([&self.argument, json, action, argument]);
        command
    }

    /// The group's file in the hierarchy of this controller.
    pub(crate) fn file(&self, controller: &str, name: &str) -> PathBuf {
        let root = Path::new("/sys/fs/cgroup");
        let root = if is_unified() {
            root.to_owned()
        } else {
            root.join(controller)
        };
        root.join(self.path.trim_start_matches('/')).join(name)
    }

    pub(crate) fn read(&self, controller: &str, name: &str) -> String {
        let path = self.file(controller, name);
        match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
}

impl Member {
    /// The next line that it says; empty when it has ended.
    pub(crate) fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// What it has said and nobody has read, without waiting.
    pub(crate) fn read_what_is_there(&mut self) -> String {
        let mut found = String::from_utf8(self.answers.buffer().to_vec()).unwrap();
        self.answers.consume(found.len());
        let pipe = self.answers.get_mut();
        fcntl(&*pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let mut rest = Vec::new();
        match pipe.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        fcntl(&*pipe, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        found.push_str(std::str::from_utf8(&rest).unwrap());
        found
    }

    /// Ends it, without waiting.
    pub(crate) fn end(&mut self) {
        self.input = None;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A frozen process would not die, and one may have forked.
        drop(self.cgroup.kill_all(Signal::SIGKILL));
        for member in &mut self.members {
            // It may have ended.
            drop(member.kill());
            drop(member.wait());
        }
        if let Err(error) = self.parent.delete(PATIENCE) {
            eprintln!("{error}");
        }
    }
}

pub(crate) fn is_unified() -> bool {
    Hierarchy::detect().unwrap().is_unified()
}

/// `member`, which Cargo builds beside the folder of the tests.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(2).unwrap().join("examples/member")
}
