//! What containerd knows about a container's image: its wasm layer, if it has one.

use std::fs::File;

use anyhow::{Context as _, Result, bail, ensure};
use containerd_client::Client;
use containerd_client::services::v1::{GetContainerRequest, GetImageRequest, ReadContentRequest};
use containerd_client::tonic::Request;
use containerd_client::tonic::metadata::{Ascii, MetadataValue};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};

/// Types of layers that are a module or a component.
const WASM: [&str; 3] = [
    "application/wasm",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
];

/// The largest manifest, index or configuration that is read, in bytes.
const LARGEST_DOCUMENT: u64 = 4 << 20;

/// containerd, as seen from one of its namespaces.
pub(crate) struct Images {
    client: Client,
    namespace: MetadataValue<Ascii>,
}

impl Images {
    /// Connects to containerd's socket.
    pub(crate) async fn connect(socket: &str, namespace: &str) -> Result<Self> {
        let client = Client::from_path(socket)
            .await
            .with_context(|| format!("connect to containerd at {socket}"))?;
        Ok(Self {
            client,
            namespace: namespace.parse().context("the namespace's name")?,
        })
    }

    /// The wasm layer of a container's image. An image without any has none; one with more than one is
    /// refused, because nothing says which is meant.
    pub(crate) async fn wasm_layer(&self, container: &str) -> Result<Option<Descriptor>> {
        let request = self.request(GetContainerRequest {
            id: container.to_owned(),
        });
        let found = self.client.containers().get(request).await?.into_inner();
        let image = found
            .container
            .context("containerd knows no such container")?
            .image;
        if image.is_empty() {
            return Ok(None);
        }
        let manifest = self.manifest(&image).await?;
        let mut layers = manifest.layers().iter().filter(|layer| is_wasm(layer));
        let first = layers.next().cloned();
        let more = layers.count();
        ensure!(
            more == 0,
            "the image has {} wasm layers; accepted is an image with one",
            more + 1
        );
        Ok(first)
    }

    async fn manifest(&self, image: &str) -> Result<ImageManifest> {
        let request = self.request(GetImageRequest {
            name: image.to_owned(),
        });
        let found = self.client.images().get(request).await?.into_inner();
        let target = found.image.and_then(|image| image.target);
        let target = target.with_context(|| format!("image {image} has no content"))?;
        let document = self.document(&target.digest).await?;
        let is_index =
            [MediaType::ImageIndex.as_ref(), DOCKER_INDEX].contains(&&*target.media_type);
        if !is_index {
            return Ok(serde_json::from_slice(&document)?);
        }
        let index: ImageIndex = serde_json::from_slice(&document)?;
        // A node may hold only what its pull chose, so every manifest that is not for wasm is passed over.
        let for_wasm = index.manifests().iter().find(|manifest| {
            let platform = manifest.platform().as_ref();
            platform.is_some_and(|platform| platform.architecture().to_string().starts_with("wasm"))
        });
        match for_wasm.or(index.manifests().first()) {
            Some(manifest) => {
                let document = self.document(manifest.digest().as_ref()).await?;
                Ok(serde_json::from_slice(&document)?)
            }
            None => bail!("image {image} is an index of nothing"),
        }
    }

    async fn document(&self, digest: &str) -> Result<Vec<u8>> {
        let mut document = Vec::new();
        self.read(digest, LARGEST_DOCUMENT, &mut document).await?;
        Ok(document)
    }

    /// Writes the layer's content to a file without a name.
    pub(crate) async fn fetch(&self, layer: &Descriptor) -> Result<File> {
        let memory =
            nix::sys::memfd::memfd_create(c"wasm", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
        let mut file = File::from(memory);
        self.read(layer.digest().as_ref(), layer.size(), &mut file)
            .await?;
        std::io::Seek::rewind(&mut file)?;
        Ok(file)
    }

    async fn read(&self, digest: &str, limit: u64, to: &mut impl std::io::Write) -> Result<()> {
        let request = self.request(ReadContentRequest {
            digest: digest.to_owned(),
            ..Default::default()
        });
        let failed = || format!("read {digest} from containerd");
        let mut parts = self
            .client
            .content()
            .read(request)
            .await
            .with_context(failed)?
            .into_inner();
        let mut left = limit;
        while let Some(part) = parts.message().await.with_context(failed)? {
            let length = u64::try_from(part.data.len())?;
            left = left
                .checked_sub(length)
                .with_context(|| format!("{digest} has more than {limit} bytes"))?;
            to.write_all(&part.data)?;
        }
        Ok(())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("containerd-namespace", self.namespace.clone());
        request
    }
}

/// Docker's own name of an index.
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

fn is_wasm(layer: &Descriptor) -> bool {
    WASM.contains(&layer.media_type().as_ref())
}
