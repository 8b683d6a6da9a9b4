//! Lists the directory given as its first argument, sorted, one name a line.

use std::process::ExitCode;

fn names(path: &str) -> std::io::Result<Vec<String>> {
    let mut names = std::fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<String>>>()?;
    names.sort();
    Ok(names)
}

fn main() -> ExitCode {
    let path = std::env::args().nth(1).expect("usage: read_dir PATH");
    match names(&path) {
        Ok(names) => {
            names.iter().for_each(|name| println!("{name}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}
