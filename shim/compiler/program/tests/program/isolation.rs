//! What a compiler can still reach, looked at from outside while it waits for its first byte, and from
//! inside by a copy of this test that enters the same sandbox.

use std::env;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::thread;

use coracle_compile::sandbox::Sandbox;
use coracle_compiler::Limits;

use crate::bench::{Waiting, compiler, field, file, limits, signal};

#[test]
fn nothing_of_the_node_is_left_before_the_first_byte_is_read() {
    let root = tempfile::tempdir().unwrap();
    let waiting = Waiting::new(&root);
    thread::scope(|scope| {
        let compilation = scope.spawn(|| compiler(limits()).compile(&waiting.reader, &file(b"")));
        let pid = waiting.compiler();
        let seen = std::panic::catch_unwind(|| {
            no_rights(pid);
            no_places(pid);
            limited(pid);
        });
        signal(pid, "KILL");
        compilation.join().unwrap().unwrap_err();
        if let Err(panic) = seen {
            std::panic::resume_unwind(panic);
        }
    });
}

fn no_rights(pid: u32) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let nobody = "65534\t65534\t65534\t65534";
    for (name, expected) in [
        ("Uid", nobody),
        ("Gid", nobody),
        ("Groups", ""),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("Seccomp_filters", "2"),
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
    ] {
        assert_eq!(field(&status, name), Some(expected), "{name}");
    }
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(environment.is_empty());
}

fn no_places(pid: u32) {
    for name in ["mnt", "net", "ipc", "uts"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        assert_ne!(of(&pid.to_string()), of("self"), "{name}");
    }
    let root = fs::read_dir(format!("/proc/{pid}/root")).unwrap();
    assert_eq!(root.count(), 0);
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let places: Vec<_> = mounts
        .lines()
        .map(|line| line.split(' ').nth(4).unwrap())
        .collect();
    assert_eq!(places, ["/"], "{mounts}");
    assert!(mounts.contains(" ro,"), "{mounts}");
    let net = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    let interfaces: Vec<_> = net
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .filter(|name| *name == "lo" || name.starts_with("e"))
        .collect();
    assert_eq!(interfaces, ["lo"]);
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    assert_eq!(descriptors, 5, "standard ones, and two duplicates");
}

fn limited(pid: u32) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let soft = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line.trim_start_matches(name)
            .split_whitespace()
            .next()
            .unwrap()
            .to_owned()
    };
    let expected = Limits::default();
    assert_eq!(soft("Max address space"), expected.memory.to_string());
    assert_eq!(soft("Max cpu time"), "60");
    assert_eq!(soft("Max file size"), expected.output.to_string());
    assert_eq!(soft("Max core file size"), "0");
    assert_eq!(soft("Max open files"), "16");
}

/// Names what the copy of this test does inside.
const ATTEMPT: &str = "CORACLE_TEST_ATTEMPT";

/// Runs [`the_inside`] in a process of its own; answers with the signal that ended it, or its words.
fn inside(attempt: &str) -> Result<String, i32> {
    let ended = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "isolation::the_inside",
            "--ignored",
            "--nocapture",
        ])
        .env(ATTEMPT, attempt)
        .output()
        .unwrap();
    match ended.status.signal() {
        Some(signal) => Err(signal),
        None => Ok(String::from_utf8(ended.stdout).unwrap()),
    }
}

#[test]
#[ignore = "started by the tests below, in a process of its own"]
fn the_inside() {
    let attempt = env::var(ATTEMPT).unwrap();
    let sandbox = Sandbox {
        memory: 1 << 40,
        processor: 10,
        output: 1 << 20,
        user: 65_534,
        parent: None,
    };
    sandbox.enter().unwrap();
    match &*attempt {
        "open" => println!("open: {}", fs::read("/").unwrap_err()),
        "thread" => println!("thread: {}", thread::spawn(|| 42).join().unwrap()),
        "socket" => drop(UdpSocket::bind("127.0.0.1:0")),
        "process" => drop(Command::new("/bin/true").status()),
        "session" => assert!(nix::unistd::setsid().is_ok()),
        "root" => assert!(nix::unistd::chroot("/").is_ok()),
        other => panic!("no such attempt: {other}"),
    }
    println!("survived");
}

#[test]
fn files_are_not_there_and_threads_are() {
    let said = inside("open").unwrap();
    assert!(
        said.contains("open: Function not implemented (os error 38)"),
        "{said}"
    );
    let said = inside("thread").unwrap();
    assert!(said.contains("thread: 42"), "{said}");
}

#[test]
fn a_forbidden_system_call_ends_the_process() {
    const SIGSYS: i32 = 31;
    for attempt in ["socket", "process", "session", "root"] {
        assert_eq!(inside(attempt), Err(SIGSYS), "{attempt}");
    }
}
