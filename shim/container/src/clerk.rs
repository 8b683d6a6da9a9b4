//! The clerk: the throw-away process that turns a file into compiled code.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use coracle_cache::{Cache, Digest, Digests, Entry, FetchError, Origin};
use coracle_compiler::{CompileError, Compiler, Limits, Store};
use coracle_engine::{Engine, process};
use nix::unistd::Pid;
use tokio::runtime::Builder;

use crate::image::Images;
use crate::message::{Answer, Question};
use crate::spawn;

/// What a clerk needs to know of the node and of the container that it works for.
#[derive(Clone, Debug)]
pub struct Clerk {
    /// containerd's socket.
    pub containerd: String,
    /// The namespace in containerd.
    pub namespace: String,
    /// The container's name in it.
    pub id: String,
    /// The container's root file system, mounted.
    pub root: PathBuf,
    /// A folder on the file system that holds the layers of the root: an overlay shows their files with a
    /// device number of its own.
    pub layers: PathBuf,
    /// Where compiled code is kept.
    pub code: CodeCache,
}

/// Where compiled code is kept, and what makes it.
#[derive(Clone, Debug)]
pub struct CodeCache {
    /// The cache's folder. Code is mapped from it, so its file system allows execution.
    pub root: PathBuf,
    /// A folder of memory for what was found out since the node started.
    pub marks: PathBuf,
    /// The cache keeps itself below this many bytes.
    pub limit: u64,
    /// The program that compiles.
    pub compiler: PathBuf,
}

impl Default for CodeCache {
    fn default() -> Self {
        // Installed together with this program.
        let beside = std::env::current_exe().map(|this| this.with_file_name("coracle-compile"));
        Self {
            root: "/var/lib/coracle/cache".into(),
            marks: "/run/coracle".into(),
            limit: 8 << 30,
            compiler: beside.unwrap_or_else(|_| "coracle-compile".into()),
        }
    }
}

/// Forks a clerk that answers what the container on the other side of `questions` asks, and returns at
/// once. A clerk ends when nobody can ask it any more.
///
/// # Errors
/// When the kernel has no process to give.
///
/// The calling process must have one thread and a handler that reaps its children.
pub fn answer(questions: &OwnedFd, clerk: &Clerk) -> io::Result<Pid> {
    spawn::fork(&[questions.as_raw_fd()], || {
        match clerk.serve(questions) {
            Ok(()) => 0,
            // The container is gone, or says what nobody understands: nobody is there to be told.
            Err(_) => 1,
        }
    })
}

impl Clerk {
    fn serve(&self, questions: &OwnedFd) -> io::Result<()> {
        while let Some(question) = Question::receive(questions.as_fd())? {
            let answer = self
                .consider(question)
                .unwrap_or_else(|error| Answer::Refused {
                    code: process::CANNOT_HOST,
                    reason: format!("{error:#}"),
                });
            answer.send(questions.as_fd())?;
        }
        Ok(())
    }

    fn consider(&self, question: Question) -> Result<Answer> {
        match question {
            Question::File { name, file } => self.file(name, &File::from(file)),
            Question::Layer => self.layer(),
        }
    }

    fn file(&self, name: String, file: &File) -> Result<Answer> {
        let origin = self.origin(file)?;
        answer_of(name, self.store()?.entry(file, origin))
    }

    /// Whether the file lies in the image, or where somebody may write.
    fn origin(&self, file: &File) -> Result<Origin> {
        let seen = |path: &Path| {
            path.metadata()
                .with_context(|| format!("look at {}", path.display()))
        };
        let is_of_image = file.metadata()?.dev() == seen(&self.root)?.dev();
        Ok(if is_of_image {
            let device = seen(&self.layers)?.dev();
            Origin::Layer { device }
        } else {
            Origin::Elsewhere
        })
    }

    fn layer(&self) -> Result<Answer> {
        // The clerk is a process of its own and has no runtime yet.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let images = runtime.block_on(Images::connect(&self.containerd, &self.namespace))?;
        let Some(layer) = runtime.block_on(images.wasm_layer(&self.id))? else {
            return Ok(Answer::NoLayer);
        };
        let name = layer.digest().to_string();
        let digest = name.strip_prefix("sha256:").and_then(Digest::parse);
        let digest =
            digest.with_context(|| format!("layer {name}: accepted are digests of kind sha256"))?;
        let name = format!("layer {name}");
        // The content's name is its digest, so what is compiled need not be looked at again.
        if let Some(entry) = self.cache()?.find(&digest)? {
            return answer_of(name, Ok(entry));
        }
        let wasm = runtime.block_on(images.fetch(&layer))?;
        answer_of(name, self.store()?.entry(&wasm, Origin::Elsewhere))
    }

    fn cache(&self) -> Result<Cache> {
        let CodeCache {
            root, marks, limit, ..
        } = &self.code;
        Ok(Cache::open(root, marks, &Engine::compatibility(), *limit)?)
    }

    fn store(&self) -> Result<Store> {
        let CodeCache {
            marks, compiler, ..
        } = &self.code;
        let compiler = Compiler::new(compiler, &Engine::compatibility(), Limits::default());
        Ok(Store::new(self.cache()?, Digests::open(marks)?, compiler))
    }
}

/// What the container is told of a fetch.
fn answer_of(name: String, fetched: Result<Entry, FetchError<CompileError>>) -> Result<Answer> {
    match fetched {
        Ok(entry) => Ok(Answer::Compiled {
            name,
            code: entry.into_file().into(),
        }),
        Err(FetchError::Compile(error)) if error.is_about_the_module() => Ok(Answer::Refused {
            code: process::CANNOT_RUN,
            reason: format!("{name}: {:#}", anyhow::Error::from(error)),
        }),
        Err(FetchError::Compile(error)) => Err(anyhow::Error::from(error).context(name)),
        Err(FetchError::Shared { reason }) => Ok(Answer::Refused {
            code: process::CANNOT_RUN,
            reason: format!("{name}: {reason}"),
        }),
        Err(FetchError::Cache(error)) => Err(error.into()),
    }
}
