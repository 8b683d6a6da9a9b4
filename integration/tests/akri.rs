//! Akri's discovery through all the real parts: the mock Agent, the proxy as a native container, the file protocol, and
//! the handler as a wasm container of the same pod.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::Result;
use coracle_akri_agent::instance_hash;
use coracle_akri_harness::{HANDLER, PROXY, Plugin};
use coracle_integration::Node;

/// How long anything may take; the machine may be busy.
const WITHIN: Duration = Duration::from_secs(60);

const FOO0: &[&str] = &["foo0"];

const NONE: &[&str] = &[];

/// What both containers wrote says more than a deadline that passed.
async fn explained(plugin: &Plugin<'_>, test: impl Future<Output = Result<()>>) -> Result<()> {
    let tested = test.await;
    tested.map_err(|error| error.context(plugin.logs().unwrap_or_default()))
}

#[tokio::test]
async fn a_device_is_found_goes_comes_back_and_its_details_change() -> Result<()> {
    let plugin = Plugin::start(Node::shared().await?).await?;
    explained(&plugin, async {
        let registered = plugin.agent()?.registered(1, WITHIN).await?;
        assert_eq!(
            (registered.name.as_str(), registered.shared),
            ("debugEcho", true)
        );
        let foo0 = plugin.apply("descriptions: [\"foo0\"]")?;
        let view = foo0.devices(FOO0, WITHIN).await?;
        assert_eq!(instance_hash(&view.devices[0].id, None), "8120fe");
        assert_eq!(view.devices[0].properties["DEBUG_ECHO_DESCRIPTION"], "foo0");
        plugin.offline()?;
        foo0.devices(NONE, WITHIN).await?;
        plugin.online()?;
        foo0.devices(FOO0, WITHIN).await?;
        drop(foo0);
        let changed = plugin.apply("descriptions: [\"foo1\", \"foo2\"]")?;
        changed.devices(&["foo1", "foo2"], WITHIN).await?;
        assert_eq!(changed.view().streams, 1);
        Ok(())
    })
    .await?;
    plugin.remove().await
}

#[tokio::test]
async fn an_agent_that_restarts_gets_two_configurations_again() -> Result<()> {
    let mut plugin = Plugin::start(Node::shared().await?).await?;
    for _life in 0..2 {
        plugin.restart_agent().await?;
        explained(&plugin, async {
            let foo0 = plugin.apply("descriptions: [\"foo0\"]")?;
            let bar = plugin.apply("descriptions: [bar0, bar1]")?;
            foo0.devices(FOO0, WITHIN).await?;
            bar.devices(&["bar0", "bar1"], WITHIN).await?;
            Ok(())
        })
        .await?;
    }
    plugin.remove().await
}

/// Kills containers, changes the devices meanwhile, starts the containers anew, and waits for what is so now.
async fn survives(names: &[&str]) -> Result<()> {
    let mut plugin = Plugin::start(Node::shared().await?).await?;
    let foo0 = plugin.apply("descriptions: [\"foo0\"]")?;
    explained(&plugin, async {
        foo0.devices(FOO0, WITHIN).await?;
        Ok(())
    })
    .await?;
    plugin.kill(names).await?;
    plugin.offline()?;
    for name in names {
        plugin.start_anew(name).await?;
    }
    explained(&plugin, async {
        // The list from before the kill does not count: a handler that lives says that the device is gone.
        foo0.until("an empty list", WITHIN, |view| {
            view.lists
                .last()
                .is_some_and(|list| list.devices.is_empty())
        })
        .await?;
        plugin.online()?;
        foo0.devices(FOO0, WITHIN).await?;
        assert_eq!(plugin.requests()?, 1);
        Ok(())
    })
    .await?;
    if !names.contains(&PROXY) {
        assert_eq!(foo0.view().ends.len(), 0, "{:?}", foo0.view());
    }
    drop(foo0);
    plugin.remove().await
}

#[tokio::test]
async fn a_proxy_that_is_killed_loses_nothing() -> Result<()> {
    survives(&[PROXY]).await
}

#[tokio::test]
async fn a_handler_that_is_killed_loses_nothing_and_no_stream_ends() -> Result<()> {
    survives(&[HANDLER]).await
}

#[tokio::test]
async fn both_killed_at_once_lose_nothing() -> Result<()> {
    survives(&[HANDLER, PROXY]).await
}

#[tokio::test]
async fn a_proxy_that_is_stopped_ends_by_itself() -> Result<()> {
    let plugin = Plugin::start(Node::shared().await?).await?;
    let foo0 = plugin.apply("descriptions: [\"foo0\"]")?;
    foo0.devices(FOO0, WITHIN).await?;
    assert_eq!(plugin.stop(PROXY).await?, 0);
    plugin.remove().await
}

#[tokio::test]
async fn the_udev_handler_follows_sysfs_and_hands_device_nodes_out() -> Result<()> {
    let node = Node::shared().await?;
    let plugin = Plugin::with_handler(node, "akri_udev", &["--sysfs", "/device"]).await?;
    let (class, camera) = (
        plugin.device().join("class/video4linux"),
        plugin.device().join("devices/pci0/video0"),
    );
    fs::create_dir_all(&class)?;
    fs::create_dir_all(&camera)?;
    fs::write(camera.join("uevent"), "MAJOR=81\nDEVNAME=video0\n")?;
    explained(&plugin, async {
        let cameras = plugin.apply("{subsystem: video4linux, properties: {DEVNAME: 'video*'}}")?;
        cameras.devices(NONE, WITHIN).await?;
        // As the kernel does when a camera is plugged in.
        symlink("../../devices/pci0/video0", class.join("video0"))?;
        let view = cameras.devices(&["/devices/pci0/video0"], WITHIN).await?;
        let spec = &view.devices[0].device_specs[0];
        assert_eq!(
            (spec.host_path.as_str(), spec.permissions.as_str()),
            ("/dev/video0", "rw")
        );
        assert_eq!(view.devices[0].properties["UDEV_DEVNODE"], "/dev/video0");
        fs::remove_file(class.join("video0"))?;
        cameras.devices(NONE, WITHIN).await?;
        Ok(())
    })
    .await?;
    plugin.remove().await
}
