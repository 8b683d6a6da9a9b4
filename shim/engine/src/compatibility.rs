//! What compiled code must have been made for to run here.

use std::env::consts::{ARCH, OS};

use crate::Engine;

/// The wasmtime that this crate is built with. Without its compiler wasmtime does not tell, so it is said
/// here, and a test compares.
const WASMTIME: &str = "48.0.8";

/// Raised whenever this crate's configuration of the engine changes in a way that changes code.
const CONFIGURATION: u32 = 1;

impl Engine {
    /// Names what compiled code must have been made for to run here: wasmtime's version, this crate's
    /// configuration of it, the machine, and the processor's features as bits. At most 64 letters, digits,
    /// `.`, `_` and `-`.
    ///
    /// The same with and without Cranelift, which decides nothing that is not in here. The processor is
    /// asked once per process.
    #[must_use]
    pub fn compatibility() -> String {
        let features = processor();
        format!("{WASMTIME}-{CONFIGURATION}-{ARCH}-{OS}-{features:05x}")
    }
}

/// Sets one bit for each feature that the processor has, in the order given.
macro_rules! bits {
    ($detect:ident: $($feature:tt),+ $(,)?) => {
        [$(std::arch::$detect!($feature)),+]
            .into_iter()
            .fold(0, |bits, has| bits << 1 | u32::from(has))
    };
}

/// The features that wasmtime asks for before it runs code on an x86-64.
#[cfg(target_arch = "x86_64")]
fn processor() -> u32 {
    bits!(is_x86_feature_detected:
        "cmpxchg16b", "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "avx", "avx2", "fma", "avxvnni",
        "bmi1", "bmi2", "avx512bitalg", "avx512dq", "avx512f", "avx512vl", "avx512vbmi", "avx512vnni",
        "lzcnt",
    )
}

/// The features that wasmtime asks for before it runs code on a 64-bit ARM.
#[cfg(target_arch = "aarch64")]
fn processor() -> u32 {
    bits!(is_aarch64_feature_detected: "lse", "paca", "fp16", "dotprod", "i8mm")
}

/// Elsewhere wasmtime's own check, when it loads the code, is the only one.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn processor() -> u32 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_can_be_one_component_of_a_path_and_does_not_change() {
        let name = Engine::compatibility();
        assert!(name.starts_with("48."), "{name}");
        assert!((1..=64).contains(&name.len()), "{name}");
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        assert!(name.bytes().all(fits), "{name}");
        assert_eq!(name, Engine::compatibility());
    }

    /// Wasmtime hashes its version, which only a build with its compiler shows.
    #[cfg(feature = "compile")]
    #[test]
    fn the_version_in_the_name_is_that_of_the_wasmtime_that_is_linked() {
        use std::hash::{Hash as _, Hasher};

        struct Heard(Vec<u8>);
        impl Hasher for Heard {
            fn finish(&self) -> u64 {
                0
            }
            fn write(&mut self, bytes: &[u8]) {
                self.0.extend(bytes);
            }
        }
        let mut heard = Heard(Vec::new());
        let engine = Engine::new().unwrap();
        engine
            .wasmtime()
            .precompile_compatibility_hash()
            .hash(&mut heard);
        // `str` hashes its bytes and then 0xff.
        let expected = [WASMTIME.as_bytes(), &[0xff]].concat();
        assert!(heard.0.windows(expected.len()).any(|w| w == expected));
    }
}
