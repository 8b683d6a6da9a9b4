//! How `start` is asked and how it answers, which depends on containerd's version.
//!
//! From 2.3 on, a protobuf message comes by standard input, and one goes out. Before, all is in flags and
//! in the environment, and a bare address goes out, which every version understands.

use std::io::{IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, Result};
use containerd_shim_protos::TASK_API_VERSION;
use containerd_shim_protos::bootstrap_api::{BootstrapParams, BootstrapResult};
use containerd_shim_protos::protobuf::Message as _;

use crate::arguments::Arguments;

/// Most that is read of a question, in bytes.
const LARGEST: u64 = 1 << 20;

/// Where containerd before 2.3 says that it takes events.
const TTRPC_ADDRESS: &str = "TTRPC_ADDRESS";

/// How containerd has asked, and so how it wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Flags,
    Messages,
}

/// Completes the command line by what containerd says elsewhere.
///
/// # Errors
/// When standard input cannot be read.
pub(crate) fn complete(arguments: &mut Arguments) -> Result<Dialect> {
    let mut question = Vec::new();
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let read = stdin.lock().take(LARGEST).read_to_end(&mut question);
        read.context("read what containerd says on standard input")?;
    }
    if let Some(said) = asked_by_message(&question, arguments) {
        arguments.ttrpc_address = said.containerd_ttrpc_address;
        if !said.containerd_grpc_address.is_empty() {
            arguments.address = said.containerd_grpc_address;
        }
        return Ok(Dialect::Messages);
    }
    if let Ok(address) = std::env::var(TTRPC_ADDRESS) {
        arguments.ttrpc_address = address;
    }
    Ok(Dialect::Flags)
}

/// Options of a runtime, which older versions send, happen to decode as this message too, with other
/// names in it.
fn asked_by_message(question: &[u8], arguments: &Arguments) -> Option<BootstrapParams> {
    let said = BootstrapParams::parse_from_bytes(question).ok()?;
    (said.instance_id == arguments.id
        && said.namespace == arguments.namespace
        && !said.instance_id.is_empty())
    .then_some(said)
}

/// Tells containerd where the supervisor listens.
///
/// # Errors
/// When nobody takes it.
pub(crate) fn answer(address: &str, dialect: Dialect) -> Result<()> {
    let mut stdout = std::io::stdout();
    match dialect {
        Dialect::Flags => stdout.write_all(address.as_bytes())?,
        Dialect::Messages => {
            let result = BootstrapResult {
                version: TASK_API_VERSION,
                address: address.to_owned(),
                protocol: "ttrpc".to_owned(),
                ..Default::default()
            };
            result.write_to_writer(&mut stdout)?;
        }
    }
    Ok(stdout.flush()?)
}
