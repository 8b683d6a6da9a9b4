//! The file protocol under crashes between any two file operations, and between any two bytes of a write.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is test, which clippy sees in test functions alone"
)]

mod exhaustive;
mod interleaved;
mod model;
mod observer;

use coracle_akri_protocol::{Answerer, Device, Files, Layout, Outcome, ProtocolError, Request};

/// The shared folder of every model.
const ROOT: &str = "/exchange";

fn layout() -> Layout {
    Layout::new(ROOT.as_ref())
}

fn request(id: &str, generation: u64) -> Request {
    Request {
        generation,
        details: format!("details of {id}"),
        properties: [("p".to_owned(), None)].into(),
    }
}

/// What a handler finds for `request` while the devices are in state `devices`.
fn found(request: &Request, devices: u32) -> Outcome {
    Outcome::Devices(vec![Device {
        id: format!("{} {devices}", request.details),
        ..Device::default()
    }])
}

/// One round of a handler.
fn round<F: Files>(handler: &mut Answerer<F>, devices: u32) -> Result<(), ProtocolError> {
    for (id, request) in handler.requests()? {
        let request = request?;
        handler.answer(&id, request.generation, &found(&request, devices))?;
    }
    handler.beat()
}
