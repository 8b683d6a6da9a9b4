//! Links the native programs of the harness's images statically: rustc alone can do that for single files.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for program in ["pause", "hello"] {
        let source = format!("programs/{program}.rs");
        let built = Command::new(env::var("RUSTC")?)
            .args(["--edition", "2024", "--target", &env::var("TARGET")?])
            .args([
                "-C",
                "target-feature=+crt-static",
                "-C",
                "relocation-model=static",
            ])
            .args([
                "-C",
                "opt-level=s",
                "-C",
                "panic=abort",
                "-C",
                "strip=symbols",
                "-o",
            ])
            .arg(out.join(program))
            .arg(&source)
            .status()?;
        if !built.success() {
            return Err(format!("rustc could not build {source}: {built}").into());
        }
        println!("cargo::rerun-if-changed={source}");
    }
    Ok(())
}
