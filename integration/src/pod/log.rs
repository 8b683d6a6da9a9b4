//! The log files that CRI writes: one line for each piece of output, `TIME STREAM TAG TEXT`.

use crate::task::Output;

/// Standard output and standard error, put together again from the text of a CRI log.
pub(super) fn parse(log: &[u8]) -> (Output, Output) {
    let mut stdout = Vec::new();
    let mut stderr = Vec::new();
    for line in log.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let (_time, stream, tag) = (parts.next(), parts.next(), parts.next());
        let stream = match stream {
            Some(b"stdout") => &mut stdout,
            Some(b"stderr") => &mut stderr,
            _ => continue,
        };
        stream.extend_from_slice(parts.next().unwrap_or_default());
        // `P` marks a part of a line, `F` its end.
        if tag == Some(b"F") {
            stream.push(b'\n');
        }
    }
    (Output(stdout), Output(stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_line_are_joined_and_streams_kept_apart() {
        let log = b"t1 stdout P one \nt2 stderr F bad\nt3 stdout F two\nt4 stdout F \n";
        let (stdout, stderr) = parse(log);
        assert_eq!(stdout, "one two\n\n");
        assert_eq!(stderr, "bad\n");
    }
}
