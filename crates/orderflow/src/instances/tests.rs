//! What the supervisor makes of instances that do not end as they should, or not at once.

use std::net::Ipv4Addr;
use std::sync::Arc;

use service_kit::application::{Application, ApplicationError, BoxError};
use service_kit::http::{first_of, routes};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::blueprint::Blueprint;
use super::supervisor::Supervisor;
use super::*;
use crate::shop::ShopSettings;

const GROUP: &str = "payment-service";
const FIRST: &str = "payment-service-1";
const SECOND: &str = "payment-service-2";

/// How an instance of these tests ends that is told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Once they are released.
    Well,
    Failing,
    Panicking,
}

struct Bed {
    controls: Instances,
    release: CancellationToken,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), ApplicationError>>,
}

async fn instance(end: End, release: CancellationToken) -> Application {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let application = Application::build(GROUP, listener, routes(first_of([]))).unwrap();
    let application = application.with_task("worker", move |stop| async move {
        stop.cancelled().await;
        match end {
            End::Well => release.cancelled().await,
            End::Failing => return Err(BoxError::from("the store went away")),
            End::Panicking => {}
        }
        Ok(())
    });
    application.with_end(move || async move { assert_ne!(end, End::Panicking, "the end") })
}

impl Bed {
    /// payment-service, with instances that end so.
    async fn start(ends: &[End], attended: bool) -> Self {
        let (stop, release) = (CancellationToken::new(), CancellationToken::new());
        let blueprint = Blueprint {
            settings: ShopSettings::embedded(Vec::new()),
            bootstrap_servers: "127.0.0.1:1".to_owned(),
            embedded: true,
            roles: vec![Role::Payment],
            host: Ipv4Addr::LOCALHOST.into(),
        };
        let (controls, orders) = Instances::new(None, []);
        let mut supervisor = Supervisor::new(
            Arc::new(blueprint),
            controls.board(),
            stop.clone(),
            attended,
        );
        for (number, end) in (1..).zip(ends) {
            let role = Role::Payment;
            let application = instance(*end, release.clone()).await;
            supervisor.run(InstanceName { role, number }, application);
        }
        let ended = tokio::spawn(supervisor.supervise(orders));
        Self {
            controls,
            release,
            stop,
            ended,
        }
    }

    /// Tells an instance to do that, and returns once the supervisor has begun to.
    async fn told(
        &self,
        instance: &str,
        what: InstanceAction,
    ) -> JoinHandle<Result<(), ControlError>> {
        let doing = tokio::spawn(self.controls.instance(instance, what));
        while self.state(instance) == Some(InstanceState::Running) {
            tokio::task::yield_now().await;
        }
        doing
    }

    fn state(&self, name: &str) -> Option<InstanceState> {
        let mut instances = self.controls.instances().into_iter();
        let found = instances.find(|instance| instance.instance == name);
        found.map(|instance| instance.state)
    }

    async fn stopped(self) -> Result<(), ApplicationError> {
        self.stop.cancel();
        self.release.cancel();
        self.ended.await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_instances_that_are_removed_at_the_same_time_one_stays() {
    let bed = Bed::start(&[End::Well, End::Well], true).await;
    let first = bed.told(FIRST, InstanceAction::Remove).await;
    assert_eq!(bed.state(FIRST), Some(InstanceState::Stopping));
    let second = bed.controls.instance(SECOND, InstanceAction::Remove).await;
    let Err(ControlError::Conflict(why)) = second else {
        panic!("{second:?}");
    };
    assert!(why.contains("the only instance"), "{why}");
    bed.release.cancel();
    assert_eq!(first.await.unwrap(), Ok(()));
    assert_eq!(bed.state(FIRST), None);
    assert_eq!(bed.state(SECOND), Some(InstanceState::Running));
    bed.stopped().await.unwrap();
}

#[tokio::test]
async fn a_service_of_this_process_gets_an_instance_also_where_it_has_none() {
    let bed = Bed::start(&[], true).await;
    let added = bed.controls.add(GROUP).await.unwrap();
    assert_eq!(added.instance, FIRST);
    let other = bed.controls.add("order-service").await.unwrap_err();
    let why = "there is no order-service in this process";
    assert_eq!(other.to_string(), why);
    bed.stopped().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_fails_when_it_is_told_to_end_has_crashed_and_says_why() {
    for (end, why) in [
        (End::Failing, "worker failed: the store went away"),
        (End::Panicking, "the application panicked"),
    ] {
        for what in [InstanceAction::Stop, InstanceAction::Remove] {
            let bed = Bed::start(&[end, End::Well], true).await;
            let told = bed.controls.instance(FIRST, what).await;
            let Err(ControlError::Failed(said)) = told else {
                panic!("{what:?}: {told:?}");
            };
            assert!(said.contains(FIRST) && said.contains(why), "{said}");
            assert_eq!(bed.state(FIRST), Some(InstanceState::Crashed));
            assert_eq!(bed.state(SECOND), Some(InstanceState::Running));
            bed.stopped().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_shop_does_not_end_well_when_one_of_its_services_panics() {
    let bed = Bed::start(&[End::Panicking, End::Well], false).await;
    let failed = bed.stopped().await.unwrap_err().to_string();
    assert_eq!(failed, "payment-service: the application panicked");
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_not_known_to_be_done_or_not() {
    let (controls, _nobody_obeys) = Instances::new(None, []);
    let late = controls.instance(FIRST, InstanceAction::Stop).await;
    let why = "not done within 10 s; it may still be done".to_owned();
    assert_eq!(late, Err(ControlError::Late(why)));
}
