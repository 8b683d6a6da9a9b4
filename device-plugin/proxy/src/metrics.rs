//! What the proxy counts, and how Prometheus reads it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Everything that is counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Successful registrations.
    pub(crate) registrations: AtomicU64,
    /// Registrations that failed.
    pub(crate) registration_failures: AtomicU64,
    /// Whether the last registration succeeded.
    pub(crate) registered: AtomicBool,
    /// Whether the handler shows signs of life.
    pub(crate) handler_alive: AtomicBool,
    /// Starts of the handler that were seen.
    pub(crate) handler_starts: AtomicU64,
    /// Streams that are open.
    pub(crate) streams: AtomicU64,
    /// Requests that the handler answers.
    pub(crate) requests: AtomicU64,
    /// Lists that were sent.
    pub(crate) responses: AtomicU64,
    /// Answers that could not be read.
    pub(crate) unreadable: AtomicU64,
}

impl Metrics {
    /// Whether the Agent knows this handler, and the handler answers.
    pub(crate) fn is_ready(&self) -> bool {
        self.registered.load(Ordering::Relaxed) && self.handler_alive.load(Ordering::Relaxed)
    }

    /// In Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let number = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let truth = |value: &AtomicBool| u64::from(value.load(Ordering::Relaxed));
        let mut text = String::new();
        for (name, kind, help, value) in [
            (
                "registrations_total",
                "counter",
                "Registrations with the Agent.",
                number(&self.registrations),
            ),
            (
                "registration_failures_total",
                "counter",
                "Registrations that failed.",
                number(&self.registration_failures),
            ),
            (
                "registered",
                "gauge",
                "1 when the last registration succeeded.",
                truth(&self.registered),
            ),
            (
                "handler_alive",
                "gauge",
                "1 when the handler shows signs of life.",
                truth(&self.handler_alive),
            ),
            (
                "handler_starts_total",
                "counter",
                "Starts of the handler.",
                number(&self.handler_starts),
            ),
            (
                "streams",
                "gauge",
                "Open Discover streams.",
                number(&self.streams),
            ),
            (
                "requests",
                "gauge",
                "Distinct questions that the handler is asked.",
                number(&self.requests),
            ),
            (
                "responses_total",
                "counter",
                "Device lists sent to the Agent.",
                number(&self.responses),
            ),
            (
                "unreadable_answers_total",
                "counter",
                "Answers that were no message of the protocol.",
                number(&self.unreadable),
            ),
        ] {
            let name = format!("coracle_akri_{name}");
            // A string takes all that is written.
            let _infallible = write!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
            );
        }
        text
    }
}
