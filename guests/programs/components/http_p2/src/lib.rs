//! An HTTP server of `wasi:http/proxy` 0.2. `/echo` sends the request's body back, `/env/NAME` answers with
//! that environment variable (404 where it is not set), any other path with a greeting. Each request is
//! reported on stdout.

use std::io::{Read, Write};

use wasip2::cli::{environment, stdout};
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Server;

wasip2::http::proxy::export!(Server);

impl wasip2::exports::http::incoming_handler::Guest for Server {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let (status, text) = answer(&path, request);
        // Before the answer, so that who has the answer finds the line.
        writeln!(stdout::get_stdout(), "handled {path}").expect("stdout is open");
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(status).expect("a valid status");
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let mut stream = body.write().expect("the stream is taken once");
        stream.write_all(&text).expect("the client reads on");
        // A body can only be finished when its stream is gone.
        drop(stream);
        OutgoingBody::finish(body, None).expect("the body is complete");
    }
}

fn answer(path: &str, request: IncomingRequest) -> (u16, Vec<u8>) {
    if path == "/echo" {
        return (200, body(&request));
    }
    let Some(name) = path.strip_prefix("/env/") else {
        return (200, b"hello from http_p2".to_vec());
    };
    let variables = environment::get_environment();
    match variables.into_iter().find(|(key, _)| key == name) {
        Some((_, value)) => (200, value.into_bytes()),
        None => (404, Vec::new()),
    }
}

fn body(request: &IncomingRequest) -> Vec<u8> {
    let body = request.consume().expect("the body is taken once");
    let mut bytes = Vec::new();
    let mut stream = body.stream().expect("the stream is taken once");
    stream.read_to_end(&mut bytes).expect("the client sends on");
    bytes
}
