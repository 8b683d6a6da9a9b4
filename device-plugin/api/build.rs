//! Generates messages, clients and servers from the proto.

fn main() -> std::io::Result<()> {
    tonic_prost_build::configure().compile_protos(&["proto/discovery.proto"], &["proto"])
}
