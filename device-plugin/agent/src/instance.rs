//! The names that the Agent gives to devices.

use std::fmt::Write as _;

use blake2::digest::consts::U3;
use blake2::{Blake2b, Digest as _};

/// Six hexadecimal digits that tell a device from others: of its id alone where nodes share it, else of its id and the
/// node's name.
#[must_use]
pub fn instance_hash(id: &str, local_to: Option<&str>) -> String {
    let mut hash = Blake2b::<U3>::new();
    hash.update(id);
    hash.update(local_to.unwrap_or_default());
    let mut hex = String::new();
    for byte in hash.finalize() {
        // A string takes all that is written.
        let _infallible = write!(hex, "{byte:02x}");
    }
    hex
}

/// The name of the Instance of a device.
#[must_use]
pub fn instance_name(configuration: &str, id: &str, local_to: Option<&str>) -> String {
    format!("{configuration}-{}", instance_hash(id, local_to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_foo0_is_8120fe() {
        assert_eq!(instance_hash("foo0", None), "8120fe");
        assert_eq!(
            instance_name("akri-debug-echo", "foo0", None),
            "akri-debug-echo-8120fe"
        );
    }

    /// The first experiment's name for the same device.
    #[test]
    fn quotes_make_another_instance() {
        assert_eq!(instance_hash("\"foo0\"", None), "aae70c");
    }

    /// The values of the real Agent's own test.
    #[test]
    fn a_local_device_is_another_on_each_node() {
        assert_eq!(instance_hash("my_local_device", Some("my_node")), "e77db4");
        assert_eq!(
            instance_hash("my_local_device", Some("my_other_node")),
            "099763"
        );
        assert_eq!(instance_hash("my_shared_device", None), "4294ea");
    }
}
