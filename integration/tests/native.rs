//! The harness's own tests: what it says about runc has to be true before it may say anything about a shim.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use coracle_integration::task::{Signal, State};
use coracle_integration::{Node, native};

#[tokio::test]
async fn hello() -> Result<()> {
    let node = Node::shared().await?;
    let finished = node
        .container("hello")
        .image(&native::hello()?)
        .run()
        .await?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(finished.stdout, "hello\n");
    assert_eq!(finished.stderr, "");
    Ok(())
}

#[tokio::test]
async fn args_env_and_exit_code_pass_through() -> Result<()> {
    let node = Node::shared().await?;
    let finished = node
        .container("sh")
        .image(&native::busybox()?)
        .env("GREETING", "ahoy")
        .command([
            "sh",
            "-c",
            r#"echo "$GREETING $1"; echo bad >&2; exit 42"#,
            "sh",
            "there",
        ])
        .run()
        .await?;
    assert_eq!(finished.stdout, "ahoy there\n");
    assert_eq!(finished.stderr, "bad\n");
    assert_eq!(finished.code, 42);
    Ok(())
}

#[tokio::test]
async fn stdin_arrives_whole_and_ends() -> Result<()> {
    let node = Node::shared().await?;
    let text = "line\n".repeat(100_000);
    let finished = node
        .container("cat")
        .image(&native::busybox()?)
        .command(["cat"])
        .stdin(text.as_str())
        .run()
        .await?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert!(
        finished.stdout == text.as_str(),
        "the text changed on its way"
    );
    Ok(())
}

#[tokio::test]
async fn output_of_64_mb_arrives_whole() -> Result<()> {
    let node = Node::shared().await?;
    let finished = node
        .container("flood")
        .image(&native::busybox()?)
        .command(["dd", "if=/dev/zero", "bs=1M", "count=64", "status=none"])
        .run()
        .await?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert!(
        finished.stdout.0 == vec![0; 64 << 20],
        "{} bytes came",
        finished.stdout.0.len()
    );
    Ok(())
}

#[tokio::test]
async fn a_bind_mount_is_writable_and_a_read_only_one_is_not() -> Result<()> {
    let node = Node::shared().await?;
    let folder = node.layout().temporary().join("mounted");
    std::fs::create_dir_all(&folder)?;
    let image = native::busybox()?;
    let write = ["sh", "-c", "echo kept > /data/file"];
    let finished = node
        .container("writer")
        .image(&image)
        .mount(&folder, "/data")
        .command(write)
        .run()
        .await?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(std::fs::read_to_string(folder.join("file"))?, "kept\n");
    let refused = node
        .container("refused")
        .image(&image)
        .mount_read_only(&folder, "/data")
        .command(write)
        .run()
        .await?;
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("Read-only file system"),
        "{}",
        refused.stderr
    );
    Ok(())
}

#[tokio::test]
async fn signals_end_a_container() -> Result<()> {
    let node = Node::shared().await?;
    let image = native::busybox()?;
    let sleeper = [
        "sh",
        "-c",
        "trap 'exit 7' TERM; echo ready; while true; do sleep 0.1; done",
    ];
    for (signal, code) in [(Signal::SIGTERM, 7), (Signal::SIGKILL, 137)] {
        let task = node
            .container("sleeper")
            .image(&image)
            .command(sleeper)
            .start()
            .await?;
        task.says("ready\n").await?;
        assert_eq!(task.state().await?, State::Running);
        task.kill(signal).await?;
        assert_eq!(task.finish().await?.code, code);
    }
    Ok(())
}

#[tokio::test]
async fn a_running_container_cannot_be_deleted_but_a_created_one_can() -> Result<()> {
    let node = Node::shared().await?;
    let image = native::busybox()?;
    let mut task = node
        .container("sleeper")
        .image(&image)
        .command(["sleep", "1000"])
        .create()
        .await?;
    assert_eq!(task.state().await?, State::Created);
    task.start().await?;
    let refused = task.delete().await.unwrap_err();
    assert!(format!("{refused:#}").contains("running"), "{refused:#}");
    let unstarted = node
        .container("unstarted")
        .image(&image)
        .command(["true"])
        .create()
        .await?;
    unstarted.delete().await?;
    Ok(())
}

#[tokio::test]
async fn a_wait_that_takes_too_long_says_what_it_knows() -> Result<()> {
    let node = Node::shared().await?;
    let task = node
        .container("mute")
        .image(&native::busybox()?)
        .command(["sh", "-c", "echo why >&2; echo on; sleep 1000"])
        .deadline(Duration::from_secs(3))
        .start()
        .await?;
    task.says("on\n").await?;
    let error = format!("{:#}", task.wait().await.unwrap_err());
    let (_, kept) = error
        .split_once("logs of the node are in ")
        .expect("a folder is named");
    let kept = Path::new(kept.split(':').next().unwrap_or(kept));
    assert!(kept.join("containerd.log").is_file(), "{error}");
    std::fs::remove_dir_all(kept)?;
    assert!(error.contains("did not end within 3s"), "{error}");
    assert!(error.contains("state: RUNNING"), "{error}");
    assert!(error.contains(r#""why\n""#), "{error}");
    Ok(())
}
