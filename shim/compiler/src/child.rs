//! A started program that is followed to its end, and never outlives whoever follows it.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStderr, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A child process, ended and reaped when this is dropped.
pub(crate) struct Running {
    child: Child,
    end: OwnedFd,
    stderr: Option<ChildStderr>,
    said: Vec<u8>,
}

/// What is kept of a child's standard error.
const SAID: usize = 16 << 10;

/// How long a killed child is waited for without asking again.
const AGAIN: Duration = Duration::from_secs(3600);

impl Running {
    /// Follows this child. Its standard error is a pipe.
    pub(crate) fn follow(mut child: Child) -> io::Result<Self> {
        let end = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        match end {
            Ok(end) => Ok(Self {
                stderr: child.stderr.take(),
                child,
                end,
                said: Vec::new(),
            }),
            Err(error) => {
                end_and_reap(&mut child);
                Err(error.into())
            }
        }
    }

    /// Waits for the end until the deadline. `None` says that it passed; the child is ended then.
    pub(crate) fn wait(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.child.kill()?;
                self.child.wait()?;
                return Ok(None);
            }
            if self.happened(left)? {
                // What it said last is in the pipe by now, and nobody else can write there.
                while self.listen()? {}
                return self.child.wait().map(Some);
            }
        }
    }

    /// The start of what it wrote to standard error.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said).trim().to_owned()
    }

    /// Waits for a word or the end; answers whether it was the end.
    fn happened(&mut self, left: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(left.min(AGAIN)).map_err(io::Error::other)?;
        let mut events = vec![PollFd::new(&self.end, PollFlags::IN)];
        if let Some(stderr) = &self.stderr {
            events.push(PollFd::new(stderr, PollFlags::IN));
        }
        match poll(&mut events, Some(&timeout)) {
            Err(Errno::INTR) => return Ok(false),
            polled => polled?,
        };
        let mut happened = events.iter().map(|event| !event.revents().is_empty());
        let (ended, spoke) = (happened.next(), happened.next());
        if ended == Some(true) {
            return Ok(true);
        }
        if spoke == Some(true) {
            self.listen()?;
        }
        Ok(false)
    }

    /// Reads what is there, and forgets what is beyond [`SAID`]. Answers whether there may be more.
    fn listen(&mut self) -> io::Result<bool> {
        let Some(stderr) = &mut self.stderr else {
            return Ok(false);
        };
        let mut block = [0; 4096];
        match stderr.read(&mut block) {
            Ok(0) => {
                self.stderr = None;
                Ok(false)
            }
            Ok(read) => {
                let room = SAID.saturating_sub(self.said.len()).min(read);
                self.said.extend_from_slice(&block[..room]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end_and_reap(&mut self.child);
    }
}

/// A child that was reaped before is left alone by the standard library.
fn end_and_reap(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        log::warn!(error:% = error, pid:% = child.id(); "the compiler cannot be ended");
    }
}
