//! Runs compiled code from its file, and says what that took. Built with `--no-default-features` it has no
//! compiler in it, as a container's process has none:
//!
//! ```sh
//! coracle-compile --compatibility "$(coracle-compile)" < app.wasm > app.cwasm
//! cargo run -p coracle-engine --no-default-features --example mapped -- app.cwasm
//! ```

#![expect(clippy::print_stderr, reason = "a program for people")]

use std::error::Error;
use std::fs::{self, File};
use std::process::ExitCode;
use std::time::Instant;

use coracle_engine::{End, Engine, Grants, Output, Program, Stop};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("name a file of compiled code")?;
    let start = Instant::now();
    let compatibility = Engine::compatibility();
    eprintln!("{compatibility}, said after {:?}", start.elapsed());
    memory("before the engine")?;
    let start = Instant::now();
    let engine = Engine::new()?;
    eprintln!("engine after {:?}", start.elapsed());
    memory("with the engine")?;
    let start = Instant::now();
    let program = load(&engine, &File::open(path)?)?;
    eprintln!("{} after {:?}", program.world(), start.elapsed());
    memory("with the program")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let grants = Grants {
        args: vec!["app.wasm".to_owned()],
        stdout: Output::Inherit,
        stderr: Output::Inherit,
        ..Grants::default()
    };
    let start = Instant::now();
    let end = runtime.block_on(program.run(grants, Stop::new()))?;
    eprintln!("ended after {:?}", start.elapsed());
    memory("at the end")?;
    if let End::Trapped { report } = &end {
        eprintln!("{report}");
    }
    Ok(end.exit_code().into())
}

#[expect(unsafe_code, reason = "whoever names the file vouches for it")]
fn load(engine: &Engine, file: &File) -> Result<Program, coracle_engine::LoadError> {
    // SAFETY: the file is what `coracle-compile` wrote, and nobody writes it while this runs: that is what
    // this program asks of its user.
    unsafe { Program::from_compiled(engine, file, None) }
}

fn memory(when: &str) -> Result<(), Box<dyn Error>> {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup")?;
    let figures = rollup.lines().filter(|line| {
        ["Rss:", "Pss:", "Private_Dirty:"]
            .iter()
            .any(|name| line.starts_with(name))
    });
    let words: Vec<_> = figures
        .flat_map(|line| line.split_whitespace().map(str::to_owned))
        .collect();
    eprintln!("{when}: {}", words.join(" "));
    Ok(())
}
