//! What a program has to be to run in an image that holds nothing else, and on whatever node: static.

use anyhow::{Result, bail, ensure};

/// The architectures that programs are built for: as OCI calls them, and their number in an ELF file.
const MACHINES: [(&str, u16); 2] = [("amd64", 62), ("arm64", 183)];

/// The type of the program header that names a dynamic loader.
const INTERPRETER: u32 = 3;

/// Checks that `bytes` are a program for `architecture`, as OCI names it, that needs no dynamic loader.
///
/// # Errors
/// When they are not: says what they are instead.
pub fn is_static(bytes: &[u8], architecture: &str) -> Result<()> {
    ensure!(
        bytes.starts_with(b"\x7fELF\x02\x01"),
        "no 64-bit little-endian ELF file"
    );
    let machine = number(bytes, 18, 2)?;
    let name = MACHINES
        .iter()
        .find(|(_, number)| u64::from(*number) == machine);
    match name {
        Some((found, _)) if *found == architecture => {}
        Some((found, _)) => bail!("a program for {found}; accepted: {architecture}"),
        None => bail!("a program for ELF machine {machine}; accepted: {architecture}"),
    }
    let (table, size, count) = (
        number(bytes, 32, 8)?,
        number(bytes, 54, 2)?,
        number(bytes, 56, 2)?,
    );
    for header in 0..count {
        let kind = number(bytes, usize::try_from(table + header * size)?, 4)?;
        ensure!(
            kind != u64::from(INTERPRETER),
            "dynamically linked: on a node, or in an image without libraries, it may not start"
        );
    }
    Ok(())
}

fn number(bytes: &[u8], offset: usize, size: usize) -> Result<u64> {
    let Some(field) = bytes.get(offset..offset + size) else {
        bail!("cut off at byte {offset}");
    };
    Ok(field
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a program with one program header.
    fn program(machine: u16, header: u32) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(68, 0);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64..68].copy_from_slice(&header.to_le_bytes());
        bytes
    }

    fn refused(bytes: &[u8]) -> String {
        is_static(bytes, "amd64").unwrap_err().to_string()
    }

    #[test]
    fn only_static_programs_of_the_platform_are_accepted() {
        is_static(&program(62, 1), "amd64").unwrap();
        is_static(&program(183, 1), "arm64").unwrap();
        assert!(refused(&program(62, INTERPRETER)).starts_with("dynamically linked"));
        assert_eq!(
            refused(&program(183, 1)),
            "a program for arm64; accepted: amd64"
        );
        assert_eq!(
            refused(&program(8, 1)),
            "a program for ELF machine 8; accepted: amd64"
        );
        assert_eq!(refused(b"#!/bin/sh"), "no 64-bit little-endian ELF file");
        assert_eq!(refused(&program(62, 1)[..60]), "cut off at byte 64");
    }

    #[test]
    fn this_test_itself_is_dynamically_linked() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let found = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "amd64"
        };
        let refused = is_static(&own, found).unwrap_err().to_string();
        assert!(refused.starts_with("dynamically linked"), "{refused}");
    }
}
