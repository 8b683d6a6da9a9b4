//! The system's D-Bus, without a thread: one call after the other, each with a deadline.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use zvariant::{DynamicType, OwnedObjectPath};

use super::message::{self, ANSWER, Message, REFUSAL, Target};

const SOCKET: &str = "/run/dbus/system_bus_socket";

const BUS: Target = Target {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

const MANAGER: Target = Target {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};

const JOB_REMOVED: &str = "JobRemoved";

/// systemd cannot be asked, or refuses.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// There is no D-Bus.
    #[error("cannot connect to D-Bus at {SOCKET}, which a cgroupsPath of systemd's form needs")]
    Connect(#[source] io::Error),
    /// D-Bus does not let this process in.
    #[error("D-Bus does not accept this user: {answer:?}")]
    Authentication {
        /// What it said instead of `OK`.
        answer: String,
    },
    /// The connection broke, or an answer did not come in time.
    #[error("the connection to D-Bus failed")]
    Connection(#[from] io::Error),
    /// A message that is none.
    #[error("a message of D-Bus is not understood")]
    Message(#[from] zvariant::Error),
    /// A call failed.
    #[error("systemd refuses {call}: {message} ({name})")]
    Refused {
        /// The method.
        call: &'static str,
        /// The error's name.
        name: String,
        /// What it says.
        message: String,
    },
    /// A job ended otherwise than well.
    #[error("the job for unit {unit} ended as {result:?}: accepted is \"done\"")]
    Job {
        /// The unit.
        unit: String,
        /// systemd's word for it.
        result: String,
    },
}

/// A connection that hears of the end of jobs.
pub(super) struct Bus {
    stream: UnixStream,
    deadline: Instant,
    serial: u32,
    /// Jobs that have ended: path and result.
    ended: Vec<(String, String)>,
}

impl Bus {
    /// Connects, with this time for all that is asked.
    pub(super) fn connect(patience: Duration) -> Result<Self, BusError> {
        let stream = UnixStream::connect(SOCKET).map_err(BusError::Connect)?;
        stream.set_write_timeout(Some(patience))?;
        let mut bus = Self {
            stream,
            deadline: Instant::now() + patience,
            serial: 0,
            ended: Vec::new(),
        };
        bus.authenticate()?;
        bus.ask(&BUS, "Hello", &())?;
        let rule = format!(
            "type='signal',sender='{}',path='{}',interface='{}',member='{JOB_REMOVED}'",
            MANAGER.destination, MANAGER.path, MANAGER.interface
        );
        bus.ask(&BUS, "AddMatch", &(rule,))?;
        Ok(bus)
    }

    /// Calls systemd, for the effect.
    pub(super) fn call<B>(&mut self, member: &'static str, body: &B) -> Result<(), BusError>
    where
        B: serde::Serialize + DynamicType,
    {
        self.ask(&MANAGER, member, body).map(drop)
    }

    /// Calls a method of systemd that begins a job, and answers with its path.
    pub(super) fn start_job<B>(
        &mut self,
        member: &'static str,
        body: &B,
    ) -> Result<String, BusError>
    where
        B: serde::Serialize + DynamicType,
    {
        let answer = self.ask(&MANAGER, member, body)?;
        let ((path,), _): ((OwnedObjectPath,), usize) = answer.body().deserialize()?;
        Ok(path.as_str().to_owned())
    }

    /// Waits until a job has ended, and accepts one that did so well.
    pub(super) fn wait_for_job(&mut self, unit: &str, job: &str) -> Result<(), BusError> {
        loop {
            let found = self.ended.iter().position(|(path, _)| path == job);
            if let Some(at) = found {
                let (_, result) = self.ended.swap_remove(at);
                return match result.as_str() {
                    "done" => Ok(()),
                    _ => Err(BusError::Job {
                        unit: unit.to_owned(),
                        result,
                    }),
                };
            }
            let message = self.receive()?;
            self.note(&message)?;
        }
    }

    /// The user is known to the socket; it has to be said all the same.
    fn authenticate(&mut self) -> Result<(), BusError> {
        let user = nix::unistd::geteuid().to_string();
        let digits: String = user.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.stream
            .write_all(format!("\0AUTH EXTERNAL {digits}\r\n").as_bytes())?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n") && answer.len() < 512 {
            self.wait()?.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        if !answer.starts_with(b"OK ") {
            return Err(BusError::Authentication {
                answer: String::from_utf8_lossy(&answer).trim().to_owned(),
            });
        }
        Ok(self.stream.write_all(b"BEGIN\r\n")?)
    }

    fn ask<B>(&mut self, target: &Target, call: &'static str, body: &B) -> Result<Message, BusError>
    where
        B: serde::Serialize + DynamicType,
    {
        self.serial += 1;
        let message = message::call(target, call, self.serial, body)?;
        self.stream.write_all(&message)?;
        loop {
            let message = self.receive()?;
            match message.kind {
                ANSWER if message.answered == self.serial => return Ok(message),
                REFUSAL if message.answered == self.serial => {
                    return Err(refusal(call, &message));
                }
                _ => self.note(&message)?,
            }
        }
    }

    fn receive(&mut self) -> Result<Message, BusError> {
        Message::read(self.wait()?)
    }

    /// The stream, with what is left of the time.
    fn wait(&self) -> Result<&UnixStream, BusError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        self.stream.set_read_timeout(Some(left))?;
        Ok(&self.stream)
    }

    /// Keeps the end of a job, which can be told before the call that began it is answered.
    fn note(&mut self, message: &Message) -> Result<(), BusError> {
        if message.member == JOB_REMOVED {
            type Ended = (u32, OwnedObjectPath, String, String);
            let ((_, path, _, result), _): (Ended, usize) = message.body().deserialize()?;
            self.ended.push((path.as_str().to_owned(), result));
        }
        Ok(())
    }
}

fn refusal(call: &'static str, message: &Message) -> BusError {
    let text: Result<((String,), usize), _> = message.body().deserialize();
    BusError::Refused {
        call,
        name: message.error.clone(),
        // An error need not say more than its name.
        message: text.map_or_else(|_| String::new(), |((text,), _)| text),
    }
}
