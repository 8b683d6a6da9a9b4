//! Images as archives in the OCI image layout, which `ctr images import`, podman and skopeo read.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use oci_spec::image::{Descriptor, ImageManifest};
use serde_json::{Value, json};

use crate::layer::{Entry, archive};
use crate::{Blob, Image, Process};

/// The annotation by which containerd names what it imports.
const NAME: &str = "io.containerd.image.name";

/// The annotation by which every other tool does.
const TAG: &str = "org.opencontainers.image.ref.name";

/// The archive of `image`: always the same bytes for the same image.
///
/// # Errors
/// Never, as long as digests can stand in a tar archive.
pub fn write(image: &Image) -> Result<Vec<u8>> {
    let tag = image.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    let manifest = &image.manifest.descriptor;
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": manifest.media_type(),
            "digest": manifest.digest(),
            "size": manifest.size(),
            "annotations": { NAME: image.name, TAG: tag },
        }],
    });
    let version = json!({ "imageLayoutVersion": "1.0.0" });
    let mut entries = BTreeMap::from([
        (
            PathBuf::from("index.json"),
            file(serde_json::to_vec(&index)?),
        ),
        (
            PathBuf::from("oci-layout"),
            file(serde_json::to_vec(&version)?),
        ),
    ]);
    for blob in [&image.manifest, &image.config]
        .into_iter()
        .chain(&image.layers)
    {
        entries.insert(place(&blob.descriptor), file(blob.bytes.clone()));
    }
    archive(&entries)
}

/// The one image of an archive, whose parts are what their digests say. What it runs is not read.
///
/// # Errors
/// When the archive is no image layout, holds several images, or a part of it is missing or another one.
pub fn read(bytes: &[u8]) -> Result<Image> {
    let files = files(bytes)?;
    let index: Value = serde_json::from_slice(&part(&files, Path::new("index.json"))?)?;
    let listed = index["manifests"].as_array().map_or(&[][..], Vec::as_slice);
    ensure!(
        listed.len() == 1,
        "index.json lists {} images; accepted: 1",
        listed.len()
    );
    let name = &listed[0]["annotations"][NAME];
    let name = name
        .as_str()
        .with_context(|| format!("no annotation {NAME} in index.json"))?;
    let descriptor: Descriptor = serde_json::from_value(listed[0].clone())?;
    let manifest = blob(&files, &descriptor)?;
    let parsed = ImageManifest::from_reader(manifest.bytes.as_slice())?;
    let config = blob(&files, parsed.config())?;
    let layers = parsed.layers().iter().map(|layer| blob(&files, layer));
    let layers = layers.collect::<Result<Vec<_>>>()?;
    let written: Value = serde_json::from_slice(&config.bytes)?;
    let diff_ids = serde_json::from_value(written["rootfs"]["diff_ids"].clone())?;
    Ok(Image {
        name: name.to_owned(),
        manifest,
        config,
        layers,
        process: Process::default(),
        diff_ids,
    })
}

/// The regular files of a tar archive, such as a layer.
///
/// # Errors
/// When it is no tar archive.
pub fn files(archive: &[u8]) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.insert(entry.path()?.into_owned(), bytes);
        }
    }
    Ok(files)
}

fn file(bytes: Vec<u8>) -> Entry {
    Entry::File { mode: 0o644, bytes }
}

fn place(descriptor: &Descriptor) -> PathBuf {
    let digest = descriptor.digest();
    Path::new("blobs")
        .join(digest.algorithm().to_string())
        .join(digest.digest())
}

fn blob(files: &BTreeMap<PathBuf, Vec<u8>>, descriptor: &Descriptor) -> Result<Blob> {
    let bytes = part(files, &place(descriptor))?;
    let blob = Blob::new(descriptor.media_type().clone(), bytes)?;
    let (found, wanted) = (blob.descriptor.digest(), descriptor.digest());
    ensure!(found == wanted, "{wanted} holds what has digest {found}");
    Ok(blob)
}

fn part(files: &BTreeMap<PathBuf, Vec<u8>>, path: &Path) -> Result<Vec<u8>> {
    let found = files.get(path).cloned();
    found.with_context(|| format!("no {} in the archive", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rootfs;

    fn image() -> Image {
        let files = Rootfs::new("coracle.test/a:7").file("opt/b", 0o755, b"c".to_vec());
        files.entrypoint(["/opt/b"]).build().unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let (image, archive) = (image(), write(&image()).unwrap());
        let read = read(&archive).unwrap();
        assert_eq!(read.name, "coracle.test/a:7");
        assert_eq!(read.manifest.bytes, image.manifest.bytes);
        assert_eq!(read.chain_id(), image.chain_id());
        let files = files(&read.layers[0].bytes).unwrap();
        assert_eq!(files, BTreeMap::from([("opt/b".into(), b"c".to_vec())]));
        let index = &super::files(&archive).unwrap()[Path::new("index.json")];
        let index: Value = serde_json::from_slice(index).unwrap();
        assert_eq!(index["manifests"][0]["annotations"][TAG], "7");
    }

    #[test]
    fn a_part_that_is_another_one_is_refused() {
        let archive = write(&image()).unwrap();
        let config = image().config.bytes;
        let at = archive
            .windows(config.len())
            .position(|window| window == config)
            .unwrap();
        let mut broken = archive.clone();
        broken[at + 2] ^= 1;
        let refused = read(&broken).unwrap_err().to_string();
        assert!(refused.contains("holds what has digest"), "{refused}");
    }
}
