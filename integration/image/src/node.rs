//! The image that the chart's DaemonSet runs: the node installer, what it installs, and a guest to try it.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::{Image, Rootfs};

/// The program that the image starts.
pub const INSTALLER: &str = "coracle-node-installer";

/// The folder of the programs that the installer puts on a node: all of them, and nothing else.
pub const PAYLOAD: &str = "opt/coracle";

/// Without it, a node with the payload could not run anything.
const SHIM: &str = "containerd-shim-coracle-v1";

/// The guest that `helm test` runs: then the image is on the node already.
const HELLO: &str = include_str!("hello.wat");

/// The image `name` for `architecture`, as OCI names it, of `programs` by their names.
///
/// # Errors
/// When the installer or the shim is missing.
pub fn image(
    name: &str,
    architecture: &str,
    programs: &BTreeMap<String, Vec<u8>>,
) -> Result<Image> {
    let rootfs = Rootfs::new(name)
        .platform(architecture, "linux")
        .entrypoint([format!("/{INSTALLER}")])
        .file("hello.wasm", 0o755, wat::parse_str(HELLO)?);
    let rootfs = programs.iter().fold(rootfs, |rootfs, (program, bytes)| {
        let place = match program.as_str() {
            INSTALLER => program.clone(),
            other => format!("{PAYLOAD}/{other}"),
        };
        rootfs.file(&place, 0o755, bytes.clone())
    });
    let names: Vec<_> = programs.keys().map(String::as_str).collect();
    for wanted in [INSTALLER, SHIM] {
        ensure!(
            names.contains(&wanted),
            "no {wanted} among the programs: {}",
            names.join(", ")
        );
    }
    rootfs.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_every_node_needs_cannot_be_forgotten() {
        let program = b"program".to_vec();
        let mut programs = BTreeMap::from([(INSTALLER.to_owned(), program.clone())]);
        let refused = image("a", "amd64", &programs).unwrap_err().to_string();
        assert_eq!(
            refused,
            "no containerd-shim-coracle-v1 among the programs: coracle-node-installer"
        );
        programs.insert(SHIM.to_owned(), program.clone());
        programs.insert("third".to_owned(), program);
        let image = image("a", "amd64", &programs).unwrap();
        let files = crate::layout::files(&image.layers[0].bytes).unwrap();
        let names: Vec<_> = files
            .keys()
            .map(|path| path.display().to_string())
            .collect();
        assert_eq!(
            names,
            [
                "coracle-node-installer",
                "hello.wasm",
                "opt/coracle/containerd-shim-coracle-v1",
                "opt/coracle/third"
            ]
        );
    }
}
