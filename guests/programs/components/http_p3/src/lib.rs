//! An HTTP server of `wasi:http/service` 0.3. `/echo` sends the request's body back, `/env/NAME` answers
//! with that environment variable (404 where it is not set), any other path with a greeting. Each request
//! is reported on stdout.

use wasip3::cli::{environment, stdout};
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_bindgen, wit_future, wit_stream};

struct Server;

wasip3::http::service::export!(Server);

impl wasip3::exports::http::handler::Guest for Server {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let (status, text) = answer(&path, request).await;
        // Before the answer, so that who has the answer finds the line.
        print(format!("handled {path}\n")).await;
        let (mut body, contents) = wit_stream::new();
        // Dropped at once, the future resolves to its default: no trailers, no error.
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(Fields::new(), Some(contents), trailers);
        response.set_status_code(status).expect("a valid status");
        // The body is read only after the response was returned.
        wit_bindgen::spawn_local(async move {
            body.write_all(text).await;
        });
        Ok(response)
    }
}

async fn answer(path: &str, request: Request) -> (u16, Vec<u8>) {
    if path == "/echo" {
        return (200, body(request).await);
    }
    let Some(name) = path.strip_prefix("/env/") else {
        return (200, b"hello from http_p3".to_vec());
    };
    let variables = environment::get_environment();
    match variables.into_iter().find(|(key, _)| key == name) {
        Some((_, value)) => (200, value.into_bytes()),
        None => (404, Vec::new()),
    }
}

async fn body(request: Request) -> Vec<u8> {
    let (_, received) = wit_future::new(|| Ok(()));
    let (contents, _trailers) = Request::consume_body(request, received);
    contents.collect().await
}

async fn print(line: String) {
    let (mut text, data) = wit_stream::new();
    wit_bindgen::spawn_local(async move {
        text.write_all(line.into_bytes()).await;
    });
    stdout::write_via_stream(data).await.expect("stdout is open");
}
