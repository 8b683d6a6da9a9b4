//! What the kernel unpacks first: busybox, `integration/vm/init`, and the modules that it loads.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::kernel::Kernel;
use crate::build;

/// Needed to find the host's files, to lay a writable layer over them, and for the network of pods and services.
const MODULES: [&str; 12] = [
    "virtio_pci",
    "9pnet_virtio",
    "9p",
    "overlay",
    "veth",
    "bridge",
    "br_netfilter",
    // nf_conntrack and libcrc32c find this one by its name, so it is nobody's dependency.
    "crc32c_generic",
    "nf_conntrack",
    "iptable_nat",
    "xt_MASQUERADE",
    "xt_comment",
];

/// Writes the archive to `archive`; `scratch` is a folder that it may fill.
///
/// # Errors
/// When a module or a program is missing.
pub(super) fn write(kernel: &Kernel, scratch: &Path, archive: &Path) -> anyhow::Result<()> {
    let (programs, modules) = (scratch.join("bin"), scratch.join("modules"));
    fs::create_dir_all(&programs)?;
    fs::create_dir_all(&modules)?;
    fs::copy("/bin/busybox", programs.join("busybox")).context("copy /bin/busybox")?;
    let init = scratch.join("init");
    fs::copy(build::root().join("integration/vm/init"), &init)?;
    fs::set_permissions(&init, Permissions::from_mode(0o755))?;
    let mut names = vec!["bin/busybox".to_owned(), "init".to_owned()];
    for (place, file) in in_load_order(kernel)?.iter().enumerate() {
        let stem = file.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("modules/{place:02}-{stem}");
        fs::copy(kernel.modules.join(file), scratch.join(&name))
            .with_context(|| format!("copy module {}", file.display()))?;
        names.push(name);
    }
    pack(scratch, &names, archive)
}

/// The modules and all they depend on, each after what it depends on.
fn in_load_order(kernel: &Kernel) -> anyhow::Result<Vec<PathBuf>> {
    let path = kernel.modules.join("modules.dep");
    let table = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let table: BTreeMap<&str, (&str, &str)> = table
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(file, needs)| (stem(file), (file, needs)))
        .collect();
    let mut order = Vec::new();
    for module in MODULES {
        // What is not in the table is built into the kernel.
        if let Some((file, needs)) = table.get(module) {
            // modules.dep lists all dependencies, the deepest last.
            for needed in needs.split_whitespace().rev().chain([*file]) {
                let needed = PathBuf::from(needed);
                if !order.contains(&needed) {
                    order.push(needed);
                }
            }
        }
    }
    Ok(order)
}

fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split('.').next().unwrap_or(name)
}

fn pack(folder: &Path, names: &[String], archive: &Path) -> anyhow::Result<()> {
    let mut folders = vec!["bin".to_owned(), "modules".to_owned()];
    folders.extend_from_slice(names);
    let mut cpio = Command::new("cpio")
        .args(["--create", "--format=newc", "--quiet", "--owner=0:0"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(File::create(archive)?)
        .spawn()
        .context("start cpio")?;
    let mut list = cpio.stdin.take().context("cpio has no standard input")?;
    list.write_all(folders.join("\n").as_bytes())?;
    drop(list);
    let ended = cpio.wait()?;
    ensure!(ended.success(), "cpio ended with {ended}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_after_what_it_needs_and_once() {
        let folder = std::env::temp_dir().join(format!("coracle-modules-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let table = "a/9p.ko: b/9pnet.ko b/netfs.ko\nb/9pnet_virtio.ko: b/9pnet.ko c/ring.ko\nb/9pnet.ko:\n";
        fs::write(folder.join("modules.dep"), table).unwrap();
        let kernel = Kernel {
            image: PathBuf::new(),
            modules: folder.clone(),
        };
        let order = in_load_order(&kernel).unwrap();
        fs::remove_dir_all(folder).unwrap();
        let expected = [
            "c/ring.ko",
            "b/9pnet.ko",
            "b/9pnet_virtio.ko",
            "b/netfs.ko",
            "a/9p.ko",
        ];
        assert_eq!(order, expected.map(PathBuf::from));
    }
}
