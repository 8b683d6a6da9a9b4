//! The harness's own tests: what it says about runc has to be true before it may say anything about a shim.

use anyhow::Result;
use coracle_integration::{Node, native};

#[tokio::test]
async fn hello() -> Result<()> {
    let node = Node::shared().await?;
    let finished = node
        .container("hello")
        .image(&native::hello()?)
        .run()
        .await?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(finished.stdout, "hello\n");
    Ok(())
}
