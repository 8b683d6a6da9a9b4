//! What a test waits for, as values.

use std::fmt;

use serde_json::Value;

/// Whether something holds for an object, or for there being none.
type Holds = dyn Fn(Option<&Value>) -> bool + Send + Sync;

/// A condition on one object of the API.
pub struct Condition {
    text: String,
    holds: Box<Holds>,
}

impl Condition {
    /// Whether it holds for an object, or for there being none.
    #[must_use]
    pub fn holds(&self, object: Option<&Value>) -> bool {
        (self.holds)(object)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.text).finish()
    }
}

/// The object exists and `holds`; `text` says so, after the object's name.
pub fn that(
    text: impl Into<String>,
    holds: impl Fn(&Value) -> bool + Send + Sync + 'static,
) -> Condition {
    Condition {
        text: text.into(),
        holds: Box::new(move |object| object.is_some_and(&holds)),
    }
}

/// The object exists.
#[must_use]
pub fn exists() -> Condition {
    that("exists", |_| true)
}

/// The object does not exist.
#[must_use]
pub fn gone() -> Condition {
    Condition {
        text: "is gone".to_owned(),
        holds: Box::new(|object| object.is_none()),
    }
}

/// A pod's phase is this.
#[must_use]
pub fn phase(phase: &'static str) -> Condition {
    that(format!("has phase {phase}"), move |object| {
        object["status"]["phase"] == phase
    })
}

/// The object's status has a condition of this type, and it is true.
#[must_use]
pub fn status(kind: &'static str) -> Condition {
    that(format!("has the condition {kind}"), move |object| {
        has_status(object, kind, "True")
    })
}

/// A pod or node is ready.
#[must_use]
pub fn ready() -> Condition {
    status("Ready")
}

/// A pod or node is not ready.
#[must_use]
pub fn not_ready() -> Condition {
    that("is not ready", |object| {
        has_status(object, "Ready", "False")
    })
}

/// A number at this place (as `/status/readyReplicas`) is at least so much.
#[must_use]
pub fn at_least(place: &'static str, number: u64) -> Condition {
    that(format!("has at least {number} in {place}"), move |object| {
        let found = object.pointer(place).and_then(Value::as_u64);
        found.is_some_and(|found| found >= number)
    })
}

/// What stands at this place is this.
pub fn has(place: &'static str, value: impl Into<Value>) -> Condition {
    let value = value.into();
    that(format!("has {value} in {place}"), move |object| {
        object.pointer(place) == Some(&value)
    })
}

/// The first container ended, with a code and for a reason: now, or before it was started anew.
#[must_use]
pub fn ended(code: i64, reason: &'static str) -> Condition {
    that(
        format!("ended with code {code} for {reason}"),
        move |object| {
            ["state", "lastState"].iter().any(|state| {
                let end = &object["status"]["containerStatuses"][0][state]["terminated"];
                end["exitCode"] == code && end["reason"] == reason
            })
        },
    )
}

/// The first container waits for this reason.
#[must_use]
pub fn waits(reason: &'static str) -> Condition {
    has("/status/containerStatuses/0/state/waiting/reason", reason)
}

/// The first container was started anew at least so often.
#[must_use]
pub fn restarted(times: u64) -> Condition {
    at_least("/status/containerStatuses/0/restartCount", times)
}

fn has_status(object: &Value, kind: &str, value: &str) -> bool {
    object["status"]["conditions"]
        .as_array()
        .is_some_and(|all| {
            all.iter()
                .any(|one| one["type"] == kind && one["status"] == value)
        })
}
