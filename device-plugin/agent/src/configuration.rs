//! A Configuration that the Agent follows: one stream, opened anew whenever it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use coracle_akri_api::Device;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

use crate::agent::Registered;
use crate::connection::Handler;

/// The real Agent's first pause after a stream ended; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Something did not happen in time.
#[derive(Debug, Error)]
#[error("no {what} within {within:?}; seen: {seen}")]
pub struct Late {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub within: Duration,
    /// What there was instead.
    pub seen: String,
}

/// One list that came.
#[derive(Clone, Debug)]
pub struct List {
    /// When.
    pub at: Instant,
    /// What was in it.
    pub devices: Vec<Device>,
}

/// What is known about a Configuration's devices.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Every list that ever came.
    pub lists: Vec<List>,
    /// How streams ended, or were refused.
    pub ends: Vec<(Code, String)>,
    /// Streams that were opened.
    pub streams: usize,
    /// The devices that are there now. A stream that ends takes them away.
    pub devices: Vec<Device>,
}

impl View {
    /// The ids of the devices that are there now.
    #[must_use]
    pub fn ids(&self) -> Vec<&str> {
        self.devices
            .iter()
            .map(|device| device.id.as_str())
            .collect()
    }
}

/// A Configuration. Dropping it deletes it: its stream is closed.
#[derive(Debug)]
pub struct Configuration {
    view: watch::Receiver<View>,
    task: JoinHandle<()>,
}

impl Configuration {
    pub(crate) fn follow(
        registrations: watch::Receiver<Vec<Registered>>,
        handler: String,
        details: String,
        properties: BTreeMap<String, Option<Vec<u8>>>,
    ) -> Self {
        let (sender, view) = watch::channel(View::default());
        let follower = Follower {
            registrations,
            handler,
            details,
            properties,
            view: sender,
        };
        let task = tokio::spawn(follower.run());
        Self { view, task }
    }

    /// What is known now.
    #[must_use]
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Waits until exactly these devices are there, in this order, and says since when.
    ///
    /// # Errors
    /// When they are not there in time.
    pub async fn devices(&self, ids: &[&str], within: Duration) -> Result<View, Late> {
        // No list and an empty list are not the same.
        self.until(&format!("devices {ids:?}"), within, |view| {
            !view.lists.is_empty() && view.ids() == ids
        })
        .await
    }

    /// Waits until `reached`.
    ///
    /// # Errors
    /// When that is not so in time.
    pub async fn until(
        &self,
        what: &str,
        within: Duration,
        reached: impl Fn(&View) -> bool,
    ) -> Result<View, Late> {
        let mut view = self.view.clone();
        match timeout(within, view.wait_for(|view| reached(view))).await {
            Ok(Ok(view)) => Ok(view.clone()),
            _ => Err(Late {
                what: what.to_owned(),
                within,
                seen: format!("{:?}", self.view()),
            }),
        }
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Follower {
    registrations: watch::Receiver<Vec<Registered>>,
    handler: String,
    details: String,
    properties: BTreeMap<String, Option<Vec<u8>>>,
    view: watch::Sender<View>,
}

impl Follower {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(endpoint) = self.endpoint().await else {
                return;
            };
            self.registrations.mark_unchanged();
            let lists = self.view.borrow().lists.len();
            let end = self.stream(&endpoint).await;
            if self.view.borrow().lists.len() > lists {
                pause = FIRST_PAUSE;
            }
            self.view.send_modify(|view| {
                view.devices.clear();
                view.ends.push((end.code(), end.message().to_owned()));
            });
            tokio::select! {
                () = sleep(pause) => pause = LONGEST_PAUSE.min(pause * 2),
                // A handler that registers again is asked at once.
                changed = self.registrations.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Where the handler is, once it has registered; `None` when the Agent ended.
    async fn endpoint(&mut self) -> Option<String> {
        let handler = self.handler.clone();
        let of_handler = |all: &Vec<Registered>| all.iter().any(|one| one.name == handler);
        let all = self.registrations.wait_for(of_handler).await.ok()?;
        let newest = all.iter().rfind(|one| one.name == handler);
        newest.map(|one| one.endpoint.clone())
    }

    /// One stream, from its beginning to its end.
    async fn stream(&self, endpoint: &str) -> Status {
        let handler = match Handler::connect(endpoint).await {
            Ok(handler) => handler,
            Err(error) => return Status::unavailable(error.to_string()),
        };
        let mut open = match handler.discover(&self.details, &self.properties).await {
            Ok(open) => open,
            Err(status) => return status,
        };
        self.view.send_modify(|view| view.streams += 1);
        loop {
            match open.next().await {
                Ok(devices) => self.view.send_modify(|view| {
                    view.devices.clone_from(&devices);
                    let at = Instant::now();
                    view.lists.push(List { at, devices });
                }),
                Err(status) => return status,
            }
        }
    }
}
