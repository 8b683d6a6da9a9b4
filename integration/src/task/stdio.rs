//! A container's standard streams: FIFOs, as containerd's own client makes them.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What a container wrote to one stream. Compares with text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Output(pub Vec<u8>);

impl Output {
    /// The bytes as text, with a replacement for what is not UTF-8.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// Whether `text` is in there.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        self.text().contains(text)
    }
}

impl PartialEq<str> for Output {
    fn eq(&self, text: &str) -> bool {
        self.0 == text.as_bytes()
    }
}

impl PartialEq<&str> for Output {
    fn eq(&self, text: &&str) -> bool {
        self == *text
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text(), f)
    }
}

/// The three streams of a container.
#[derive(Debug)]
pub(super) struct Stdio {
    folder: PathBuf,
    stdin: Option<Sender>,
    pub(super) stdout: Reader,
    pub(super) stderr: Reader,
}

impl Stdio {
    pub(super) fn open(executor: &Handle, folder: &Path, with_stdin: bool) -> Result<Self> {
        let _context = executor.enter();
        let stdin = if with_stdin {
            let path = folder.join("stdin");
            mkfifo(&path, Mode::S_IRWXU)?;
            // Also open for reading, so that it can be opened before the shim has its end.
            Some(OpenOptions::new().read_write(true).open_sender(&path)?)
        } else {
            None
        };
        Ok(Self {
            folder: folder.to_owned(),
            stdin,
            stdout: Reader::open(executor, &folder.join("stdout"))?,
            stderr: Reader::open(executor, &folder.join("stderr"))?,
        })
    }

    pub(super) fn stdin_path(&self) -> String {
        match self.stdin {
            Some(_) => self.path("stdin"),
            None => String::new(),
        }
    }

    pub(super) fn stdout_path(&self) -> String {
        self.path("stdout")
    }

    pub(super) fn stderr_path(&self) -> String {
        self.path("stderr")
    }

    fn path(&self, stream: &str) -> String {
        self.folder.join(stream).to_string_lossy().into_owned()
    }

    /// Writes all of `bytes` to the container, and closes the stream.
    ///
    /// In the background, because a pipe takes 64 KiB before the container has to read; `closed` runs after it.
    pub(super) fn feed(
        &mut self,
        executor: &Handle,
        bytes: Vec<u8>,
        closed: impl Future<Output = ()> + Send + 'static,
    ) {
        if let Some(mut stdin) = self.stdin.take() {
            executor.spawn(async move {
                if let Err(error) = stdin.write_all(&bytes).await {
                    log::warn!("standard input was not read to its end: {error}");
                }
                drop(stdin);
                closed.await;
            });
        }
    }

    /// Removes the FIFOs and leaves what came out of them in their place, for who looks at the logs.
    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)?;
        if std::thread::panicking() {
            fs::create_dir_all(&self.folder)?;
            fs::write(self.folder.with_extension("stdout"), self.stdout.so_far().0)?;
            fs::write(self.folder.with_extension("stderr"), self.stderr.so_far().0)?;
        }
        Ok(())
    }
}

/// Collects what comes out of one stream.
#[derive(Debug)]
pub(super) struct Reader {
    collected: Arc<Mutex<Vec<u8>>>,
    changed: Arc<Notify>,
    /// A writing end of ours: without any writer, a FIFO is at its end before the shim has opened it.
    held: Option<File>,
    end: Option<JoinHandle<io::Result<()>>>,
}

impl Reader {
    fn open(executor: &Handle, path: &Path) -> Result<Self> {
        mkfifo(path, Mode::S_IRWXU)?;
        let receiver = OpenOptions::new().open_receiver(path)?;
        let held = File::options()
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)?;
        let collected = Arc::default();
        let changed = Arc::default();
        let end = executor.spawn(collect(
            receiver,
            Arc::clone(&collected),
            Arc::clone(&changed),
        ));
        Ok(Self {
            collected,
            changed,
            held: Some(held),
            end: Some(end),
        })
    }

    pub(super) fn so_far(&self) -> Output {
        Output(
            self.collected
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }

    /// Waits until `text` has come.
    pub(super) async fn until(&self, text: &str) {
        loop {
            let changed = self.changed.notified();
            if self.so_far().contains(text) {
                return;
            }
            changed.await;
        }
    }

    /// Everything, once the shim has closed its end. To be called after the container's exit.
    pub(super) async fn all(&mut self) -> Result<Output> {
        drop(self.held.take());
        if let Some(end) = self.end.take() {
            end.await?.context("read a container's output")?;
        }
        Ok(self.so_far())
    }
}

async fn collect(
    mut receiver: Receiver,
    collected: Arc<Mutex<Vec<u8>>>,
    changed: Arc<Notify>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = receiver.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        collected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(buffer.get(..count).unwrap_or_default());
        changed.notify_one();
    }
}
