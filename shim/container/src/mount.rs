//! Mounting a container's root file system as a snapshotter describes it.

use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// One mount of a container's root file system, in containerd's terms (`types.Mount`).
#[derive(Clone, Debug)]
pub struct Mount {
    /// File system type: `overlay`, `bind`.
    pub kind: String,
    /// Source.
    pub source: String,
    /// Options: names of flags, everything else goes to the file system.
    pub options: Vec<String>,
}

/// The root file system cannot be mounted.
#[derive(Debug, thiserror::Error)]
#[error("cannot mount {kind} {from} on {target}")]
pub(crate) struct MountError {
    kind: String,
    from: String,
    target: String,
    source: io::Error,
}

/// The kernel reads one page of options.
const PAGE: usize = 4096;

impl Mount {
    /// Mounts it on `target`. Changes the working directory, so the caller is a process that is thrown
    /// away.
    pub(crate) fn on(&self, target: &Path) -> Result<(), MountError> {
        self.mount(target).map_err(|source| MountError {
            kind: self.kind.clone(),
            from: self.source.clone(),
            target: target.display().to_string(),
            source,
        })
    }

    fn mount(&self, target: &Path) -> io::Result<()> {
        let (flags, mut data) = parse(&self.options);
        if self.kind == "overlay"
            && data.len() >= PAGE
            && let Some((folder, shorter)) = shorten(&data)
        {
            std::env::set_current_dir(folder)?;
            data = shorter;
        }
        if data.len() >= PAGE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "its options have {} bytes, and the kernel reads {PAGE}: the image has too many layers",
                    data.len()
                ),
            ));
        }
        let is_bind = flags.contains(MsFlags::MS_BIND);
        let kind = (!is_bind).then_some(self.kind.as_str());
        let data = (!data.is_empty()).then_some(data.as_str());
        mount(Some(self.source.as_str()), target, kind, flags, data)?;
        // The kernel ignores other flags of a bind mount until it is mounted again.
        let rest = flags.difference(MsFlags::MS_BIND | MsFlags::MS_REC);
        if is_bind && !rest.is_empty() {
            let again = rest | MsFlags::MS_BIND | MsFlags::MS_REMOUNT;
            mount(None::<&str>, target, None::<&str>, again, None::<&str>)?;
        }
        Ok(())
    }
}

/// Takes away everything that is mounted on `target`.
///
/// # Errors
/// What the kernel says. Nothing mounted, or no such folder, is none.
pub(crate) fn unmount(target: &Path) -> io::Result<()> {
    loop {
        match umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn parse(options: &[String]) -> (MsFlags, String) {
    let mut flags = MsFlags::empty();
    let mut data: Vec<&str> = Vec::new();
    for option in options {
        match flag(option) {
            Some((flag, true)) => flags.insert(flag),
            Some((flag, false)) => flags.remove(flag),
            None => data.push(option),
        }
    }
    (flags, data.join(","))
}

/// A flag of mount(2) by the name that mount(8) gives it, and whether the name sets or clears it.
fn flag(name: &str) -> Option<(MsFlags, bool)> {
    Some(match name {
        "ro" => (MsFlags::MS_RDONLY, true),
        "rw" => (MsFlags::MS_RDONLY, false),
        "bind" => (MsFlags::MS_BIND, true),
        "rbind" => (MsFlags::MS_BIND | MsFlags::MS_REC, true),
        "nosuid" => (MsFlags::MS_NOSUID, true),
        "suid" => (MsFlags::MS_NOSUID, false),
        "nodev" => (MsFlags::MS_NODEV, true),
        "dev" => (MsFlags::MS_NODEV, false),
        "noexec" => (MsFlags::MS_NOEXEC, true),
        "exec" => (MsFlags::MS_NOEXEC, false),
        "sync" => (MsFlags::MS_SYNCHRONOUS, true),
        "async" => (MsFlags::MS_SYNCHRONOUS, false),
        "dirsync" => (MsFlags::MS_DIRSYNC, true),
        "mand" => (MsFlags::MS_MANDLOCK, true),
        "nomand" => (MsFlags::MS_MANDLOCK, false),
        "noatime" => (MsFlags::MS_NOATIME, true),
        "atime" => (MsFlags::MS_NOATIME, false),
        "nodiratime" => (MsFlags::MS_NODIRATIME, true),
        "diratime" => (MsFlags::MS_NODIRATIME, false),
        "relatime" => (MsFlags::MS_RELATIME, true),
        "norelatime" => (MsFlags::MS_RELATIME, false),
        "strictatime" => (MsFlags::MS_STRICTATIME, true),
        "nostrictatime" => (MsFlags::MS_STRICTATIME, false),
        "private" => (MsFlags::MS_PRIVATE, true),
        "rprivate" => (MsFlags::MS_PRIVATE | MsFlags::MS_REC, true),
        "remount" => (MsFlags::MS_REMOUNT, true),
        "defaults" => (MsFlags::empty(), true),
        _ => return None,
    })
}

/// The folder that all lower layers of an overlay lie in, and the options with their paths relative to it.
/// An image with many layers fits into a page of options only so.
fn shorten(data: &str) -> Option<(String, String)> {
    let lower = data
        .split(',')
        .find_map(|option| option.strip_prefix("lowerdir="))?;
    let layers: Vec<&str> = lower.split(':').collect();
    let mut folder = Path::new(layers.first()?).parent()?;
    while !layers
        .iter()
        .all(|layer| Path::new(layer).starts_with(folder))
    {
        folder = folder.parent()?;
    }
    let relative: Option<Vec<&str>> = layers
        .iter()
        .map(|layer| Path::new(layer).strip_prefix(folder).ok()?.to_str())
        .collect();
    let shorter = format!("lowerdir={}", relative?.join(":"));
    let options: Vec<&str> = data
        .split(',')
        .map(|option| match option.strip_prefix("lowerdir=") {
            Some(_) => shorter.as_str(),
            None => option,
        })
        .collect();
    Some((folder.to_str()?.to_owned(), options.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_flags_become_flags_and_the_rest_goes_to_the_file_system() {
        let options = ["ro", "nosuid", "index=off", "lowerdir=/a:/b"].map(str::to_owned);
        let (flags, data) = parse(&options);
        assert_eq!(flags, MsFlags::MS_RDONLY | MsFlags::MS_NOSUID);
        assert_eq!(data, "index=off,lowerdir=/a:/b");
    }

    #[test]
    fn many_layers_are_named_from_the_folder_that_holds_them() {
        let (folder, options) =
            shorten("workdir=/s/3/work,upperdir=/s/3/fs,lowerdir=/s/2/fs:/s/1/fs").unwrap();
        assert_eq!(folder, "/s");
        assert_eq!(
            options,
            "workdir=/s/3/work,upperdir=/s/3/fs,lowerdir=2/fs:1/fs"
        );
    }
}
