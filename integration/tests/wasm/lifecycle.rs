//! Signals, and orders that come too early.

use anyhow::Result;
use coracle_integration::task::{Signal, State};

use crate::guest;

#[tokio::test]
async fn sigkill_ends_a_guest() -> Result<()> {
    let task = guest("sleep").await?.start().await?;
    task.says("ready\n").await?;
    assert_eq!(task.state().await?, State::Running);
    task.kill(Signal::SIGKILL).await?;
    assert_eq!(task.finish().await?.code, 137);
    Ok(())
}

#[tokio::test]
async fn a_guest_can_be_deleted_before_it_starts() -> Result<()> {
    let mut task = guest("hello").await?.create().await?;
    assert_eq!(task.state().await?, State::Created);
    task.delete().await?;
    assert!(task.state().await.is_err(), "the task is still there");
    assert_eq!(task.stdout(), "");
    task.remove().await
}

#[tokio::test]
async fn a_running_guest_cannot_be_deleted() -> Result<()> {
    let task = guest("sleep").await?.start().await?;
    task.says("ready\n").await?;
    task.delete().await.unwrap_err();
    assert_eq!(task.state().await?, State::Running);
    Ok(())
}
