//! The services by their HTTP: which instances there are, and what they answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use contracts::names;
use parking_lot::Mutex;
use service_kit::http::Problem;
use service_kit::http::client::{Answer, BaseUrl, Connection, HttpError, Post};

use crate::build::ServiceUrls;
use crate::controls::{Controls, Instance, InstanceState};

/// The most bytes of an answer: far above the pages that are asked for here.
const LARGEST: usize = 8 << 20;
/// Kept connections to an instance.
const KEPT: usize = 4;

/// The services, in the order in which an order passes them.
pub(crate) const SERVICES: [&str; 5] = [
    names::ORDER_SERVICE,
    names::PAYMENT_SERVICE,
    names::INVENTORY_SERVICE,
    names::SHIPMENT_SERVICE,
    names::NOTIFICATION_SERVICE,
];

/// The services and connections to them.
#[derive(Debug)]
pub(crate) struct Services {
    /// Where there are no controls: one instance of each, which may stand for several behind it.
    fixed: Vec<Instance>,
    controls: Option<Arc<dyn Controls>>,
    idle: Mutex<HashMap<BaseUrl, Vec<Connection>>>,
}

impl Services {
    pub(crate) fn new(urls: &ServiceUrls, controls: Option<Arc<dyn Controls>>) -> Self {
        let fixed = [
            (names::ORDER_SERVICE, &urls.order),
            (names::PAYMENT_SERVICE, &urls.payment),
            (names::INVENTORY_SERVICE, &urls.inventory),
            (names::SHIPMENT_SERVICE, &urls.shipment),
            (names::NOTIFICATION_SERVICE, &urls.notification),
        ];
        let fixed = fixed.map(|(service, url)| Instance {
            instance: format!("{service}-1"),
            service: service.to_owned(),
            url: url.to_string(),
            state: InstanceState::Away,
        });
        Self {
            fixed: fixed.into(),
            controls,
            idle: Mutex::default(),
        }
    }

    /// Whether somebody here knows how the instances are, beyond what they answer.
    pub(crate) fn are_controlled(&self) -> bool {
        self.controls.is_some()
    }

    /// The instances that there are, those of a service together, in the order in which an order passes the services.
    pub(crate) fn instances(&self) -> Vec<Instance> {
        let mut instances = match &self.controls {
            Some(controls) => controls.instances(),
            None => self.fixed.clone(),
        };
        let place = |service: &str| {
            let known = SERVICES.iter().position(|known| *known == service);
            known.unwrap_or(SERVICES.len())
        };
        instances.sort_by(|a, b| {
            let of = |i: &Instance| (place(&i.service), i.service.clone());
            of(a).cmp(&of(b))
        });
        instances
    }

    /// Where the service answers: its first instance that is not known to be down; or a 503. One that is stopping is taken only
    /// where there is no other.
    pub(crate) fn url_of(&self, service: &str) -> Result<BaseUrl, Problem> {
        let instances = self.instances();
        let in_state = |wanted: &[InstanceState]| {
            let mut instances = instances.iter();
            instances.find(|i| i.service == service && wanted.contains(&i.state))
        };
        in_state(&[InstanceState::Running, InstanceState::Away])
            .or_else(|| in_state(&[InstanceState::Stopping]))
            .and_then(|instance| instance.url.parse().ok())
            .ok_or_else(|| Problem::unavailable(format!("no instance of {service} is up")))
    }

    /// Asks for what is at a path; asks once more on a new connection if a kept one breaks.
    pub(crate) async fn get(
        &self,
        base: &BaseUrl,
        path: &str,
        patience: Duration,
    ) -> Result<Answer, HttpError> {
        let kept = self.idle.lock().get_mut(base).and_then(Vec::pop);
        if let Some(mut connection) = kept {
            match connection.get(path, patience).await {
                Err(HttpError::Lost { .. }) => {}
                outcome => return self.keep(base, connection, outcome),
            }
        }
        let mut connection = Connection::to(base).with_largest(LARGEST);
        let outcome = connection.get(path, patience).await;
        self.keep(base, connection, outcome)
    }

    /// Posts once, on a connection of its own: a kept one may break just then, and nobody would know whether it was done.
    pub(crate) async fn post(
        &self,
        base: &BaseUrl,
        path: &str,
        idempotency_key: Option<&str>,
        body: Option<Bytes>,
        patience: Duration,
    ) -> Result<Answer, HttpError> {
        let post = Post {
            path,
            idempotency_key,
            body,
        };
        let mut connection = Connection::to(base).with_largest(LARGEST);
        connection.post(&post, patience).await
    }

    /// Lets go of the connections to instances that are no longer there.
    pub(crate) fn forget_others(&self, instances: &[Instance]) {
        let there: Vec<BaseUrl> = instances
            .iter()
            .filter_map(|instance| instance.url.parse().ok())
            .collect();
        self.idle.lock().retain(|base, _| there.contains(base));
    }

    fn keep(
        &self,
        base: &BaseUrl,
        connection: Connection,
        outcome: Result<Answer, HttpError>,
    ) -> Result<Answer, HttpError> {
        if outcome.is_ok() {
            let mut idle = self.idle.lock();
            let of_base = idle.entry(base.clone()).or_default();
            if of_base.len() < KEPT {
                of_base.push(connection);
            }
        }
        outcome
    }
}

/// A request to a service that came to nothing, as whoever asked for it is told.
pub(crate) fn not_answered(error: &HttpError) -> Problem {
    Problem::unavailable(error)
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::controls::{BrokerAction, ControlError, InstanceAction};

    /// Instances that are as they are.
    #[derive(Debug)]
    struct Still(Vec<Instance>);

    impl Controls for Still {
        fn instances(&self) -> Vec<Instance> {
            self.0.clone()
        }

        fn add(&self, service: &str) -> BoxFuture<'static, Result<Instance, ControlError>> {
            let unknown = ControlError::Unknown(service.to_owned());
            Box::pin(async { Err(unknown) })
        }

        fn instance(
            &self,
            instance: &str,
            _: InstanceAction,
        ) -> BoxFuture<'static, Result<(), ControlError>> {
            let unknown = ControlError::Unknown(instance.to_owned());
            Box::pin(async { Err(unknown) })
        }

        fn broker(&self) -> Option<bool> {
            None
        }

        fn act_on_broker(&self, _: BrokerAction) -> BoxFuture<'static, Result<(), ControlError>> {
            Box::pin(async { Err(ControlError::Unknown("broker".to_owned())) })
        }
    }

    /// The number of the instance that is asked, where those from 1 on are in these states.
    fn asked(states: &[InstanceState]) -> Option<usize> {
        let instance = |(number, state): (usize, &InstanceState)| Instance {
            instance: format!("{}-{number}", names::PAYMENT_SERVICE),
            service: names::PAYMENT_SERVICE.to_owned(),
            url: format!("http://127.0.0.1:{number}"),
            state: *state,
        };
        let instances = (1..).zip(states).map(instance).collect();
        let services = Services::new(&ServiceUrls::default(), Some(Arc::new(Still(instances))));
        let url = services.url_of(names::PAYMENT_SERVICE).ok()?.to_string();
        url.rsplit_once(':')?.1.parse().ok()
    }

    #[test]
    fn an_instance_that_is_stopping_is_asked_only_where_no_other_is_up() {
        use InstanceState::{Away, Crashed, Running, Stopped, Stopping};
        assert_eq!(asked(&[Stopping, Running]), Some(2));
        assert_eq!(asked(&[Running, Stopping]), Some(1));
        assert_eq!(asked(&[Stopped, Stopping, Crashed, Away]), Some(4));
        assert_eq!(asked(&[Crashed, Stopping]), Some(2));
        assert_eq!(asked(&[Stopped, Crashed]), None);
    }
}
