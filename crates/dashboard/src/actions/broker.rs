//! The processes: instances of services, and the embedded broker. Where nothing here can do it, it is told how it is done by hand.

use std::str::FromStr;
use std::sync::Arc;

use service_kit::http::{BODY_LIMIT, Problem, Routes, Segment, first_of, json_body};
use warp::Filter;
use warp::reply::Response;

use super::{Deeds, Nothing, allowed, done, told};
use crate::controls::{BrokerAction, Controls, InstanceAction};
use crate::services::SERVICES;

/// The last part of a path, as what it asks for.
#[derive(Debug, Clone, Copy)]
struct OnInstance(InstanceAction);
#[derive(Debug, Clone, Copy)]
struct OnBroker(BrokerAction);

impl FromStr for OnInstance {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(Self(match text {
            "stop" => InstanceAction::Stop,
            "crash" => InstanceAction::Crash,
            "start" => InstanceAction::Start,
            "remove" => InstanceAction::Remove,
            _ => return Err(()),
        }))
    }
}

impl FromStr for OnBroker {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(Self(match text {
            "stop" => BrokerAction::Stop,
            "crash" => BrokerAction::Crash,
            "start" => BrokerAction::Start,
            "cut" => BrokerAction::Cut,
            _ => return Err(()),
        }))
    }
}

pub(super) fn routes(deeds: Deeds) -> Routes {
    let add = warp::path!("api" / "services" / Segment / "instances")
        .and(allowed(deeds.clone()))
        .and(json_body::<Nothing>(BODY_LIMIT))
        .then(
            |service: Segment, deeds, body| async move { told(add(&service, deeds, body).await) },
        );
    let instance = warp::path!("api" / "instances" / Segment / OnInstance)
        .and(allowed(deeds.clone()))
        .and(json_body::<Nothing>(BODY_LIMIT))
        .then(
            |instance: Segment, OnInstance(what), deeds, body| async move {
                told(on_instance(&instance, what, deeds, body).await)
            },
        );
    let broker = warp::path!("api" / "broker" / OnBroker)
        .and(allowed(deeds))
        .and(json_body::<Nothing>(BODY_LIMIT))
        .then(
            |OnBroker(what), deeds, body| async move { told(on_broker(what, deeds, body).await) },
        );
    first_of([add.boxed(), instance.boxed(), broker.boxed()])
}

async fn add(
    service: &str,
    deeds: Result<Deeds, Problem>,
    body: Result<Nothing, Problem>,
) -> Result<Response, Problem> {
    let controls = deeds?.controls;
    body?;
    let by_hand = || {
        if SERVICES.contains(&service) {
            let role = role(service);
            Problem::conflict(format!(
                "this dashboard starts nothing; by hand, on a free port: orderflow serve {role} --http-port PORT"
            ))
        } else {
            Problem::not_found(format!("there is no service {service}"))
        }
    };
    let added = controls.ok_or_else(by_hand)?.add(service).await?;
    Ok(done(format!("added {} at {}", added.instance, added.url)))
}

async fn on_instance(
    instance: &str,
    what: InstanceAction,
    deeds: Result<Deeds, Problem>,
    body: Result<Nothing, Problem>,
) -> Result<Response, Problem> {
    let controls = deeds?.controls;
    body?;
    let by_hand = || {
        let service = instance.rsplit_once('-').map_or(instance, |(of, _)| of);
        let role = role(service);
        let by_hand = match what {
            InstanceAction::Start => format!("orderflow serve {role}"),
            InstanceAction::Crash => format!("kill -9 the process of orderflow serve {role}"),
            InstanceAction::Stop | InstanceAction::Remove => {
                format!("Ctrl-C in the terminal of orderflow serve {role}, or kill -TERM")
            }
        };
        Problem::conflict(format!(
            "this dashboard starts and stops nothing; by hand: {by_hand}"
        ))
    };
    let controls = controls.ok_or_else(by_hand)?;
    controls.instance(instance, what).await?;
    Ok(done(match what {
        InstanceAction::Stop => format!("stopped {instance}"),
        InstanceAction::Crash => format!("crashed {instance}"),
        InstanceAction::Start => format!("started {instance}"),
        InstanceAction::Remove => format!("removed {instance}"),
    }))
}

async fn on_broker(
    what: BrokerAction,
    deeds: Result<Deeds, Problem>,
    body: Result<Nothing, Problem>,
) -> Result<Response, Problem> {
    let controls = deeds?.controls;
    body?;
    let embedded = |controls: &Arc<dyn Controls>| controls.broker().is_some();
    let by_hand = || {
        let command = match what {
            BrokerAction::Stop => "docker compose stop kafka",
            BrokerAction::Crash => "docker compose kill kafka",
            BrokerAction::Cut => "ss -K dport = :9092, as root",
            BrokerAction::Start => "docker compose start kafka",
        };
        Problem::conflict(format!(
            "there is no embedded broker here; by hand: {command}"
        ))
    };
    let controls = controls.filter(embedded).ok_or_else(by_hand)?;
    controls.act_on_broker(what).await?;
    Ok(done(match what {
        BrokerAction::Stop => "stopped the broker",
        BrokerAction::Crash => "crashed the broker",
        BrokerAction::Start => "started the broker",
        BrokerAction::Cut => "cut every connection of the broker",
    }))
}

/// What the program calls a service: `payment` for payment-service.
fn role(service: &str) -> &str {
    service.strip_suffix("-service").unwrap_or(service)
}
