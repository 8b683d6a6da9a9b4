//! The checks of `Discover`.

use std::collections::BTreeSet;
use std::time::Duration;

use coracle_akri_api::Device;
use tonic::Code;

use super::table::{Check, Report};
use super::{Begun, Failure, Settings};
use crate::connection::Handler;

/// Streams that a handler must be able to serve at once: more than a node has Configurations of one handler.
const MANY: usize = 20;

/// A new stream's list must not wait for a change, or for the next look at the devices.
const AT_ONCE: Duration = Duration::from_secs(5);

pub(super) async fn all(
    settings: &Settings,
    endpoint: &str,
    report: &mut Report,
    say: &mut impl FnMut(&Check),
) {
    let connected = Handler::connect(endpoint).await;
    let handler = match connected {
        Ok(handler) => {
            report.note("the endpoint accepts a connection", Ok(()), say);
            handler
        }
        Err(error) => {
            return report.note("the endpoint accepts a connection", Err(error.into()), say);
        }
    };
    let begun = settings.begin(&handler, &settings.details).await;
    let mut begun = match begun {
        Ok(begun) => {
            report.note("a stream begins with a list", Ok(()), say);
            begun
        }
        Err(failure) => return report.note("a stream begins with a list", Err(failure), say),
    };
    report.note(
        "every device is well formed",
        well_formed(&begun.devices),
        say,
    );
    let checked = same_list(settings, &handler, &begun.devices).await;
    report.note("a second stream gets the full list at once", checked, say);
    let checked = many(settings, &handler, &begun.devices).await;
    report.note("20 streams at once all get the list", checked, say);
    let checked = slow(settings, &handler, &begun.devices).await;
    report.note("a stream that is not read delays no other", checked, say);
    match &settings.other_details {
        Some(other) => {
            let checked = other_answered(settings, &handler, other, &mut begun).await;
            report.note(
                "a second Configuration changes nothing for the first",
                checked,
                say,
            );
        }
        None => report.skip(
            "a second Configuration changes nothing for the first",
            "give --other-details",
            say,
        ),
    }
    match &settings.invalid_details {
        Some(invalid) => {
            let checked = refused(settings, &handler, invalid).await;
            report.note(
                "invalid details are refused as InvalidArgument",
                checked,
                say,
            );
        }
        None => report.skip(
            "invalid details are refused as InvalidArgument",
            "give --invalid-details",
            say,
        ),
    }
    let checked = quiet(settings, &mut begun).await;
    report.note("nothing is sent while nothing changes", checked, say);
    drop(begun.open);
    let checked = same_list(settings, &handler, &begun.devices).await;
    report.note(
        "a stream after one that was dropped gets the list",
        checked,
        say,
    );
}

fn well_formed(devices: &[Device]) -> Result<(), Failure> {
    let wrong = |text: String| Err(Failure::Wrong(text));
    let mut ids = BTreeSet::new();
    for device in devices {
        let id = &device.id;
        if id.is_empty() {
            return wrong("a device has no id".to_owned());
        }
        if id.starts_with('"') && id.ends_with('"') {
            return wrong(format!("the id {id} is in quotes"));
        }
        if !ids.insert(id) {
            return wrong(format!("two devices have the id {id:?}"));
        }
        if let Some(name) = device.properties.keys().find(|name| !is_variable(name)) {
            return wrong(format!(
                "property {name:?} of {id:?} cannot name an environment variable"
            ));
        }
        for mount in &device.mounts {
            if !mount.container_path.starts_with('/') || !mount.host_path.starts_with('/') {
                return wrong(format!(
                    "{mount:?} of {id:?} has a path that is not absolute"
                ));
            }
        }
        for spec in &device.device_specs {
            let known = |letter| "rwm".contains(letter);
            if spec.permissions.is_empty() || !spec.permissions.chars().all(known) {
                return wrong(format!(
                    "{spec:?} of {id:?} has permissions that are not of r, w, m"
                ));
            }
        }
    }
    Ok(())
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

async fn same_list(
    settings: &Settings,
    handler: &Handler,
    expected: &[Device],
) -> Result<(), Failure> {
    let begin = std::time::Instant::now();
    let begun = settings.begin(handler, &settings.details).await?;
    equal(expected, &begun.devices)?;
    if begin.elapsed() > AT_ONCE {
        let text = format!("the list took {:?}, more than {AT_ONCE:?}", begin.elapsed());
        return Err(Failure::Wrong(text));
    }
    Ok(())
}

fn equal(expected: &[Device], found: &[Device]) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    let text = format!("one stream has {expected:?}, another {found:?}");
    Err(Failure::Wrong(text))
}

async fn many(settings: &Settings, handler: &Handler, expected: &[Device]) -> Result<(), Failure> {
    let mut streams = Vec::new();
    for _ in 0..MANY {
        streams.push(settings.begin(handler, &settings.details).await?);
    }
    streams
        .iter()
        .try_for_each(|begun| equal(expected, &begun.devices))
}

async fn slow(settings: &Settings, handler: &Handler, expected: &[Device]) -> Result<(), Failure> {
    let unread = handler
        .discover(&settings.details, &settings.properties)
        .await?;
    let checked = same_list(settings, handler, expected).await;
    drop(unread);
    checked
}

async fn other_answered(
    settings: &Settings,
    handler: &Handler,
    other: &str,
    first: &mut Begun,
) -> Result<(), Failure> {
    let second = settings.begin(handler, other).await?;
    if let Some(devices) = first.open.next_within(settings.quiet).await? {
        let text = format!("the first Configuration was sent {devices:?} when the second came");
        return Err(Failure::Wrong(text));
    }
    drop(second);
    same_list(settings, handler, &first.devices).await
}

async fn refused(settings: &Settings, handler: &Handler, invalid: &str) -> Result<(), Failure> {
    let opening = handler.discover(invalid, &settings.properties);
    match tokio::time::timeout(settings.within, opening).await {
        Err(_elapsed) => Err(Failure::Late {
            what: "a refusal",
            within: settings.within,
        }),
        Ok(Err(status)) if status.code() == Code::InvalidArgument => Ok(()),
        Ok(Err(status)) => Err(status.into()),
        Ok(Ok(_stream)) => Err(Failure::Wrong(
            "a stream began; the Agent looks at the status of the call alone".to_owned(),
        )),
    }
}

async fn quiet(settings: &Settings, begun: &mut Begun) -> Result<(), Failure> {
    match begun.open.next_within(settings.quiet).await? {
        None => Ok(()),
        Some(devices) if devices == begun.devices => Err(Failure::Wrong(
            "the list was sent again, and had not changed".to_owned(),
        )),
        Some(_) => Err(Failure::Wrong(
            "the devices changed during the check; run it while they do not".to_owned(),
        )),
    }
}
