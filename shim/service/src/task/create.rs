//! Making a container.

use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use containerd_shim_protos::api::{CreateTaskRequest, CreateTaskResponse};
use containerd_shim_protos::events::task::{TaskCreate, TaskIO};
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::ttrpc::Code;
use coracle_cgroups::Hierarchy;
use coracle_container::{Clerk, CodeCache, Made, Mount, Request, Role};

use crate::console;
use crate::container::{Container, lock};
use crate::process::Process;
use crate::stdio::{Held, Paths};
use crate::supervisor::Supervisor;
use crate::task::{Answer, error, questions};

pub(super) async fn create(
    supervisor: &Supervisor,
    request: CreateTaskRequest,
) -> Answer<CreateTaskResponse> {
    if !request.checkpoint.is_empty() {
        return Err(error(Code::UNIMPLEMENTED, "checkpoints are not supported"));
    }
    if lock(&supervisor.containers).contains_key(&request.id) {
        let reason = format!("container {:?} is there already", request.id);
        return Err(error(Code::ALREADY_EXISTS, reason));
    }
    let bundle = PathBuf::from(&request.bundle);
    let made = make(supervisor, &request).await;
    let container = match made {
        Ok(container) => container,
        Err(reason) => {
            log::warn!(container = request.id, reason:% = format!("{reason:#}"); "not made");
            let removed = supervisor
                .between_turns(move || coracle_container::remove_apart(&bundle))
                .await;
            if let Err(left) = super::delete::wait_for(removed).await {
                log::error!(container = request.id, reason:% = format!("{left:#}"); "something is left");
            }
            return Err(error(Code::UNKNOWN, format!("{reason:#}")));
        }
    };
    log::info!(container = container.id, pid = container.process.number(); "made");
    lock(&supervisor.containers).insert(container.id.clone(), Arc::clone(&container));
    supervisor.events.publish(&event(request, &container));
    if container.process.exit().is_some() {
        // It ended before anybody knew whose it was.
        supervisor.announce_exit(&container.process);
    }
    Ok(CreateTaskResponse {
        pid: container.process.number(),
        ..Default::default()
    })
}

fn event(request: CreateTaskRequest, container: &Container) -> TaskCreate {
    let io = TaskIO {
        stdin: request.stdin,
        stdout: request.stdout,
        stderr: request.stderr,
        terminal: request.terminal,
        ..Default::default()
    };
    TaskCreate {
        container_id: request.id,
        bundle: request.bundle,
        rootfs: request.rootfs,
        io: MessageField::some(io),
        pid: container.process.number(),
        ..Default::default()
    }
}

/// Makes the container, and answers for it what it asks meanwhile.
async fn make(supervisor: &Supervisor, request: &CreateTaskRequest) -> Result<Arc<Container>> {
    let bundle = PathBuf::from(&request.bundle);
    let paths = Paths {
        stdin: request.stdin.clone(),
        stdout: request.stdout.clone(),
        stderr: request.stderr.clone(),
        terminal: request.terminal,
    };
    let (stdio, held, console) = if paths.terminal {
        let listener = console::listen(&bundle).context("prepare a terminal")?;
        (crate::stdio::null()?, Held::default(), Some(listener))
    } else {
        let (stdio, held) = paths.open()?;
        (stdio, held, None)
    };
    let mounts: Vec<Mount> = request.rootfs.iter().map(mount).collect();
    let layers = layers(&mounts).unwrap_or_else(|| bundle.clone());
    let asked = Request {
        id: request.id.clone(),
        bundle: bundle.clone(),
        mounts,
        stdio,
        console: console.as_ref().map(|console| console.path().to_owned()),
    };
    let expected = supervisor.children.expect();
    let making = supervisor
        .between_turns(move || coracle_container::make(asked))
        .await?
        .context("start a process that makes the container")?;
    let clerk = clerk(supervisor, request, layers);
    let outcome = questions::answered(supervisor, making.outcome, making.questions, &clerk).await?;
    let made = Made::hear(outcome.as_fd()).map_err(anyhow::Error::msg)?;
    let mut held = held;
    if let Some(console) = console {
        held.console = Some(console.take(&paths).context("take the terminal")?);
    }
    let group = made
        .control_group
        .map(|path| Hierarchy::detect()?.cgroup(std::path::Path::new(&path)));
    let process = Arc::new(Process::new(&request.id, "", paths));
    process.runs(made.pid, held);
    let container = Arc::new(Container::new(
        process,
        bundle,
        group.transpose()?,
        clerk,
        made.role == Role::Sandbox,
    ));
    supervisor.children.watch(&container.process);
    drop(expected);
    if !container.is_sandbox {
        container.watch_memory(&supervisor.events);
    }
    Ok(container)
}

fn mount(mount: &containerd_shim_protos::api::Mount) -> Mount {
    Mount {
        kind: mount.type_.clone(),
        source: mount.source.clone(),
        options: mount.options.clone(),
    }
}

/// A folder on the file system that holds the image's layers.
fn layers(mounts: &[Mount]) -> Option<PathBuf> {
    let mount = mounts.first()?;
    let upper = mount
        .options
        .iter()
        .find_map(|option| option.strip_prefix("upperdir="));
    let lower = || {
        let lower = mount
            .options
            .iter()
            .find_map(|option| option.strip_prefix("lowerdir="))?;
        lower.split(':').next()
    };
    match upper.or_else(lower) {
        Some(folder) => Some(folder.into()),
        None => mount
            .source
            .starts_with('/')
            .then(|| mount.source.clone().into()),
    }
}

fn clerk(supervisor: &Supervisor, request: &CreateTaskRequest, layers: PathBuf) -> Clerk {
    Clerk {
        containerd: supervisor.arguments.address.clone(),
        namespace: supervisor.arguments.namespace.clone(),
        id: request.id.clone(),
        root: PathBuf::from(&request.bundle).join("rootfs"),
        layers,
        code: CodeCache::default(),
    }
}
