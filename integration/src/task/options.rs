//! What a shim is told when it creates a container: here, that systemd makes the cgroup.

use prost_types::Any;

use super::Runtime;
use crate::node::Driver;

/// The options of `runtime` on a node with `driver`; none, where there is nothing to say.
pub(super) fn of(runtime: &Runtime, driver: Driver) -> Option<Any> {
    match (driver, runtime) {
        (Driver::Cgroupfs, _) | (_, Runtime::Other(_)) => None,
        (Driver::Systemd, Runtime::Runc) => Some(Any {
            type_url: "containerd.runc.v1.Options".to_owned(),
            // bool systemd_cgroup = 9
            value: vec![9 << 3, 1],
        }),
        (Driver::Systemd, Runtime::Coracle) => Some(Any {
            type_url: "runtimeoptions.v1.Options".to_owned(),
            value: text_options("SystemdCgroup = true"),
        }),
    }
}

/// `string config_body = 3`: two bytes and the text, as long as that is shorter than 128 bytes.
fn text_options(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    let mut message = vec![3 << 3 | 2, length];
    message.extend(text.as_bytes());
    message
}
