//! Prints 32 random bytes of the host as hexadecimal digits.

// std offers no random bytes, and the one call of preview 1 is not worth a dependency.
#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(buffer: *mut u8, length: usize) -> u16;
}

fn main() {
    let mut bytes = [0; 32];
    // SAFETY: the host writes exactly the given length at the given address, which is this array.
    let errno = unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    assert_eq!(errno, 0, "random_get failed");
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{hex}");
}
