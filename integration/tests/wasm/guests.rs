//! One test for each guest, with its name: what the guest does alone in a container.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use coracle_integration::Node;
use coracle_integration::pod::{CORACLE, PodContainer};
use coracle_integration::task::{Finished, Signal};

use crate::{guest, image};

/// A guest that only says `text`.
async fn says(name: &str, text: &str) -> Result<()> {
    let finished = guest(name).await?.run().await?;
    assert_eq!(finished.stdout, text, "stderr: {}", finished.stderr);
    assert_eq!(finished.stderr, "");
    assert_eq!(finished.code, 0);
    Ok(())
}

#[tokio::test]
pub(crate) async fn hello() -> Result<()> {
    says("hello", "hello from rust\n").await
}

#[tokio::test]
pub(crate) async fn hello_wat() -> Result<()> {
    says("hello_wat", "hello from wat\n").await
}

#[tokio::test]
pub(crate) async fn hello_go() -> Result<()> {
    says("hello_go", "hello from go\n").await
}

#[tokio::test]
pub(crate) async fn hello_c() -> Result<()> {
    says("hello_c", "hello from c\n").await
}

#[tokio::test]
pub(crate) async fn hello_js() -> Result<()> {
    says("hello_js", "hello from js\n").await
}

#[tokio::test]
pub(crate) async fn hello_python() -> Result<()> {
    says("hello_python", "hello from python\n").await
}

#[tokio::test]
pub(crate) async fn hello_p2() -> Result<()> {
    says("hello_p2", "hello from rust\n").await
}

#[tokio::test]
pub(crate) async fn hello_p3() -> Result<()> {
    says("hello_p3", "hello from rust p3\n").await
}

#[tokio::test]
pub(crate) async fn args() -> Result<()> {
    let finished = guest("args")
        .await?
        .args(["one", "two words", ""])
        .run()
        .await?;
    assert_eq!(
        finished.stdout, "/args.wasm\none\ntwo words\n\n",
        "{}",
        finished.stderr
    );
    Ok(())
}

#[tokio::test]
pub(crate) async fn env() -> Result<()> {
    let finished = guest("env")
        .await?
        .env("SHIP", "coracle")
        .env("EMPTY", "")
        .run()
        .await?;
    let lines: Vec<String> = finished.stdout.text().lines().map(str::to_owned).collect();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(
        lines,
        // As under runc, the home directory is the user's.
        ["EMPTY=", "HOME=/", path, "SHIP=coracle"],
        "{}",
        finished.stderr
    );
    Ok(())
}

#[tokio::test]
pub(crate) async fn exit_code() -> Result<()> {
    for code in [0, 1, 42, 255] {
        let finished = guest("exit_code")
            .await?
            .args([code.to_string()])
            .run()
            .await?;
        assert_eq!(finished.code, code, "{}", finished.stderr);
    }
    Ok(())
}

#[tokio::test]
pub(crate) async fn stdin_to_stdout() -> Result<()> {
    let text = "some text\n".repeat(100_000);
    let finished = guest("stdin_to_stdout")
        .await?
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
pub(crate) async fn flood() -> Result<()> {
    const BYTES: usize = 64 << 20;
    let finished = guest("flood")
        .await?
        .args([BYTES.to_string()])
        .run()
        .await?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(finished.stdout.0.len(), BYTES);
    for (number, line) in finished.stdout.0.chunks(64).enumerate() {
        assert_eq!(line, format!("{number:063x}\n").as_bytes(), "line {number}");
    }
    Ok(())
}

#[tokio::test]
pub(crate) async fn write_file() -> Result<()> {
    let folder = Node::shared()
        .await?
        .layout()
        .temporary()
        .join("write_file");
    fs::create_dir_all(&folder)?;
    let words = ["/data/file", "kept"];
    let finished = guest("write_file")
        .await?
        .mount(&folder, "/data")
        .args(words)
        .run()
        .await?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(fs::read_to_string(folder.join("file"))?, "kept");
    Ok(())
}

#[tokio::test]
pub(crate) async fn clocks() -> Result<()> {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map(|now| now.as_secs())
    };
    let before = now()?;
    let finished = guest("clocks").await?.run().await?;
    let after = now()?;
    let text = finished.stdout.text();
    let (wall, monotonic) = text.split_once('\n').expect("two lines");
    let wall: u64 = wall.parse()?;
    assert!(
        (before..=after).contains(&wall),
        "{wall} is not between {before} and {after}"
    );
    assert_eq!(monotonic, "monotonic ok\n");
    assert_eq!(finished.code, 0);
    Ok(())
}

#[tokio::test]
pub(crate) async fn random() -> Result<()> {
    let one = guest("random").await?.run().await?;
    let other = guest("random").await?.run().await?;
    for Finished {
        code,
        stdout,
        stderr,
    } in [&one, &other]
    {
        assert_eq!(*code, 0, "{stderr}");
        let digits = stdout.text();
        let digits = digits.trim_end();
        assert!(
            digits.len() == 64 && digits.chars().all(|c| c.is_ascii_hexdigit()),
            "{digits}"
        );
    }
    assert_ne!(one.stdout, other.stdout);
    Ok(())
}

#[tokio::test]
pub(crate) async fn trap() -> Result<()> {
    let finished = guest("trap").await?.run().await?;
    assert_eq!(finished.code, 134);
    for part in [
        "coracle: ",
        "integer divide by zero",
        "divide_by",
        "average_of_nothing",
        "main",
    ] {
        assert!(
            finished.stderr.contains(part),
            "no {part:?} in {}",
            finished.stderr
        );
    }
    Ok(())
}

#[tokio::test]
pub(crate) async fn unreachable_wat() -> Result<()> {
    let finished = guest("unreachable_wat").await?.run().await?;
    assert_eq!(finished.code, 134);
    for part in ["coracle: ", "unreachable", "main"] {
        assert!(
            finished.stderr.contains(part),
            "no {part:?} in {}",
            finished.stderr
        );
    }
    Ok(())
}

#[tokio::test]
pub(crate) async fn unknown_import() -> Result<()> {
    let finished = guest("unknown_import").await?.run().await?;
    assert_eq!(finished.code, 126, "{}", finished.stderr);
    for part in ["coracle: ", "/unknown_import.wasm", "env::nosuch"] {
        assert!(
            finished.stderr.contains(part),
            "no {part:?} in {}",
            finished.stderr
        );
    }
    Ok(())
}

#[tokio::test]
pub(crate) async fn plain_export() -> Result<()> {
    let finished = guest("plain_export")
        .await?
        .command(["/plain_export.wasm#answer"])
        .run()
        .await?;
    assert_eq!(finished.stdout, "forty-two\n", "{}", finished.stderr);
    assert_eq!(finished.code, 0);
    Ok(())
}

#[tokio::test]
pub(crate) async fn sleep() -> Result<()> {
    let task = guest("sleep").await?.start().await?;
    task.says("ready\n").await?;
    task.kill(Signal::SIGTERM).await?;
    assert_eq!(task.finish().await?.code, 143);
    Ok(())
}

#[tokio::test]
pub(crate) async fn read_dir() -> Result<()> {
    let folder = Node::shared().await?.layout().temporary().join("read_dir");
    fs::create_dir_all(folder.join("c"))?;
    for name in ["b", "a"] {
        fs::write(folder.join(name), "")?;
    }
    let finished = guest("read_dir")
        .await?
        .mount_read_only(&folder, "/data")
        .args(["/data"])
        .run()
        .await?;
    assert_eq!(finished.stdout, "a\nb\nc\n", "{}", finished.stderr);
    Ok(())
}

#[tokio::test]
pub(crate) async fn memory_grow() -> Result<()> {
    let finished = guest("memory_grow").await?.args(["64"]).run().await?;
    assert_eq!(finished.stdout, "touched 64 MiB\n", "{}", finished.stderr);
    assert_eq!(finished.code, 0);
    Ok(())
}

#[tokio::test]
pub(crate) async fn http_p2() -> Result<()> {
    serves("http_p2").await
}

#[tokio::test]
pub(crate) async fn http_p3() -> Result<()> {
    serves("http_p3").await
}

/// A guest that answers requests on its pod's address, on the usual port or on the one it is told.
async fn serves(name: &str) -> Result<()> {
    let node = Node::shared().await?;
    let server = PodContainer::new("server", &image(name)?).env("SHIP", "coracle");
    let other = PodContainer::new("other", &image(name)?).env("PORT", "9090");
    let pod = node
        .pod(name)
        .runtime(CORACLE)
        .container(server)
        .container(other)
        .start()
        .await?;
    let address = pod.address().await?;
    for port in [8080, 9090] {
        node.listens(SocketAddr::new(address, port)).await?;
    }
    let server = SocketAddr::new(address, 8080);
    for (path, status, body) in [
        ("/", 200, format!("hello from {name}")),
        ("/env/SHIP", 200, "coracle".to_owned()),
        ("/env/NOSUCH", 404, String::new()),
    ] {
        let answer = node.http_get(server, path)?;
        assert_eq!((answer.status, answer.body), (status, body), "{path}");
    }
    pod.says("server", "handled /env/NOSUCH\n").await?;
    let long = "over the size of one chunk ".repeat(10_000);
    let answer = node.http_post(server, "/echo", &long)?;
    assert_eq!(answer.status, 200);
    assert!(
        answer.body == long,
        "{} of {} bytes came back",
        answer.body.len(),
        long.len()
    );
    // Asked to stop, a server ends by itself and well before the grace period is over.
    pod.stop("server", Duration::from_secs(30)).await?;
    assert_eq!(pod.ended("server").await?.code, 0);
    pod.remove().await
}
