//! Prints `ready`, then sleeps for the seconds in its first argument, or for ever.

use std::io::Write;
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "ready")?;
    stdout.flush()?;
    let seconds = std::env::args().nth(1).map(|seconds| seconds.parse().expect("the seconds are a number"));
    match seconds {
        Some(seconds) => std::thread::sleep(Duration::from_secs(seconds)),
        None => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
    }
    Ok(())
}
