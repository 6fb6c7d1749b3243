//! Puts the application together.

use std::sync::Arc;
use std::time::Duration;

use kafka_client::{Client, ClientConfig, ClientError, ProducerConfig};
use service_kit::application::Application;
use service_kit::http::client::BaseUrl;
use service_kit::http::{Health, first_of, measured, routes};
use service_kit::metric;
use service_kit::secret::Secret;
use tokio::net::TcpListener;

use crate::actions;
use crate::actions::guard::Guard;
use crate::api;
use crate::controls::Controls;
use crate::load::Generator;
use crate::observe::{Observer, Sources};
use crate::services::Services;

/// The name in logs and metrics.
const NAME: &str = "dashboard";
/// What the observer's own client waits for a broker: it looks again soon.
const CONNECT: Duration = Duration::from_millis(600);
/// What it waits for an answer, and its calls as a whole.
const REQUEST: Duration = Duration::from_millis(900);
/// How long what was published may take to be acknowledged at the end.
const CLOSE: Duration = Duration::from_secs(1);

/// What a dashboard is told.
#[derive(Debug, Clone)]
pub struct DashboardSettings {
    /// Where the services answer. Not asked where there are controls, which know the instances.
    pub services: ServiceUrls,
    /// What it takes to do something from the page. Without it anybody may where there are controls, and elsewhere nobody.
    pub admin_token: Option<Secret>,
    /// The means to stop and start what runs in the same process; none in a dashboard that runs by itself.
    pub controls: Option<Arc<dyn Controls>>,
    /// Whether the cluster is the embedded broker.
    pub embedded: bool,
}

/// Where each service answers.
#[derive(Debug, Clone)]
pub struct ServiceUrls {
    /// order-service.
    pub order: BaseUrl,
    /// payment-service.
    pub payment: BaseUrl,
    /// inventory-service.
    pub inventory: BaseUrl,
    /// shipment-service.
    pub shipment: BaseUrl,
    /// notification-service.
    pub notification: BaseUrl,
}

impl Default for ServiceUrls {
    /// The services' own ports on this machine.
    fn default() -> Self {
        use contracts::names::{
            INVENTORY_PORT, NOTIFICATION_PORT, ORDER_PORT, PAYMENT_PORT, SHIPMENT_PORT,
        };
        Self {
            order: BaseUrl::local(ORDER_PORT),
            payment: BaseUrl::local(PAYMENT_PORT),
            inventory: BaseUrl::local(INVENTORY_PORT),
            shipment: BaseUrl::local(SHIPMENT_PORT),
            notification: BaseUrl::local(NOTIFICATION_PORT),
        }
    }
}

/// Why a dashboard could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Its client cannot be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Its listener has no address.
    #[error("the listener has no address: {0}")]
    Listener(#[from] std::io::Error),
}

/// A client of the same cluster that waits for less.
pub(crate) fn looking(client: &Client) -> Result<Client, ClientError> {
    Client::new(ClientConfig {
        client_id: Arc::from(NAME),
        connect_timeout: CONNECT,
        request_timeout: REQUEST,
        ..client.config().clone()
    })
}

/// The dashboard of the cluster that `client` knows, on this listener. Must be called within a Tokio runtime.
///
/// What it looks at, it looks at with a client of its own, which waits for less; what it does, it does with `client`.
///
/// # Errors
///
/// [`BuildError`].
pub fn build(
    client: &Client,
    listener: TcpListener,
    settings: DashboardSettings,
) -> Result<Application, BuildError> {
    metric::install();
    let services = Arc::new(Services::new(&settings.services, settings.controls.clone()));
    let guard = Guard::new(settings.admin_token, settings.controls.is_some());
    let (generator, load) = Generator::new(Arc::clone(&services));
    let (observer, watching) = Observer::new(Sources {
        client: looking(client)?,
        services: Arc::clone(&services),
        controls: settings.controls.clone(),
        embedded: settings.embedded,
        can: guard.can(settings.controls.as_deref()),
        load: load.clone(),
    });
    let producer = client.producer(ProducerConfig::default());
    let watched = watching.clone();
    let reads = api::Reads::new(watching, client.clone(), Arc::clone(&services));
    let deeds = actions::Deeds {
        guard,
        client: client.clone(),
        producer: producer.clone(),
        services,
        controls: settings.controls,
        load,
    };
    let health = health(client);
    let paths = first_of([
        health.route(),
        metric::route(),
        api::routes(reads),
        actions::routes(deeds),
    ]);
    let templates = api::TEMPLATES.iter().chain(&actions::TEMPLATES);
    let routes = measured(NAME, templates.copied().collect(), routes(paths));
    let application = Application::build(NAME, listener, routes)?
        .with_task("metrics", |stop| async move {
            metric::upkeep(stop).await;
            Ok(())
        })
        .with_task("observer", |stop| async move {
            observer.run(stop).await;
            Ok(())
        })
        .with_task("load", |stop| async move {
            generator.run(|| watched.is_watched(), stop).await;
            Ok(())
        });
    Ok(application.with_end(move || async move {
        if let Err(error) = producer.close(CLOSE).await {
            tracing::warn!(%error, "records were left unpublished");
        }
    }))
}

fn health(client: &Client) -> Health {
    let admin = client.admin();
    // The page is there to show that Kafka is away, so that does not take it down.
    Health::new(NAME).tells("kafka", move || {
        let admin = admin.clone();
        async move { admin.describe_cluster().await.map(drop) }
    })
}
