//! What is measured, side by side.

use std::time::Instant;

use anyhow::{Result, ensure};
use coracle_integration::task::Runtime;
use coracle_integration::{Image, Node, native};

use crate::guest;

/// A runtime, and the hello that it runs.
pub(crate) struct Contender {
    pub(crate) name: String,
    runtime: Runtime,
    /// The handler in containerd's configuration, for pods.
    image: Image,
    /// What hello writes; the null shim runs nothing.
    writes: &'static str,
}

/// The base line: the same engine on containerd-shim-wasm's own host.
const RUNWASI: &str = "io.containerd.coracle-runwasi.v1";

/// The floor: a shim that makes no container.
const NULL: &str = "io.containerd.coracle-null.v1";

const WASM: &str = "hello from rust\n";

impl Contender {
    /// The floor, runc, the base line, this shim, and whatever else is installed.
    pub(crate) fn all(also: &[String]) -> Result<Vec<Self>> {
        let hello = guest("hello")?;
        let mut all = vec![
            Self::new("null shim", other(NULL), hello.clone(), ""),
            Self::new("runc, native", Runtime::Runc, native::hello()?, "hello\n"),
            Self::new("runwasi host", other(RUNWASI), hello.clone(), WASM),
            Self::new("coracle", Runtime::Coracle, hello.clone(), WASM),
        ];
        all.extend(
            also.iter()
                .map(|name| Self::new(name, other(name), hello.clone(), WASM)),
        );
        Ok(all)
    }

    fn new(name: &str, runtime: Runtime, image: Image, writes: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            runtime,
            image,
            writes,
        }
    }

    /// This one, but with another image.
    pub(crate) fn with(&self, name: &str, image: Image, writes: &'static str) -> Self {
        Self::new(name, self.runtime.clone(), image, writes)
    }

    /// One life of hello, from the order to create it to its removal, in milliseconds.
    pub(crate) async fn run(&self, node: &Node) -> Result<f64> {
        let begun = Instant::now();
        let container = node.container("bench").image(&self.image);
        let finished = container.runtime(self.runtime.clone()).run().await?;
        let took = begun.elapsed().as_secs_f64() * 1000.0;
        ensure!(
            finished.code == 0 && finished.stdout == self.writes,
            "{} said {finished:?}",
            self.name
        );
        Ok(took)
    }
}

fn other(name: &str) -> Runtime {
    Runtime::Other(name.to_owned())
}
