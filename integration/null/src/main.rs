//! A shim that makes no container: what it takes is what containerd takes, for any runtime.
//!
//! It answers every order as if all went well, and its only task exits with 0 as soon as it is started.
//! The benches take their floor from it.

use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use containerd_shim_protos::api;
use containerd_shim_protos::protobuf::{EnumOrUnknown, Message as _, MessageField};
use containerd_shim_protos::shim_async::{Task, create_task};
use containerd_shim_protos::ttrpc::Result as Answer;
use containerd_shim_protos::ttrpc::asynchronous::transport::Listener;
use containerd_shim_protos::ttrpc::asynchronous::{Server, TtrpcContext};
use tokio::sync::{Notify, watch};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().collect();
    match words.last().map(String::as_str) {
        Some("start") => start(&words),
        Some("delete") => Ok(api::DeleteResponse::new().write_to_writer(&mut std::io::stdout())?),
        Some("serve") => serve(),
        _ => anyhow::bail!(
            "containerd calls this program, with `start` or `delete` as the last word"
        ),
    }
}

fn start(words: &[String]) -> Result<()> {
    let id = words.iter().position(|word| word == "-id");
    let id = id.and_then(|at| words.get(at + 1)).context("no -id")?;
    let socket = format!("/run/containerd/s/null-{id}");
    std::fs::create_dir_all("/run/containerd/s")?;
    let listener = UnixListener::bind(&socket)?;
    Command::new("/proc/self/exe")
        .args(["-socket", &socket, "serve"])
        .process_group(0)
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    std::fs::write("address", format!("unix://{socket}"))?;
    Ok(write!(std::io::stdout(), "unix://{socket}")?)
}

fn serve() -> Result<()> {
    let listener = UnixListener::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let null = Arc::new(Null {
            exited: watch::Sender::new(false),
            end: Notify::new(),
        });
        let task: Arc<dyn Task + Send + Sync> = Arc::clone(&null) as _;
        let services = create_task(task)
            .into_values()
            .map(|service| ("containerd.task.v2.Task".to_owned(), service))
            .collect();
        let mut server = Server::new()
            .add_listener(Listener::try_from(listener)?)
            .register_service(services);
        server.start().await?;
        null.end.notified().await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        let words: Vec<String> = std::env::args().collect();
        let socket = words.get(2).context("no -socket")?;
        Ok(std::fs::remove_file(socket)?)
    })
}

struct Null {
    exited: watch::Sender<bool>,
    end: Notify,
}

#[async_trait]
impl Task for Null {
    async fn create(
        &self,
        _: &TtrpcContext,
        request: api::CreateTaskRequest,
    ) -> Answer<api::CreateTaskResponse> {
        // containerd waits until somebody has opened what it reads.
        for path in [&request.stdout, &request.stderr] {
            drop(std::fs::File::options().write(true).open(path));
        }
        Ok(api::CreateTaskResponse {
            pid: std::process::id(),
            ..Default::default()
        })
    }

    async fn start(&self, _: &TtrpcContext, _: api::StartRequest) -> Answer<api::StartResponse> {
        self.exited.send_replace(true);
        Ok(api::StartResponse {
            pid: std::process::id(),
            ..Default::default()
        })
    }

    async fn wait(&self, _: &TtrpcContext, _: api::WaitRequest) -> Answer<api::WaitResponse> {
        // The sender lives in `self`, so waiting ends only by the exit.
        drop(self.exited.subscribe().wait_for(|exited| *exited).await);
        Ok(api::WaitResponse {
            exited_at: MessageField::some(SystemTime::now().into()),
            ..Default::default()
        })
    }

    async fn state(
        &self,
        _: &TtrpcContext,
        request: api::StateRequest,
    ) -> Answer<api::StateResponse> {
        let status = if *self.exited.borrow() {
            api::Status::STOPPED
        } else {
            api::Status::CREATED
        };
        Ok(api::StateResponse {
            id: request.id,
            pid: std::process::id(),
            status: EnumOrUnknown::new(status),
            exited_at: MessageField::some(SystemTime::now().into()),
            ..Default::default()
        })
    }

    async fn delete(&self, _: &TtrpcContext, _: api::DeleteRequest) -> Answer<api::DeleteResponse> {
        Ok(api::DeleteResponse {
            pid: std::process::id(),
            exited_at: MessageField::some(SystemTime::now().into()),
            ..Default::default()
        })
    }

    async fn connect(
        &self,
        _: &TtrpcContext,
        _: api::ConnectRequest,
    ) -> Answer<api::ConnectResponse> {
        Ok(api::ConnectResponse {
            shim_pid: std::process::id(),
            task_pid: std::process::id(),
            ..Default::default()
        })
    }

    async fn kill(&self, _: &TtrpcContext, _: api::KillRequest) -> Answer<api::Empty> {
        self.exited.send_replace(true);
        Ok(api::Empty::new())
    }

    async fn shutdown(&self, _: &TtrpcContext, _: api::ShutdownRequest) -> Answer<api::Empty> {
        self.end.notify_one();
        Ok(api::Empty::new())
    }
}
