//! From the mock Agent through the proxy and the file protocol to a handler: one test for each defect of the first
//! experiment, and the rest of the contract. The handler runs as a thread of the test; as a container of a pod it is
//! tested in `integration`.

mod stage;

use std::collections::BTreeMap;
use std::time::Duration;

use coracle_akri_agent::api::register_discovery_handler_request::EndpointType;
use coracle_akri_agent::{Handler, instance_hash};
use coracle_akri_protocol::{Answer, Layout};
use stage::{FOO0, NONE, Stage, WITHIN};
use tokio::time::sleep;
use tonic::Code;

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[tokio::test]
async fn defect_01_ids_and_properties_have_no_quotes() -> Result {
    let stage = Stage::new().await?;
    let view = stage.foo0().devices(&["foo0"], WITHIN).await?;
    assert_eq!(instance_hash(&view.devices[0].id, None), "8120fe");
    let description = &view.devices[0].properties["DEBUG_ECHO_DESCRIPTION"];
    assert_eq!(description, "foo0");
    Ok(())
}

#[tokio::test]
async fn defect_02_half_a_message_neither_panics_nor_silences_the_stream() -> Result {
    let stage = Stage::new().await?;
    let foo0 = stage.foo0();
    foo0.devices(&["foo0"], WITHIN).await?;
    // What a foreign writer may leave, under the very name; the handler replaces it at its next round.
    stage.put_answer("{\"version\":1,\"generation\":")?;
    stage.offline()?;
    foo0.devices(&[], WITHIN).await?;
    assert_eq!(foo0.view().streams, 1);
    Ok(())
}

#[tokio::test]
async fn defect_03_no_change_is_lost_however_fast_changes_follow() -> Result {
    let stage = Stage::new().await?;
    let foo0 = stage.foo0();
    foo0.devices(&["foo0"], WITHIN).await?;
    for _ in 0..50 {
        stage.offline()?;
        sleep(Duration::from_millis(3)).await;
        stage.online()?;
        sleep(Duration::from_millis(3)).await;
    }
    stage.offline()?;
    foo0.devices(&[], WITHIN).await?;
    stage.online()?;
    foo0.devices(&["foo0"], WITHIN).await?;
    Ok(())
}

#[tokio::test]
async fn defect_04_many_configurations_do_not_touch_each_other() -> Result {
    let stage = Stage::new().await?;
    let names: Vec<String> = (0..8).map(|number| format!("bar{number}")).collect();
    let configurations: Vec<_> = names
        .iter()
        .map(|name| stage.apply(&format!("descriptions: [{name}]")))
        .collect();
    for (configuration, name) in configurations.iter().zip(&names) {
        configuration.devices(&[name], WITHIN).await?;
    }
    let lists = |place: usize| configurations[place].view().lists.len();
    assert_eq!((0..8).map(lists).collect::<Vec<_>>(), [1; 8]);
    Ok(())
}

#[tokio::test]
async fn defect_05_an_agent_that_restarts_gets_the_list_again() -> Result {
    let mut stage = Stage::new().await?;
    stage.foo0().devices(&["foo0"], WITHIN).await?;
    let configuration = stage.foo0();
    configuration.devices(&["foo0"], WITHIN).await?;
    drop(configuration);
    stage.restart_agent().await?;
    stage.foo0().devices(&["foo0"], WITHIN).await?;
    Ok(())
}

#[tokio::test]
async fn defect_06_changed_details_are_answered() -> Result {
    let stage = Stage::new().await?;
    let foo0 = stage.foo0();
    foo0.devices(&["foo0"], WITHIN).await?;
    drop(foo0);
    let changed = stage.apply("descriptions: [foo1, foo2]");
    changed.devices(&["foo1", "foo2"], WITHIN).await?;
    Ok(())
}

#[tokio::test]
async fn defect_07_mounts_and_device_specs_arrive() -> Result {
    let stage = Stage::with_inventory(
        "devices: [{id: a, properties: {P: v},
          mounts: [{containerPath: /c, hostPath: /h, readOnly: true}],
          deviceSpecs: [{containerPath: /dev/c, hostPath: /dev/h, permissions: rwm}]}]",
    )
    .await?;
    let view = stage
        .apply("file: list.yaml")
        .devices(&["a"], WITHIN)
        .await?;
    let device = &view.devices[0];
    let (mount, spec) = (&device.mounts[0], &device.device_specs[0]);
    assert_eq!(
        (mount.container_path.as_str(), mount.host_path.as_str()),
        ("/c", "/h")
    );
    assert!(mount.read_only);
    assert_eq!(
        (spec.container_path.as_str(), spec.host_path.as_str()),
        ("/dev/c", "/dev/h")
    );
    assert_eq!(spec.permissions, "rwm");
    assert_eq!(device.properties["P"], "v");
    Ok(())
}

#[tokio::test]
async fn defect_08_a_request_goes_with_its_configuration() -> Result {
    let stage = Stage::new().await?;
    let foo0 = stage.foo0();
    foo0.devices(&["foo0"], WITHIN).await?;
    assert_eq!(stage.requests()?.len(), 1);
    drop(foo0);
    stage
        .until("no request", |stage| Ok(stage.requests()?.is_empty()))
        .await?;
    assert_eq!(
        std::fs::read_dir(stage.exchange().join("removed"))?.count(),
        0
    );
    Ok(())
}

#[tokio::test]
async fn defect_09_details_and_properties_reach_the_handler_unread() -> Result {
    let stage = Stage::new().await?;
    let details = "anything: {that: 'is', \"not\": debugEcho's}\n\u{1f6f6}\u{0}";
    let properties = BTreeMap::from([
        ("plain".to_owned(), Some(b"text".to_vec())),
        ("bytes".to_owned(), Some((0..=255).collect())),
        ("empty".to_owned(), Some(Vec::new())),
        ("absent".to_owned(), None),
    ]);
    let _asked = stage
        .agent()
        .apply("debugEcho", details, properties.clone());
    // The handler refuses it, so it does not stay.
    let seen = std::cell::RefCell::new(None);
    stage
        .until("a request", |stage| {
            *seen.borrow_mut() = stage.requests()?.pop();
            Ok(seen.borrow().is_some())
        })
        .await?;
    let request = seen.take().ok_or("no request")?;
    assert_eq!(request.details, details);
    let arrived = request.properties.into_iter();
    let arrived: BTreeMap<_, _> = arrived
        .map(|(name, value)| (name, value.map(|v| v.0)))
        .collect();
    assert_eq!(arrived, properties);
    Ok(())
}

#[tokio::test]
async fn defect_10_shared_is_what_was_set_and_a_restart_leaves_offline_alone() -> Result {
    for shared in [true, false] {
        let stage = Stage::shared(shared).await?;
        assert_eq!(stage.agent().registered(1, WITHIN).await?.shared, shared);
    }
    let mut stage = Stage::new().await?;
    stage.offline()?;
    stage.restart_handler();
    stage.restart_proxy().await?;
    stage.foo0().devices(&[], WITHIN).await?;
    assert_eq!(std::fs::read_to_string(stage.availability())?, "OFFLINE\n");
    Ok(())
}

/// With the period of a second that handlers have by default.
#[tokio::test]
async fn defect_11_a_change_arrives_within_a_second_and_a_half() -> Result {
    let stage = Stage::with_period(Duration::from_secs(1)).await?;
    let foo0 = stage.foo0();
    foo0.devices(&["foo0"], WITHIN).await?;
    for round in 0..4 {
        let (written, expected) = if round % 2 == 0 {
            (stage.offline()?, NONE)
        } else {
            (stage.online()?, FOO0)
        };
        let view = foo0.devices(expected, WITHIN).await?;
        let took = view.lists.last().ok_or("no list")?.at - written;
        assert!(took < Duration::from_millis(1500), "{took:?}");
    }
    Ok(())
}

#[tokio::test]
async fn invalid_details_are_refused_before_a_stream_begins() -> Result {
    let stage = Stage::new().await?;
    let invalid = stage.apply("descriptions: 1");
    let view = invalid
        .until("an end", WITHIN, |view| !view.ends.is_empty())
        .await?;
    assert_eq!((view.ends[0].0, view.streams), (Code::InvalidArgument, 0));
    assert!(
        view.ends[0].1.contains("descriptions"),
        "{}",
        view.ends[0].1
    );
    Ok(())
}

#[tokio::test]
async fn a_failure_of_the_handler_is_no_empty_list() -> Result {
    let stage = Stage::with_inventory("devices: [{id: a}]").await?;
    let list = stage.apply("file: list.yaml");
    list.devices(&["a"], WITHIN).await?;
    std::fs::remove_file(stage.inventory())?;
    let view = list
        .until("an end", WITHIN, |view| !view.ends.is_empty())
        .await?;
    assert_eq!(view.ends[0].0, Code::Unavailable);
    assert_eq!(view.lists.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_slow_reader_gets_the_newest_list_and_delays_nobody() -> Result {
    let stage = Stage::new().await?;
    let endpoint = stage.agent().registered(1, WITHIN).await?.endpoint;
    let handler = Handler::connect(&endpoint).await?;
    let mut slow = handler
        .discover("descriptions: [foo0]", &BTreeMap::new())
        .await?;
    let foo0 = stage.foo0();
    for _ in 0..5 {
        foo0.devices(FOO0, WITHIN).await?;
        stage.offline()?;
        foo0.devices(NONE, WITHIN).await?;
        stage.online()?;
    }
    foo0.devices(FOO0, WITHIN).await?;
    let mut last = Vec::new();
    while let Some(devices) = slow.next_within(Duration::from_millis(300)).await? {
        last = devices;
    }
    assert_eq!(last[0].id, "foo0");
    Ok(())
}

#[tokio::test]
async fn the_network_serves_where_the_pod_has_an_address() -> Result {
    let stage = Stage::on_network().await?;
    let registered = stage.agent().registered(1, WITHIN).await?;
    assert_eq!(registered.endpoint_type(), EndpointType::Network);
    assert!(
        registered.endpoint.starts_with("http://127.0.0.1:"),
        "{}",
        registered.endpoint
    );
    stage.foo0().devices(FOO0, WITHIN).await?;
    Ok(())
}

/// Akri's own handlers wait for ever here: no stream ends that could tell them.
#[tokio::test]
async fn an_agent_that_starts_anew_while_nothing_is_configured_is_registered_with() -> Result {
    let mut stage = Stage::new().await?;
    stage.agent().registered(1, WITHIN).await?;
    stage.restart_agent().await?;
    stage.agent().registered(1, WITHIN).await?;
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_starts_before_the_agent_registers_when_it_comes() -> Result {
    let mut stage = Stage::new().await?;
    stage.stop_agent()?;
    stage.restart_proxy().await?;
    sleep(Duration::from_millis(300)).await;
    stage.restart_agent().await?;
    stage.foo0().devices(FOO0, WITHIN).await?;
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_is_killed_comes_back_with_the_devices() -> Result {
    let mut stage = Stage::new().await?;
    let foo0 = stage.foo0();
    foo0.devices(FOO0, WITHIN).await?;
    stage.kill_proxy().await?;
    foo0.until("an end", WITHIN, |view| !view.ends.is_empty())
        .await?;
    // Its socket is still there.
    assert!(stage.socket().exists());
    stage.offline()?;
    stage.restart_proxy().await?;
    foo0.until("a second list", WITHIN, |view| view.lists.len() > 1)
        .await?;
    foo0.devices(NONE, WITHIN).await?;
    Ok(())
}

#[tokio::test]
async fn a_handler_that_restarts_in_time_is_not_noticed_by_the_agent() -> Result {
    let mut stage = Stage::new().await?;
    let foo0 = stage.foo0();
    foo0.devices(FOO0, WITHIN).await?;
    stage.restart_handler();
    stage.offline()?;
    foo0.devices(NONE, WITHIN).await?;
    let view = foo0.view();
    assert_eq!((view.streams, view.ends.len(), view.lists.len()), (1, 0, 2));
    Ok(())
}

#[tokio::test]
async fn a_handler_that_stays_away_ends_its_streams_and_comes_back_with_devices() -> Result {
    let mut stage = Stage::new().await?;
    let foo0 = stage.foo0();
    foo0.devices(FOO0, WITHIN).await?;
    stage.stop_handler();
    let view = foo0
        .until("an end", WITHIN, |view| !view.ends.is_empty())
        .await?;
    assert_eq!(view.ends[0].0, Code::Unavailable);
    stage.restart_handler();
    foo0.devices(FOO0, WITHIN).await?;
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_is_told_to_end_ends_its_streams_and_removes_its_socket() -> Result {
    let mut stage = Stage::new().await?;
    let foo0 = stage.foo0();
    foo0.devices(FOO0, WITHIN).await?;
    stage.end_proxy().await?;
    assert!(!stage.socket().exists());
    foo0.until("an end", WITHIN, |view| !view.ends.is_empty())
        .await?;
    Ok(())
}

#[tokio::test]
async fn health_and_metrics_say_what_is_so() -> Result {
    let stage = Stage::new().await?;
    stage.foo0().devices(FOO0, WITHIN).await?;
    assert!(stage.get("/readyz").await?.starts_with("HTTP/1.1 200"));
    let metrics = stage.get("/metrics").await?;
    for line in [
        "coracle_akri_registered 1",
        "coracle_akri_handler_alive 1",
        "coracle_akri_registrations_total 1",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_is_written_once_for_each_change() -> Result {
    let stage = Stage::new().await?;
    let foo0 = stage.foo0();
    foo0.devices(FOO0, WITHIN).await?;
    sleep(Duration::from_millis(300)).await;
    let answer: Answer = serde_json_of(&stage)?;
    assert_eq!(answer.serial, 1);
    assert_eq!(foo0.view().lists.len(), 1);
    Ok(())
}

fn serde_json_of(stage: &Stage) -> Result<Answer> {
    let layout = Layout::new(&stage.exchange());
    let id = stage.ids()?.remove(0);
    Ok(serde_json::from_slice(&std::fs::read(layout.answer(&id))?)?)
}

/// The suite for other handler authors finds nothing wrong here.
#[tokio::test]
async fn the_conformance_suite_passes() -> Result {
    use coracle_akri_agent::conformance::{Settings, run};
    let mut stage = Stage::new().await?;
    stage.stop_agent()?;
    let settings = Settings {
        endpoint: None,
        directory: Some(stage.directory()),
        details: "descriptions: [foo0]".to_owned(),
        other_details: Some("descriptions: [foo1]".to_owned()),
        invalid_details: Some("descriptions: 1".to_owned()),
        properties: BTreeMap::new(),
        within: WITHIN,
        quiet: Duration::from_millis(300),
    };
    let report = run(&settings, |_check| ()).await;
    assert!(report.is_passed(), "{:#?}", report.checks);
    assert!(report.checks.len() >= 12, "{:#?}", report.checks);
    Ok(())
}

#[tokio::test]
async fn the_suite_fails_where_nobody_listens() -> Result {
    use coracle_akri_agent::conformance::{Settings, run};
    let settings = Settings {
        endpoint: Some("/nosuch.sock".to_owned()),
        directory: None,
        details: String::new(),
        other_details: None,
        invalid_details: None,
        properties: BTreeMap::new(),
        within: WITHIN,
        quiet: WITHIN,
    };
    let report = run(&settings, |_check| ()).await;
    assert!(!report.is_passed());
    Ok(())
}
