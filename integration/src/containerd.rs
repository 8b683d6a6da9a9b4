//! containerd's gRPC services, as seen from one of its namespaces.

use std::collections::HashMap;

use anyhow::{Context, Result};
use containerd_client::Client;
use containerd_client::services::v1::{
    ApplyRequest, CreateImageRequest, CreateNamespaceRequest, CreateRequest, DeleteRequest,
    GetImageRequest, Image as Record, Namespace, UpdateImageRequest, WriteAction,
    WriteContentRequest,
    snapshots::{CommitSnapshotRequest, PrepareSnapshotRequest, StatSnapshotRequest},
};
use containerd_client::types::Descriptor;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::image::{Blob, Image};

/// One message carries at most this much; containerd takes 16 MiB.
const CHUNK: usize = 4 << 20;

/// CRI sees an image only if it has this label.
const MANAGED: (&str, &str) = ("io.cri-containerd.image", "managed");

/// containerd, seen from one namespace.
#[derive(Clone, Debug)]
pub struct Containerd {
    channel: Channel,
    namespace: &'static str,
    snapshotter: String,
}

impl Containerd {
    pub(crate) fn new(channel: Channel, namespace: &'static str, snapshotter: String) -> Self {
        Self {
            channel,
            namespace,
            snapshotter,
        }
    }

    /// The services, without a namespace.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::from(self.channel.clone())
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &'static str {
        self.namespace
    }

    /// The snapshotter that the node uses.
    #[must_use]
    pub fn snapshotter(&self) -> &str {
        &self.snapshotter
    }

    /// `message` as a request in this namespace.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert(
            "containerd-namespace",
            MetadataValue::from_static(self.namespace),
        );
        request
    }

    pub(crate) async fn create_namespace(&self) -> Result<()> {
        let namespace = Namespace {
            name: self.namespace.to_owned(),
            labels: HashMap::new(),
        };
        let request = CreateNamespaceRequest {
            namespace: Some(namespace),
        };
        unless_there(
            self.client()
                .namespaces()
                .create(self.request(request))
                .await,
        )
        .with_context(|| format!("create namespace {}", self.namespace))
    }

    /// Whether exactly `image` is stored.
    pub(crate) async fn has(&self, image: &Image) -> Result<bool> {
        let request = GetImageRequest {
            name: image.name.clone(),
        };
        match self.client().images().get(self.request(request)).await {
            Err(status) if status.code() == Code::NotFound => Ok(false),
            found => Ok(found?
                .into_inner()
                .image
                .and_then(|record| record.target)
                .is_some_and(|target| {
                    target.digest == image.manifest.descriptor.digest().to_string()
                })),
        }
    }

    /// Stores `image`, and unpacks it when it has a root file system.
    ///
    /// A lease keeps its parts from the garbage collector until the image refers to them.
    ///
    /// # Errors
    /// When containerd refuses a part of it.
    pub async fn push(&self, image: &Image) -> Result<()> {
        let lease = format!("push-{}", crate::unique());
        let create = CreateRequest {
            id: lease.clone(),
            labels: HashMap::new(),
        };
        self.client()
            .leases()
            .create(self.request(create))
            .await
            .context("create a lease")?;
        let pushed = self.push_parts(image, &lease).await;
        let delete = DeleteRequest {
            id: lease,
            sync: false,
        };
        let released = self.client().leases().delete(self.request(delete)).await;
        pushed.with_context(|| format!("push image {} to {}", image.name, self.namespace))?;
        released.context("release the lease")?;
        Ok(())
    }

    async fn push_parts(&self, image: &Image, lease: &str) -> Result<()> {
        for layer in &image.layers {
            self.write(layer, HashMap::new(), lease).await?;
        }
        let snapshot = image.chain_id().map(|chain_id| {
            let label = format!("containerd.io/gc.ref.snapshot.{}", self.snapshotter);
            (label, chain_id)
        });
        self.write(&image.config, snapshot.into_iter().collect(), lease)
            .await?;
        let children = std::iter::once(&image.config)
            .chain(&image.layers)
            .enumerate()
            .map(|(place, blob)| {
                let label = format!("containerd.io/gc.ref.content.{place}");
                (label, blob.descriptor.digest().to_string())
            })
            .collect();
        self.write(&image.manifest, children, lease).await?;
        self.unpack(image, lease).await?;
        self.record(image).await
    }

    async fn write(&self, blob: &Blob, labels: HashMap<String, String>, lease: &str) -> Result<()> {
        let digest = blob.descriptor.digest().to_string();
        let total = i64::try_from(blob.bytes.len())?;
        let mut offset = 0;
        let mut messages: Vec<WriteContentRequest> = Vec::new();
        let message = WriteContentRequest {
            action: WriteAction::Write.into(),
            r#ref: format!("{lease}-{digest}"),
            total,
            expected: digest.clone(),
            ..WriteContentRequest::default()
        };
        for chunk in blob.bytes.chunks(CHUNK) {
            messages.push(WriteContentRequest {
                offset,
                data: chunk.to_vec(),
                ..message.clone()
            });
            offset += i64::try_from(chunk.len())?;
        }
        messages.push(WriteContentRequest {
            action: WriteAction::Commit.into(),
            offset,
            labels,
            ..message
        });
        let request = self.leased(futures::stream::iter(messages), lease)?;
        let written = async {
            let mut answers = self.client().content().write(request).await?.into_inner();
            while answers.message().await?.is_some() {}
            Ok::<(), tonic::Status>(())
        };
        unless_there(written.await).with_context(|| format!("write {digest}"))
    }

    /// Makes one committed snapshot for each layer, as containerd's own client names them.
    async fn unpack(&self, image: &Image, lease: &str) -> Result<()> {
        let mut parent = String::new();
        if image.diff_ids.is_empty() {
            return Ok(());
        }
        for (layer, chain_id) in image.layers.iter().zip(image.chain()) {
            let stat = StatSnapshotRequest {
                snapshotter: self.snapshotter.clone(),
                key: chain_id.clone(),
            };
            if self
                .client()
                .snapshots()
                .stat(self.request(stat))
                .await
                .is_err()
            {
                self.unpack_layer(layer, &chain_id, &parent, lease)
                    .await
                    .with_context(|| format!("unpack {chain_id}"))?;
            }
            parent = chain_id;
        }
        Ok(())
    }

    async fn unpack_layer(
        &self,
        layer: &Blob,
        chain_id: &str,
        parent: &str,
        lease: &str,
    ) -> Result<()> {
        let key = format!("extract-{lease}-{chain_id}");
        let prepare = PrepareSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            key: key.clone(),
            parent: parent.to_owned(),
            labels: HashMap::new(),
        };
        let mounts = self
            .client()
            .snapshots()
            .prepare(self.leased(prepare, lease)?)
            .await?
            .into_inner()
            .mounts;
        let apply = ApplyRequest {
            diff: Some(descriptor(layer)?),
            mounts,
            ..ApplyRequest::default()
        };
        self.client()
            .diff()
            .apply(self.leased(apply, lease)?)
            .await?;
        let commit = CommitSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            name: chain_id.to_owned(),
            key,
            ..CommitSnapshotRequest::default()
        };
        unless_there(
            self.client()
                .snapshots()
                .commit(self.leased(commit, lease)?)
                .await,
        )?;
        Ok(())
    }

    async fn record(&self, image: &Image) -> Result<()> {
        let record = Record {
            name: image.name.clone(),
            labels: HashMap::from([(MANAGED.0.to_owned(), MANAGED.1.to_owned())]),
            target: Some(descriptor(&image.manifest)?),
            ..Record::default()
        };
        let create = CreateImageRequest {
            image: Some(record.clone()),
            ..CreateImageRequest::default()
        };
        match self.client().images().create(self.request(create)).await {
            Err(status) if status.code() == Code::AlreadyExists => {
                let update = UpdateImageRequest {
                    image: Some(record),
                    ..UpdateImageRequest::default()
                };
                self.client().images().update(self.request(update)).await?;
            }
            created => {
                created?;
            }
        }
        Ok(())
    }

    fn leased<T>(&self, message: T, lease: &str) -> Result<Request<T>> {
        let mut request = self.request(message);
        request
            .metadata_mut()
            .insert("containerd-lease", lease.parse()?);
        Ok(request)
    }
}

fn descriptor(blob: &Blob) -> Result<Descriptor> {
    Ok(Descriptor {
        media_type: blob.descriptor.media_type().to_string(),
        digest: blob.descriptor.digest().to_string(),
        size: i64::try_from(blob.descriptor.size())?,
        annotations: HashMap::new(),
    })
}

/// The result of a creation, where it does no harm if the thing is there already.
fn unless_there<T>(created: Result<T, tonic::Status>) -> Result<(), tonic::Status> {
    match created {
        Err(status) if status.code() != Code::AlreadyExists => Err(status),
        _ => Ok(()),
    }
}
