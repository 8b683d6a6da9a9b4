//! What a forked process tells the supervisor at its end: one message, a result.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::sys::socket::{MsgFlags, recv, send};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest message, in bytes. Longer reasons are cut.
const LONGEST: usize = 16 * 1024;

/// Longest reason, in bytes: less, because its encoding may need more.
const REASON: usize = 4 * 1024;

/// Tells how it went, and answers with the exit code of the process that tells.
pub(crate) fn tell<T: Serialize>(socket: BorrowedFd<'_>, outcome: Result<T, String>) -> i32 {
    let outcome = outcome.map_err(|reason| cut(&reason));
    let Ok(text) = serde_json::to_vec(&outcome) else {
        return 1;
    };
    let sent = send(socket.as_raw_fd(), &text, MsgFlags::MSG_NOSIGNAL);
    i32::from(sent.is_err())
}

/// As much of a reason as fits into a message.
pub(crate) fn cut(reason: &str) -> String {
    reason.chars().take(REASON / 4).collect()
}

/// Hears how it went; blocks until then.
///
/// # Errors
/// The reason that was told, or that nothing was: the process was killed.
pub(crate) fn hear<T: DeserializeOwned>(socket: BorrowedFd<'_>) -> Result<T, String> {
    let killed = || Err("the process that was to do it was killed".to_owned());
    next(socket).unwrap_or_else(killed)
}

/// The next message, or nothing when nobody can tell any more; blocks until then.
pub(crate) fn next<T: DeserializeOwned>(socket: BorrowedFd<'_>) -> Option<Result<T, String>> {
    let mut buffer = vec![0; LONGEST];
    let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty());
    match length.map(|length| buffer.get(..length).unwrap_or_default()) {
        Ok([]) => None,
        Ok(text) => Some(serde_json::from_slice(text).unwrap_or_else(|e| Err(e.to_string()))),
        Err(errno) => Some(Err(format!("cannot hear how it went: {errno}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::message;

    #[test]
    fn an_outcome_is_heard_as_it_was_told() {
        let (here, there) = message::pair().unwrap();
        assert_eq!(tell(there.as_fd(), Ok(7)), 0);
        assert_eq!(hear::<i32>(here.as_fd()), Ok(7));
        tell::<i32>(there.as_fd(), Err("why".to_owned()));
        assert_eq!(hear::<i32>(here.as_fd()), Err("why".to_owned()));
        drop(there);
        assert!(hear::<i32>(here.as_fd()).unwrap_err().contains("killed"));
    }

    #[test]
    fn a_long_reason_is_cut_and_still_heard() {
        let (here, there) = message::pair().unwrap();
        assert_eq!(tell::<()>(there.as_fd(), Err("\u{1}".repeat(1 << 20))), 0);
        let reason = hear::<()>(here.as_fd()).unwrap_err();
        assert!(reason.starts_with('\u{1}'), "{reason}");
    }
}
