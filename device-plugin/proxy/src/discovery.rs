//! `Discover`, as the Agent calls it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use coracle_akri_api::discovery_handler_server::DiscoveryHandler;
use coracle_akri_api::{DiscoverRequest, DiscoverResponse};
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::{Request, Response, Status};
use tracing::{debug, info, warn};

use crate::board::{Board, Outcomes};
use crate::metrics::Metrics;
use crate::translate::{Question, response};
use crate::watcher::Watcher;

/// The service.
pub(crate) struct Discovery {
    pub(crate) board: Arc<Board>,
    pub(crate) watcher: Watcher,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) answer_within: Duration,
    /// Told when the Agent dropped its last stream.
    pub(crate) dropped: Arc<tokio::sync::Notify>,
    /// True once the proxy is ending.
    pub(crate) ending: watch::Receiver<bool>,
}

/// One stream's items.
type Items = Pin<Box<dyn Stream<Item = Result<DiscoverResponse, Status>> + Send>>;

#[tonic::async_trait]
impl DiscoveryHandler for Discovery {
    type DiscoverStream = Items;

    /// The Agent takes details for invalid only when the call itself fails, before there is a stream: so the
    /// first answer is waited for here.
    async fn discover(&self, request: Request<DiscoverRequest>) -> Result<Response<Items>, Status> {
        let question = Question::from(request.into_inner());
        let asked = self.board.ask(&question, |folder| self.watcher.add(folder));
        let mut outcomes = asked.map_err(|failure| {
            warn!(%failure, "handler cannot be asked");
            Status::unavailable(failure.to_string())
        })?;
        if let Err(status) = self.first(&mut outcomes).await {
            info!(code = ?status.code(), reason = status.message(), "stream is refused");
            return Err(status);
        }
        outcomes.mark_changed();
        info!("stream begins");
        Ok(Response::new(self.stream(outcomes)))
    }
}

impl Discovery {
    /// Waits for the first answer, which the stream will begin with.
    async fn first(&self, outcomes: &mut Outcomes) -> Result<(), Status> {
        let answered = timeout(self.answer_within, outcomes.wait_for(Option::is_some)).await;
        match answered {
            Err(_elapsed) => {
                let within = self.answer_within;
                let status = format!("the handler did not answer within {within:?}");
                Err(Status::unavailable(status))
            }
            Ok(Err(_closed)) => Err(Status::unavailable("the request was withdrawn")),
            Ok(Ok(outcome)) => outcome.as_ref().map_or_else(no_answer, response).map(drop),
        }
    }

    /// Every outcome that differs from the one before. A reader that is slow gets the newest alone: each
    /// list is a full one, so it misses nothing.
    fn stream(&self, outcomes: Outcomes) -> Items {
        let metrics = self.metrics.clone();
        metrics.streams.fetch_add(1, Ordering::Relaxed);
        let ending = self.ending.clone();
        let items = stream::unfold(Some((outcomes, ending)), move |open| {
            let metrics = metrics.clone();
            async move {
                let (mut outcomes, mut ending) = open?;
                let item = next(&mut outcomes, &mut ending).await;
                let sent = u64::from(item.is_ok());
                metrics.responses.fetch_add(sent, Ordering::Relaxed);
                let open = item.is_ok().then_some((outcomes, ending));
                Some((item, open))
            }
        });
        Box::pin(Watched {
            items: items.boxed(),
            metrics: self.metrics.clone(),
            dropped: self.dropped.clone(),
            ended: false,
        })
    }
}

async fn next(
    outcomes: &mut Outcomes,
    ending: &mut watch::Receiver<bool>,
) -> Result<DiscoverResponse, Status> {
    tokio::select! {
        _ = ending.wait_for(|ending| *ending) => Err(Status::unavailable("the handler is ending")),
        changed = outcomes.changed() => match changed {
            Ok(()) => outcomes.borrow_and_update().as_ref().map_or_else(no_answer, response),
            Err(_closed) => Err(Status::unavailable("the request was withdrawn")),
        },
    }
}

/// Outcomes only go from none to some.
fn no_answer() -> Result<DiscoverResponse, Status> {
    Err(Status::internal("an answer without an outcome"))
}

/// A stream that notes who ended it.
struct Watched {
    items: stream::BoxStream<'static, Result<DiscoverResponse, Status>>,
    metrics: Arc<Metrics>,
    dropped: Arc<tokio::sync::Notify>,
    ended: bool,
}

impl Stream for Watched {
    type Item = Result<DiscoverResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.items.poll_next_unpin(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.ended = true;
        }
        polled
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let before = self.metrics.streams.fetch_sub(1, Ordering::Relaxed);
        debug!(by_agent = !self.ended, left = before - 1, "stream ends");
        // While it has another stream, the Agent lives and knows this handler; it would open every stream twice.
        if !self.ended && before == 1 {
            self.dropped.notify_one();
        }
    }
}
