//! `delete`: takes away what is left of a container whose supervisor died.

use std::fs;
use std::os::unix::net::UnixStream;

use anyhow::{Context as _, Result};
use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::protobuf::Message as _;

use crate::arguments::Arguments;
use crate::process::Exit;
use crate::{group, start};

/// Kills and removes the container, and tells containerd that it was killed. Doing it again is fine.
pub(crate) fn delete(arguments: &Arguments) -> Result<()> {
    let bundle = start::bundle(arguments)?;
    let removed = coracle_container::remove(&bundle);
    // The supervisor ends by itself when its last container goes; one that died left its socket.
    if let Ok(pod) = group::of(&bundle, &arguments.id) {
        let socket = group::socket(&arguments.address, &arguments.namespace, &pod);
        if socket.exists() && UnixStream::connect(&socket).is_err() {
            fs::remove_file(&socket).with_context(|| format!("remove {}", socket.display()))?;
        }
    }
    removed?;
    let killed = Exit::killed();
    let response = DeleteResponse {
        exit_status: killed.code,
        exited_at: killed.timestamp(),
        ..Default::default()
    };
    response.write_to_writer(&mut std::io::stdout())?;
    Ok(())
}
