//! What the shim says of itself.

use std::io::Write as _;

use anyhow::Result;
use containerd_shim_protos::protobuf::{Message as _, MessageField};
use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeVersion};

/// The runtime's name in containerd.
const NAME: &str = "io.containerd.coracle.v1";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Answers `-info`: containerd 2 asks for it.
pub(crate) fn info() -> Result<()> {
    let version = RuntimeVersion {
        version: VERSION.to_owned(),
        ..Default::default()
    };
    let info = RuntimeInfo {
        name: NAME.to_owned(),
        version: MessageField::some(version),
        ..Default::default()
    };
    info.write_to_writer(&mut std::io::stdout())?;
    Ok(())
}

/// Answers `-version`.
pub(crate) fn version() -> Result<()> {
    writeln!(std::io::stdout(), "containerd-shim-coracle-v1 {VERSION}")?;
    Ok(())
}

/// Answers `--help`.
pub(crate) fn help() -> Result<()> {
    std::io::stdout().write_all(HELP.as_bytes())?;
    Ok(())
}

const HELP: &str = "\
containerd-shim-coracle-v1: runs pods with WebAssembly under containerd

containerd calls this program; people do not. Name the runtime io.containerd.coracle.v1 in
containerd's configuration, and a Kubernetes RuntimeClass with that handler. By hand:

    ctr run --rm --runtime io.containerd.coracle.v1 IMAGE NAME

Actions, with containerd's flags (-namespace, -id, -address, -bundle, -debug) before them:
    start     leave a supervisor for the pod behind, and print the address of its task API
    delete    take away what a supervisor that died has left of a container
    -info     describe the runtime (protobuf)
    -version  print the version

Beside this program stands coracle-compile, which compiles wasm in a sandbox of its own.
Compiled code is kept in /var/lib/coracle/cache.
";
