//! The command line that containerd gives a shim: flags with one dash, then an action.

use std::path::PathBuf;

/// What containerd asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Leave a supervisor behind, and print its address.
    Start,
    /// Take away what a dead supervisor has left of a container.
    Delete,
    /// Be the supervisor of a pod. The listening socket is standard input. Only `start` asks for this.
    Supervise,
    /// Describe the runtime.
    Info,
    /// Print the version.
    Version,
    /// Explain.
    Help,
}

/// The command line.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) action: Action,
    /// The namespace in containerd.
    pub(crate) namespace: String,
    /// A container's name in it; a supervisor's is the pod's.
    pub(crate) id: String,
    /// containerd's gRPC socket.
    pub(crate) address: String,
    /// Where containerd takes events.
    pub(crate) ttrpc_address: String,
    /// The container's folder. Without it, the working directory.
    pub(crate) bundle: Option<PathBuf>,
    /// Log more.
    pub(crate) debug: bool,
}

/// The command line is not one of containerd's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("unknown flag {0}; see --help")]
    Unknown(String),
    #[error("flag {0} needs a value")]
    NoValue(String),
    #[error(
        "unknown action {0:?}; accepted are start and delete, which containerd calls; see --help"
    )]
    Action(String),
    #[error("no action; accepted are start and delete, which containerd calls; see --help")]
    NoAction,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, ArgumentError> {
        let mut arguments = Self {
            action: Action::Help,
            namespace: String::new(),
            id: String::new(),
            address: String::new(),
            ttrpc_address: String::new(),
            bundle: None,
            debug: false,
        };
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix('-') else {
                arguments.action = action(&word)?;
                return Ok(arguments);
            };
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            let (name, given) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            let mut value = || {
                let value = given.clone().or_else(|| words.next());
                value.ok_or_else(|| ArgumentError::NoValue(word.clone()))
            };
            match name {
                "namespace" => arguments.namespace = value()?,
                "id" => arguments.id = value()?,
                "address" => arguments.address = value()?,
                "ttrpc-address" => arguments.ttrpc_address = value()?,
                "bundle" => arguments.bundle = Some(value()?.into()),
                // Nobody needs these any more, but containerd gives them.
                "publish-binary" | "socket" => drop(value()?),
                "debug" => arguments.debug = given.as_deref() != Some("false"),
                "v" | "version" => return Ok(arguments.with(Action::Version)),
                "info" => return Ok(arguments.with(Action::Info)),
                "h" | "help" => return Ok(arguments.with(Action::Help)),
                _ => return Err(ArgumentError::Unknown(word)),
            }
        }
        Err(ArgumentError::NoAction)
    }

    fn with(self, action: Action) -> Self {
        Self { action, ..self }
    }
}

fn action(word: &str) -> Result<Action, ArgumentError> {
    match word {
        "start" => Ok(Action::Start),
        "delete" => Ok(Action::Delete),
        "supervise" => Ok(Action::Supervise),
        _ => Err(ArgumentError::Action(word.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, ArgumentError> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn containerds_command_line_is_understood() {
        let arguments = parse(
            "-namespace k8s.io -address /run/containerd/containerd.sock \
             -publish-binary /usr/bin/containerd -id abc -bundle /b -debug delete",
        )
        .unwrap();
        assert_eq!(arguments.action, Action::Delete);
        assert_eq!(arguments.namespace, "k8s.io");
        assert_eq!(arguments.id, "abc");
        assert_eq!(arguments.bundle, Some("/b".into()));
        assert!(arguments.debug);
    }

    #[test]
    fn what_is_not_containerds_is_named() {
        let errors = ["-colour red start", "-id", "sing", ""].map(|line| parse(line).unwrap_err());
        assert_eq!(
            errors,
            [
                ArgumentError::Unknown("-colour".to_owned()),
                ArgumentError::NoValue("-id".to_owned()),
                ArgumentError::Action("sing".to_owned()),
                ArgumentError::NoAction,
            ]
        );
    }
}
