//! A broker in wasm, for examples and tests: prints the environment that the Agent gave it, and stays.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

fn main() -> io::Result<()> {
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    for (name, value) in variables {
        writeln!(io::stdout(), "{name}={value}")?;
    }
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}
