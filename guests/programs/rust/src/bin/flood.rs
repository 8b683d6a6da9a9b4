//! Writes as many bytes as its first argument says. The bytes are the lines 0, 1, 2, …, each the line's
//! number in 63 zero-padded hexadecimal digits and a newline, so that a reader can tell a lost byte from
//! a repeated or a misplaced one; the last line is cut off where the bytes end.

use std::io::Write;

const LINE: usize = 64;
const LINES_AT_ONCE: usize = 1024;

fn main() -> std::io::Result<()> {
    let wanted = std::env::args().nth(1).expect("usage: flood BYTES");
    let mut left: usize = wanted.parse().expect("the bytes are a number");
    let mut stdout = std::io::stdout().lock();
    let mut buffer = Vec::with_capacity(LINE * LINES_AT_ONCE);
    let mut line = 0;
    while left > 0 {
        buffer.clear();
        for _ in 0..LINES_AT_ONCE {
            writeln!(buffer, "{line:063x}")?;
            line += 1;
        }
        buffer.truncate(left);
        stdout.write_all(&buffer)?;
        left -= buffer.len();
    }
    stdout.flush()
}
