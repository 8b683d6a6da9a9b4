//! The supervisor of a pod: one process with one thread, which forks.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use containerd_shim_protos::events::task::TaskExit;
use containerd_shim_protos::shim_async::{Task, create_task};
use containerd_shim_protos::ttrpc::asynchronous::Server;
use containerd_shim_protos::ttrpc::asynchronous::transport::Listener;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::arguments::Arguments;
use crate::container::{Container, lock};
use crate::events::{self, Events};
use crate::group;
use crate::process::Process;
use crate::reaper::{self, Children};

/// What all requests share.
pub(crate) struct Supervisor {
    pub(crate) arguments: Arguments,
    pub(crate) containers: Mutex<BTreeMap<String, Arc<Container>>>,
    pub(crate) children: Children,
    pub(crate) events: Events,
    turns: UnboundedSender<Turn>,
}

/// Something that is done between two turns of the runtime, when none of it is on the stack.
enum Turn {
    /// Forking: the child must not find itself inside the runtime.
    Fork(Box<dyn FnOnce() + Send>),
    /// Ending.
    End,
}

/// The task API under the name that containerd before 2.0 calls it by.
const TASK_V2: &str = "containerd.task.v2.Task";

/// Serves the task API on the socket that is standard input, until it is told to end.
pub(crate) fn supervise(arguments: &Arguments) -> Result<()> {
    let listener = listener()?;
    nix::unistd::setsid().context("leave containerd's session")?;
    nix::sys::prctl::set_child_subreaper(true).context("adopt orphans")?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let (turns, mut next_turn) = unbounded_channel();
    let (events, queue) = Events::new(&arguments.namespace);
    let supervisor = Arc::new(Supervisor {
        arguments: arguments.clone(),
        containers: Mutex::default(),
        children: Children::default(),
        events,
        turns,
    });
    let address = arguments.ttrpc_address.clone();
    runtime.spawn(async move { events::forward(&address, queue).await });
    let signals = runtime
        .block_on(async { reaper::signals() })
        .context("notice the ends of children")?;
    runtime.spawn(watch_children(Arc::clone(&supervisor), signals));
    let _server = runtime.block_on(serve(listener, &supervisor))?;
    while let Some(Turn::Fork(fork)) = runtime.block_on(next_turn.recv()) {
        fork();
    }
    let socket = group::socket(&arguments.address, &arguments.namespace, &arguments.id);
    std::fs::remove_file(&socket).with_context(|| format!("remove {}", socket.display()))
}

/// `start` hands the listening socket over as standard input.
fn listener() -> Result<UnixListener> {
    let stdin = std::io::stdin().as_fd().try_clone_to_owned();
    let listener = UnixListener::from(stdin.context("take the socket from standard input")?);
    listener
        .set_nonblocking(true)
        .context("standard input is no socket: only `start` calls `supervise`")?;
    let null = std::fs::File::open("/dev/null").context("open /dev/null")?;
    nix::unistd::dup2_stdin(&null).context("close standard input")?;
    Ok(listener)
}

async fn serve(listener: UnixListener, supervisor: &Arc<Supervisor>) -> Result<Server> {
    let listener = Listener::try_from(listener).context("listen")?;
    let task: Arc<dyn Task + Send + Sync> = Arc::clone(supervisor) as _;
    let newest = create_task(Arc::clone(&task));
    // The messages are the same; only the service's name has changed.
    let older = create_task(task)
        .into_values()
        .map(|service| (TASK_V2.to_owned(), service))
        .collect();
    let mut server = Server::new()
        .add_listener(listener)
        .register_service(newest)
        .register_service(older);
    server.start().await.context("serve")?;
    Ok(server)
}

async fn watch_children(supervisor: Arc<Supervisor>, signals: AsyncFd<OwnedFd>) {
    reaper::reap(signals, &supervisor.children, |process| {
        supervisor.announce_exit(&process);
    })
    .await;
}

impl Supervisor {
    /// Runs `fork` when nothing of the runtime is on the stack, and gives back what it answers.
    ///
    /// # Errors
    /// When the supervisor is ending.
    pub(crate) async fn between_turns<T: Send + 'static>(
        &self,
        fork: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let (tell, told) = oneshot::channel();
        let turn = Turn::Fork(Box::new(move || {
            // Nobody waits any more when containerd has given up.
            drop(tell.send(fork()));
        }));
        self.turns.send(turn).ok().context("the supervisor ends")?;
        told.await.context("the supervisor ends")
    }

    /// Ends the supervisor once the answer to the present request is out, and all events are.
    pub(crate) fn end(&self) {
        let turns = self.turns.clone();
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            events.flush().await;
            // Already ending is as good.
            drop(turns.send(Turn::End));
        });
    }

    /// Whether no container is left, and none is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        lock(&self.containers).is_empty() && !self.children.is_expected()
    }

    /// Tells containerd that a process has ended.
    pub(crate) fn announce_exit(&self, process: &Process) {
        let Some(exit) = process.exit() else {
            return;
        };
        let container = lock(&self.containers).get(&process.container).cloned();
        if let Some(container) = container {
            container.tell_of_memory();
            if process.exec.is_empty() {
                container.end_others();
            }
        }
        log::info!(container = process.container, exec = process.exec, code = exit.code; "ended");
        self.events.publish(&TaskExit {
            container_id: process.container.clone(),
            id: process.name().to_owned(),
            pid: process.number(),
            exit_status: exit.code,
            exited_at: exit.timestamp(),
            ..Default::default()
        });
    }
}

/// Time for the answer to `Shutdown` to leave.
const GRACE: std::time::Duration = std::time::Duration::from_millis(20);
