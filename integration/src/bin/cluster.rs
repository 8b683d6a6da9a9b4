//! `cargo xtask cluster`: a Kubernetes of one node for people; see `coracle_integration::cluster::hand`.

use std::io::{self, Write};

use anyhow::{Result, bail};
use coracle_integration::cluster::hand;
use coracle_integration::cluster::programs::{self, Programs};
use coracle_integration::node::process;

fn main() -> Result<()> {
    if let Some(ended) = process::requested() {
        return ended;
    }
    env_logger::init();
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["missing"] => {
            write!(io::stdout(), "{}", programs::missing().unwrap_or_default())?;
            Ok(())
        }
        ["build"] => Programs::ready().map(drop),
        ["up"] => {
            hand::up()?;
            writeln!(io::stdout(), "{}", hand::usage())?;
            Ok(())
        }
        [hand::HOLD] => tokio::runtime::Runtime::new()?.block_on(hand::hold()),
        ["down"] => hand::down(),
        ["status"] => hand::status(),
        ["kubectl", ..] => hand::kubectl(words.get(1..).unwrap_or_default()),
        ["helm", ..] => hand::helm(words.get(1..).unwrap_or_default()),
        _ => bail!("this program is started by `cargo xtask cluster`"),
    }
}
