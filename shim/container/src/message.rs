//! What a container's first process and the clerk say to each other, over a socket that keeps messages
//! apart. A message may carry one open file.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    recvmsg, sendmsg, socketpair,
};

use crate::spawn;

/// What is to be run, as the container's first process found it.
#[derive(Debug)]
pub(crate) enum Question {
    /// A file that is no native program. Its name is for messages.
    File { name: String, file: OwnedFd },
    /// The command names no file: perhaps the image is a module itself.
    Layer,
}

/// What the clerk found for it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Compiled code. The name is for messages: the file's, or the layer's digest.
    Compiled { name: String, code: OwnedFd },
    /// The image has no wasm layers.
    NoLayer,
    /// It cannot be run.
    Refused { code: u8, reason: String },
}

/// Longest text in a message, in bytes. Longer ones are cut.
const TEXT: usize = 16 * 1024;

/// A pair of connected sockets.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    );
    Ok(pair?)
}

impl Question {
    pub(crate) fn send(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        match self {
            Self::File { name, file } => send(socket, b'F', 0, name, Some(file.as_raw_fd())),
            Self::Layer => send(socket, b'L', 0, "", None),
        }
    }

    /// The next question, or nothing when nobody can ask any more.
    pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let Some(message) = receive(socket)? else {
            return Ok(None);
        };
        match (message.kind, message.file) {
            (b'F', Some(file)) => Ok(Some(Self::File {
                name: message.text,
                file,
            })),
            (b'L', None) => Ok(Some(Self::Layer)),
            (kind, _) => Err(unknown(kind)),
        }
    }
}

impl Answer {
    pub(crate) fn send(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        match self {
            Self::Compiled { name, code } => send(socket, b'C', 0, name, Some(code.as_raw_fd())),
            Self::NoLayer => send(socket, b'N', 0, "", None),
            Self::Refused { code, reason } => send(socket, b'R', *code, reason, None),
        }
    }

    pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let message = receive(socket)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        match (message.kind, message.file) {
            (b'C', Some(code)) => Ok(Self::Compiled {
                name: message.text,
                code,
            }),
            (b'N', None) => Ok(Self::NoLayer),
            (b'R', None) => Ok(Self::Refused {
                code: message.code,
                reason: message.text,
            }),
            (kind, _) => Err(unknown(kind)),
        }
    }
}

fn unknown(kind: u8) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a message of unknown kind {kind:#04x}"),
    )
}

/// Takes the open file that the other side of a socket has sent.
///
/// # Errors
/// What the kernel says, or that no file came.
pub fn receive_file(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let message = receive(socket)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    message.file.ok_or_else(|| unknown(message.kind))
}

struct Message {
    kind: u8,
    code: u8,
    text: String,
    file: Option<OwnedFd>,
}

fn send(
    socket: BorrowedFd<'_>,
    kind: u8,
    code: u8,
    text: &str,
    file: Option<RawFd>,
) -> io::Result<()> {
    let text = text.as_bytes();
    let text = text.get(..TEXT).unwrap_or(text);
    let head = [kind, code];
    let parts = [IoSlice::new(&head), IoSlice::new(text)];
    let files = file.map(|file| [file]);
    let control: Vec<_> = files.iter().map(|f| ControlMessage::ScmRights(f)).collect();
    sendmsg::<UnixAddr>(
        socket.as_raw_fd(),
        &parts,
        &control,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(())
}

fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    let mut buffer = vec![0; 2 + TEXT];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let (length, file) = {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let received = loop {
            match recvmsg::<UnixAddr>(
                socket.as_raw_fd(),
                &mut parts,
                Some(&mut space),
                MsgFlags::MSG_CMSG_CLOEXEC,
            ) {
                Err(nix::errno::Errno::EINTR) => {}
                received => break received?,
            }
        };
        let mut file = None;
        for control in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(files) = control {
                file = files.first().map(|fd| spawn::inherited(*fd));
            }
        }
        (received.bytes, file)
    };
    let Some([kind, code, text @ ..]) = buffer.get(..length) else {
        return Ok(None);
    };
    Ok(Some(Message {
        kind: *kind,
        code: *code,
        text: String::from_utf8_lossy(text).into_owned(),
        file,
    }))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_file_travels_with_its_name() {
        let (here, there) = pair().unwrap();
        let file = File::open("/proc/self/stat").unwrap();
        let question = Question::File {
            name: "/app.wasm".to_owned(),
            file: file.into(),
        };
        question.send(here.as_fd()).unwrap();
        let Some(Question::File { name, file }) = Question::receive(there.as_fd()).unwrap() else {
            panic!("no file arrived");
        };
        let mut content = String::new();
        File::from(file).read_to_string(&mut content).unwrap();
        assert_eq!(name, "/app.wasm");
        assert!(content.starts_with(&std::process::id().to_string()));
    }

    #[test]
    fn a_closed_socket_asks_nothing_and_answers_an_error() {
        let (here, there) = pair().unwrap();
        drop(here);
        assert!(Question::receive(there.as_fd()).unwrap().is_none());
        let error = Answer::receive(there.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_refusal_keeps_its_code_and_reason() {
        let (here, there) = pair().unwrap();
        let refused = Answer::Refused {
            code: 126,
            reason: "not wasm".to_owned(),
        };
        refused.send(here.as_fd()).unwrap();
        let Answer::Refused { code, reason } = Answer::receive(there.as_fd()).unwrap() else {
            panic!("no refusal arrived");
        };
        assert_eq!((code, reason.as_str()), (126, "not wasm"));
    }
}
