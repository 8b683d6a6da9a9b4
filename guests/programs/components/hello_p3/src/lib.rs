//! The hello of `wasi:cli/command` 0.3.

use wasip3::cli::stdout;
use wasip3::{wit_bindgen, wit_stream};

struct Hello;

wasip3::cli::command::export!(Hello);

impl wasip3::exports::cli::run::Guest for Hello {
    async fn run() -> Result<(), ()> {
        let (mut text, data) = wit_stream::new();
        wit_bindgen::spawn_local(async move {
            text.write_all(b"hello from rust p3\n".to_vec()).await;
        });
        stdout::write_via_stream(data).await.map_err(|_| ())
    }
}
