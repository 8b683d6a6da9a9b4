//! Telling containerd what happens.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use containerd_shim_protos::events::task;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{MessageField, MessageFull};
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::shim::events::ForwardRequest;
use containerd_shim_protos::shim_async::{Client, EventsClient};
use containerd_shim_protos::topics;
use containerd_shim_protos::ttrpc::asynchronous::transport::Socket;
use containerd_shim_protos::ttrpc::context;
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::timeout;

/// Where events go in, in order.
#[derive(Clone)]
pub(crate) struct Events {
    queue: UnboundedSender<Envelope>,
    namespace: String,
    /// How many are on their way.
    waiting: Arc<watch::Sender<usize>>,
}

/// The other end of the queue.
pub(crate) struct Outbox {
    events: UnboundedReceiver<Envelope>,
    waiting: Arc<watch::Sender<usize>>,
}

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pauses between attempts. A containerd that is restarted is back within them.
const PAUSES: [u64; 5] = [100, 500, 1_000, 5_000, 20_000];

impl Events {
    /// A queue of events of one namespace in containerd.
    pub(crate) fn new(namespace: &str) -> (Self, Outbox) {
        let (queue, events) = unbounded_channel();
        let waiting = Arc::new(watch::Sender::new(0));
        let outbox = Outbox {
            events,
            waiting: Arc::clone(&waiting),
        };
        let namespace = namespace.to_owned();
        let queue = Self {
            queue,
            namespace,
            waiting,
        };
        (queue, outbox)
    }

    /// Waits until containerd has taken everything, or longer than containerd needs to restart.
    pub(crate) async fn flush(&self) {
        let mut waiting = self.waiting.subscribe();
        let flushed = waiting.wait_for(|waiting| *waiting == 0);
        if timeout(Duration::from_secs(30), flushed).await.is_err() {
            log::error!("the supervisor ends with events that containerd has not taken");
        }
    }

    /// Queues an event.
    pub(crate) fn publish<E: Event>(&self, event: &E) {
        let packed = event.write_to_bytes().map(|value| Any {
            type_url: E::descriptor().full_name().to_owned(),
            value,
            ..Default::default()
        });
        let packed = match packed {
            Ok(packed) => packed,
            Err(error) => {
                log::error!(error:% = error; "an event cannot be encoded");
                return;
            }
        };
        let envelope = Envelope {
            timestamp: MessageField::some(SystemTime::now().into()),
            namespace: self.namespace.clone(),
            topic: event.topic().to_owned(),
            event: MessageField::some(packed),
            ..Default::default()
        };
        self.waiting.send_modify(|waiting| *waiting += 1);
        // The other end lives as long as the supervisor.
        if self.queue.send(envelope).is_err() {
            log::error!(topic = event.topic(); "an event is lost: the supervisor ends");
        }
    }
}

/// Something that containerd is told.
pub(crate) trait Event: MessageFull {
    /// Where containerd files it.
    fn topic(&self) -> &'static str;
}

macro_rules! events {
    ($($event:ident => $topic:ident,)*) => {
        $(impl Event for task::$event {
            fn topic(&self) -> &'static str {
                topics::$topic
            }
        })*
    };
}

events! {
    TaskCreate => TASK_CREATE_EVENT_TOPIC,
    TaskStart => TASK_START_EVENT_TOPIC,
    TaskExecAdded => TASK_EXEC_ADDED_EVENT_TOPIC,
    TaskExecStarted => TASK_EXEC_STARTED_EVENT_TOPIC,
    TaskExit => TASK_EXIT_EVENT_TOPIC,
    TaskDelete => TASK_DELETE_EVENT_TOPIC,
    TaskOOM => TASK_OOM_EVENT_TOPIC,
    TaskPaused => TASK_PAUSED_EVENT_TOPIC,
    TaskResumed => TASK_RESUMED_EVENT_TOPIC,
}

/// Sends what is queued, in order. The connection is kept only while there is something to send: pods are
/// idle most of their time.
pub(crate) async fn forward(address: &str, mut outbox: Outbox) {
    while let Some(first) = outbox.events.recv().await {
        let mut connection = None;
        let mut next = Some(first);
        while let Some(event) = next {
            send(address, &mut connection, event).await;
            outbox.waiting.send_modify(|waiting| *waiting -= 1);
            next = outbox.events.try_recv().ok();
        }
    }
}

async fn send(address: &str, connection: &mut Option<EventsClient>, event: Envelope) {
    let topic = event.topic.clone();
    let request = ForwardRequest {
        envelope: MessageField::some(event),
        ..Default::default()
    };
    for pause in PAUSES {
        match attempt(address, connection, &request).await {
            Ok(()) => return,
            Err(error) => {
                log::debug!(topic:% = topic, error:% = format!("{error:#}"); "an event is sent again");
                *connection = None;
            }
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    log::error!(topic:% = topic; "an event is lost: containerd does not take it");
}

async fn attempt(
    address: &str,
    connection: &mut Option<EventsClient>,
    request: &ForwardRequest,
) -> Result<()> {
    let client = match connection {
        Some(client) => client,
        None => {
            let path = address.strip_prefix("unix://").unwrap_or(address);
            let stream = UnixStream::connect(path)
                .await
                .with_context(|| format!("connect to {path}"))?;
            connection.insert(EventsClient::new(Client::new(Socket::new(stream))))
        }
    };
    client
        .forward(context::with_duration(PATIENCE), request)
        .await?;
    Ok(())
}
