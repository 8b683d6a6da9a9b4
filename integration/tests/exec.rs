//! Processes beside a container's first one: what `kubectl exec` and probes need.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use coracle_integration::image::Rootfs;
use coracle_integration::pod::{CORACLE, PodContainer};
use coracle_integration::task::{Capability, Runtime, Signal, State, Task};
use coracle_integration::{Image, Node, native, processes};
use futures::future::try_join_all;
use tokio::time::{Instant, sleep};

/// An image of wasm files alone: one that sleeps, and tools.
fn tools() -> Result<Image> {
    let wasm = |name: &str| -> Result<Vec<u8>> { Ok(fs::read(coracle_guests::built(name)?)?) };
    Rootfs::new("coracle.test/exec-tools:1")
        .file("sleep.wasm", 0o644, wasm("sleep")?)
        .file("exit_code.wasm", 0o644, wasm("exit_code")?)
        .file("stdin_to_stdout.wasm", 0o644, wasm("stdin_to_stdout")?)
        .file("bin/args.wasm", 0o644, wasm("args")?)
        .file("broken.wasm", 0o644, b"\0asm nothing more")
        .entrypoint(["/sleep.wasm"])
        .build()
}

async fn wasm() -> Result<Task<'static>> {
    let node = Node::shared().await?;
    let container = node.container("tools").image(&tools()?);
    let task = container.runtime(Runtime::Coracle).start().await?;
    task.says("ready\n").await?;
    Ok(task)
}

async fn shell() -> Result<Task<'static>> {
    let node = Node::shared().await?;
    let container = node.container("shell").image(&native::busybox()?);
    let container = container.command(SLEEPER);
    let task = container.runtime(Runtime::Coracle).start().await?;
    task.says("ready\n").await?;
    Ok(task)
}

/// Says when it is executed, which is after the answer to `start`: until then its rights are not final.
const SLEEPER: [&str; 3] = ["sh", "-c", "echo ready; exec sleep 1000"];

#[tokio::test]
async fn a_program_has_its_arguments_environment_streams_and_exit_code() -> Result<()> {
    let task = shell().await?;
    let script = r#"echo "$1 $HOME $(pwd)"; echo bad >&2; exit 42"#;
    let finished = task
        .exec(["sh", "-c", script, "sh", "two words"])
        .run()
        .await?;
    assert_eq!(finished.stdout, "two words / /\n", "{}", finished.stderr);
    assert_eq!(finished.stderr, "bad\n");
    assert_eq!(finished.code, 42);
    assert_eq!(task.state().await?, State::Running);
    Ok(())
}

#[tokio::test]
async fn a_program_reads_its_standard_input_to_the_end() -> Result<()> {
    let task = shell().await?;
    let text = "line\n".repeat(100_000);
    let finished = task.exec(["cat"]).stdin(text.as_str()).run().await?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert!(finished.stdout == text.as_str(), "the text changed");
    Ok(())
}

#[tokio::test]
async fn a_program_has_no_descriptor_of_the_hosts() -> Result<()> {
    let task = shell().await?;
    let finished = task.exec(["ls", "/proc/self/fd"]).run().await?;
    // The last is the folder that is listed.
    assert_eq!(finished.stdout, "0\n1\n2\n3\n", "{}", finished.stderr);
    Ok(())
}

#[tokio::test]
async fn signals_reach_the_process_and_not_its_container() -> Result<()> {
    let task = shell().await?;
    let script = "trap 'exit 7' TERM; echo ready; while true; do sleep 0.1; done";
    for (signal, code) in [(Signal::SIGTERM, 7), (Signal::SIGKILL, 137)] {
        let process = task.exec(["sh", "-c", script]).start().await?;
        process.says("ready\n").await?;
        assert_eq!(process.state().await?, State::Running);
        process.kill(signal).await?;
        assert_eq!(process.finish().await?.code, code);
    }
    assert_eq!(task.state().await?, State::Running);
    Ok(())
}

#[tokio::test]
async fn wasm_runs_beside_wasm_by_its_path_and_by_its_name() -> Result<()> {
    let task = wasm().await?;
    for name in ["/bin/args.wasm", "args.wasm", "/bin/args.wasm#_start"] {
        let finished = task.exec([name, "one", "two words"]).run().await?;
        let said = format!("{name}\none\ntwo words\n");
        assert_eq!(finished.stdout, said.as_str(), "{}", finished.stderr);
        assert_eq!(finished.code, 0);
    }
    let finished = task.exec(["/exit_code.wasm", "42"]).run().await?;
    assert_eq!(finished.code, 42, "{}", finished.stderr);
    Ok(())
}

#[tokio::test]
async fn wasm_reads_its_standard_input_to_the_end() -> Result<()> {
    let task = wasm().await?;
    let text = "some text\n".repeat(100_000);
    let exec = task.exec(["/stdin_to_stdout.wasm"]).stdin(text.as_str());
    let finished = exec.run().await?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert!(finished.stdout == text.as_str(), "the text changed");
    Ok(())
}

#[tokio::test]
async fn wasm_is_ended_by_signals_and_by_the_end_of_its_container() -> Result<()> {
    let task = wasm().await?;
    let process = task.exec(["/sleep.wasm"]).start().await?;
    process.says("ready\n").await?;
    process.kill(Signal::SIGTERM).await?;
    assert_eq!(process.finish().await?.code, 143);
    let process = task.exec(["/sleep.wasm"]).start().await?;
    process.says("ready\n").await?;
    task.kill(Signal::SIGKILL).await?;
    assert_eq!(process.wait().await?, 137);
    assert_eq!(task.wait().await?, 137);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_run_is_an_error_that_names_it() -> Result<()> {
    for task in [shell().await?, wasm().await?] {
        for (name, reason) in [
            ("/nope", "/nope: no such file in the container"),
            ("nope", "nope: no such file in the container"),
            ("/bin", "/bin: it is no regular file"),
        ] {
            let error = task.exec([name]).start().await.unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains("OCI runtime exec failed: "), "{error}");
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(task.state().await?, State::Running);
    }
    let task = wasm().await?;
    let error = task.exec(["/broken.wasm"]).start().await.unwrap_err();
    assert!(format!("{error:#}").contains("/broken.wasm: "), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn a_terminal_is_one_and_has_the_size_it_is_given() -> Result<()> {
    let task = shell().await?;
    let script = "test -t 0 && test -t 1 && test -t 2 && echo is a terminal; \
        echo $(ls /proc/self/fd); read line; echo got $line; busybox stty size; : > /dev/tty && exit 3";
    let mut process = task.exec(["sh", "-c", script]).terminal().start().await?;
    process.says("0 1 2 3\r\n").await?;
    process.resize(101, 37).await?;
    process.type_in("typed\n")?;
    let finished = process.finish().await?;
    let said = "is a terminal\r\n0 1 2 3\r\ntyped\r\ngot typed\r\n37 101\r\n";
    assert_eq!(finished.stdout, said);
    assert_eq!(finished.code, 3);
    Ok(())
}

#[tokio::test]
async fn wasm_writes_to_a_terminal() -> Result<()> {
    let task = wasm().await?;
    let process = task.exec(["args.wasm", "one"]).terminal().start().await?;
    let finished = process.finish().await?;
    assert_eq!(finished.stdout, "args.wasm\r\none\r\n");
    assert_eq!(finished.code, 0);
    Ok(())
}

#[tokio::test]
async fn a_working_directory_must_be_in_the_container() -> Result<()> {
    let task = shell().await?;
    let inside = task.exec(["busybox", "pwd"]).folder("/tmp").run().await?;
    assert_eq!(inside.stdout, "/tmp\n", "{}", inside.stderr);
    // The root of the node, as it was possible with runc before 1.1.12 (CVE-2024-21626).
    for number in 3..20 {
        let folder = format!("/proc/self/fd/{number}");
        let exec = task.exec(["busybox", "pwd"]).folder(&folder);
        let error = exec.start().await.unwrap_err();
        let reason = format!("go to the working directory {folder}");
        assert!(format!("{error:#}").contains(&reason), "{error:#}");
    }
    Ok(())
}

#[tokio::test]
async fn thirty_processes_at_once_end_with_their_own_codes() -> Result<()> {
    let (shell, wasm) = (shell().await?, wasm().await?);
    let ended = try_join_all((0_u32..30).map(|code| {
        let code = code.to_string();
        let native = ["sh", "-c", "exit $0", code.as_str()];
        let exec = match code.ends_with(['0', '5']) {
            true => wasm.exec(["/exit_code.wasm", code.as_str()]),
            false => shell.exec(native),
        };
        exec.run()
    }))
    .await?;
    let codes: Vec<u32> = ended.iter().map(|finished| finished.code).collect();
    assert_eq!(codes, (0..30).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn a_process_that_runs_cannot_be_forgotten() -> Result<()> {
    let task = shell().await?;
    let process = task.exec(["sleep", "1000"]).start().await?;
    let error = process.delete().await.unwrap_err();
    assert!(format!("{error:#}").contains("is running"), "{error:#}");
    process.kill(Signal::SIGKILL).await?;
    assert_eq!(process.wait().await?, 137);
    let error = process.kill(Signal::SIGKILL).await.unwrap_err();
    assert!(
        format!("{error:#}").contains("already finished"),
        "{error:#}"
    );
    assert_eq!(process.delete().await?, 137);
    assert!(process.state().await.is_err(), "it is still known");
    Ok(())
}

/// The lines of `/proc/<pid>/status` that say what a process may.
fn rights(status: &str) -> Vec<&str> {
    const KEYS: [&str; 6] = ["Cap", "Seccomp", "NoNewPrivs", "Uid", "Gid", "Groups"];
    let is_about = |line: &&str| KEYS.iter().any(|key| line.starts_with(key));
    status.lines().filter(is_about).collect()
}

#[tokio::test]
async fn a_process_has_no_more_rights_than_its_container() -> Result<()> {
    let node = Node::shared().await?;
    for (user, granted) in [
        (0, vec![]),
        (1234, vec![]),
        (0, vec![Capability::NetBindService]),
        (1234, vec![Capability::NetBindService]),
    ] {
        let container = node.container("narrow").image(&native::busybox()?);
        let container = container.user(user, 4321).capabilities(granted);
        let container = container.forbid("mkdir").runtime(Runtime::Coracle);
        let task = container.command(SLEEPER).start().await?;
        task.says("ready\n").await?;
        let read = ["cat", "/proc/1/status", "/proc/self/status"];
        let finished = task.exec(read).run().await?;
        let text = finished.stdout.text();
        let (first, own) = text.split_at(text.rfind("Name:\t").context("no status")?);
        assert_eq!(rights(own), rights(first), "{}", finished.stderr);
        let uid = format!("Uid:\t{user}\t{user}\t{user}\t{user}");
        for line in [uid.as_str(), "NoNewPrivs:\t1", "Seccomp:\t2"] {
            assert!(own.contains(line), "{own}");
        }
        let make = ["busybox", "mkdir", "/tmp/folder"];
        let refused = task.exec(make).run().await?;
        assert_eq!(refused.code, 1);
        let said = "Operation not permitted";
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn a_process_is_in_the_groups_and_namespaces_of_its_container() -> Result<()> {
    let task = shell().await?;
    let script = "for p in 1 self; do cat /proc/$p/cgroup /proc/$p/oom_score_adj /proc/$p/limits; \
        for ns in /proc/$p/ns/*; do busybox readlink $ns; done; echo; done";
    let finished = task.exec(["sh", "-c", script]).run().await?;
    let text = finished.stdout.text();
    let (first, own) = text.split_once("\n\n").context("two parts")?;
    assert_eq!(own.trim_end(), first, "{}", finished.stderr);
    for word in [task.id(), "pid:[", "mnt:[", "net:["] {
        assert!(own.contains(word), "no {word} in {own}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_of_processes_and_of_those_that_were_never_started() -> Result<()> {
    let node = Node::start().await?;
    let container = node.container("brief").image(&tools()?);
    let mut task = container.runtime(Runtime::Coracle).start().await?;
    task.says("ready\n").await?;
    let before = node.leftovers().await?.processes;
    task.exec(["args.wasm"]).run().await?;
    task.exec(["/nope"]).start().await.unwrap_err();
    let end = Instant::now() + Duration::from_secs(10);
    while node.leftovers().await?.processes != before {
        let left = node.leftovers().await?;
        assert!(Instant::now() < end, "{before:?} became {left}");
        sleep(Duration::from_millis(20)).await;
    }
    let living = task.exec(["/sleep.wasm"]).start().await?;
    living.says("ready\n").await?;
    task.remove().await?;
    node.nothing_is_left(Duration::from_secs(10)).await
}

#[tokio::test]
async fn a_killed_supervisor_leaves_none_of_its_processes() -> Result<()> {
    let node = Node::start().await?;
    let mut hits = 0;
    for moment in (0..60).step_by(4) {
        let container = node.container("crash").image(&native::busybox()?);
        let container = container.command(["sleep", "1000"]);
        let mut task = container.runtime(Runtime::Coracle).start().await?;
        task.exec(["sleep", "1001"]).start().await?;
        let another = task.exec(["sleep", "1002"]);
        let killed = async {
            sleep(Duration::from_millis(moment)).await;
            kill_supervisor(&node)
        };
        // Whatever is answered.
        let (_, killed) = tokio::join!(another.start(), killed);
        hits += killed?;
        // containerd may not know yet that its request has nobody to answer it.
        let end = Instant::now() + Duration::from_secs(30);
        while let Err(error) = task.remove().await {
            assert!(Instant::now() < end, "{error:#}");
            sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(hits, 15, "there is one supervisor at any moment");
    node.nothing_is_left(Duration::from_secs(30)).await
}

fn kill_supervisor(node: &Node) -> Result<usize> {
    let mut all = processes::in_namespace_of(node.first_process())?;
    // What it forks has its command line.
    all.retain(|process| process.command.ends_with(" supervise"));
    let is_first = |parent| !all.iter().any(|process| process.pid == parent);
    let supervisors = all.iter().filter(|process| is_first(process.parent));
    let mut killed = 0;
    for supervisor in supervisors {
        nix::sys::signal::kill(supervisor.pid, Signal::SIGKILL)?;
        killed += 1;
    }
    Ok(killed)
}

#[tokio::test]
async fn a_pod_runs_commands_in_its_containers() -> Result<()> {
    let node = Node::shared().await?;
    let shell = PodContainer::new("shell", &native::busybox()?);
    let pod = node
        .pod("exec")
        .runtime(CORACLE)
        .container(PodContainer::new("wasm", &tools()?))
        .container(shell.command(["sleep", "1000"]))
        .start()
        .await?;
    pod.says("wasm", "ready\n").await?;
    let wasm = pod.exec("wasm", ["args.wasm", "one"]).await?;
    assert_eq!(wasm.stdout, "args.wasm\none\n", "{}", wasm.stderr);
    assert_eq!(pod.exec("wasm", ["/exit_code.wasm", "9"]).await?.code, 9);
    let script = "echo out; echo bad >&2; exit 5";
    let native = pod.exec("shell", ["sh", "-c", script]).await?;
    assert_eq!(native.stdout, "out\n");
    assert_eq!(native.stderr, "bad\n");
    assert_eq!(native.code, 5);
    let error = pod.exec("wasm", ["/nope"]).await.unwrap_err();
    assert!(
        format!("{error:#}").contains("/nope: no such file"),
        "{error:#}"
    );
    pod.remove().await
}

/// Where the kernel does not end them.
#[tokio::test]
async fn in_a_shared_pid_namespace_processes_end_with_their_container() -> Result<()> {
    let node = Node::shared().await?;
    let container = node.container("shared").image(&native::busybox()?);
    let container = container.command(["sleep", "1000"]).share_processes();
    let task = container.runtime(Runtime::Coracle).start().await?;
    let script = "read line < /proc/$$/stat; echo ${line%% *} $$; exec sleep 1000";
    let process = task.exec(["sh", "-c", script]).start().await?;
    process.says("\n").await?;
    task.kill(Signal::SIGKILL).await?;
    assert_eq!(task.wait().await?, 137);
    let finished = process.finish().await?;
    assert_eq!(finished.code, 137);
    let text = finished.stdout.text();
    let (seen, own) = text.trim().split_once(' ').context("two numbers")?;
    assert_eq!(seen, own, "/proc is of another PID namespace");
    Ok(())
}
