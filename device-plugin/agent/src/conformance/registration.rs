//! The checks of registration: this is the Agent, and the handler has to find it.

use std::path::Path;
use std::time::Duration;

use coracle_akri_api::register_discovery_handler_request::EndpointType;

use super::table::{Check, Report};
use super::{Failure, Settings};
use crate::agent::{Agent, Registered};
use crate::configuration::Late;

/// A handler tries every ten seconds.
const REGISTERS_WITHIN: Duration = Duration::from_secs(25);

/// Runs the checks, and says where the handler is.
pub(super) async fn checks(
    settings: &Settings,
    report: &mut Report,
    say: &mut impl FnMut(&Check),
) -> Option<String> {
    let directory = settings.directory.as_deref()?;
    let first = registered(directory).await;
    let (agent, registration) = match first {
        Ok(first) => {
            report.note("the handler registers", Ok(()), say);
            first
        }
        Err(failure) => {
            report.note("the handler registers", Err(failure), say);
            return None;
        }
    };
    report.note("the registration is complete", complete(&registration), say);
    let configuration = agent.apply(
        &registration.name,
        &settings.details,
        settings.properties.clone(),
    );
    let streamed = configuration.until("a stream", settings.within, |view| view.streams > 0);
    let streamed = streamed.await.map(drop).map_err(|error| late(&error));
    // The Agent ends without a word, and its streams with it.
    drop(configuration);
    drop(agent);
    let again = match streamed {
        Ok(()) => registered(directory).await.map(drop),
        Err(failure) => Err(failure),
    };
    report.note(
        "the handler registers again with an Agent that restarts",
        again,
        say,
    );
    Some(registration.endpoint)
}

async fn registered(directory: &Path) -> Result<(Agent, Registered), Failure> {
    let agent = Agent::start(directory).await?;
    let registration = agent
        .registered(1, REGISTERS_WITHIN)
        .await
        .map_err(|error| late(&error))?;
    Ok((agent, registration))
}

fn late(late: &Late) -> Failure {
    Failure::Wrong(late.to_string())
}

fn complete(registration: &Registered) -> Result<(), Failure> {
    let wrong = |text: String| Err(Failure::Wrong(text));
    if registration.name.is_empty() {
        return wrong("the name is empty".to_owned());
    }
    let endpoint = &registration.endpoint;
    match registration.endpoint_type() {
        EndpointType::Uds if !Path::new(endpoint).is_absolute() => {
            wrong(format!("the socket {endpoint:?} is no absolute path"))
        }
        EndpointType::Network if !endpoint.starts_with("http") => {
            wrong(format!("the endpoint {endpoint:?} is no URL"))
        }
        _ => Ok(()),
    }
}
