//! shipment-service sends what was taken from the stock, once an order, unless the order was cancelled in time, and says so.

mod api;
pub mod reactions;
pub mod shipment;

use std::sync::Arc;

use contracts::names;
use service_kit::application::Application;
use service_kit::context::{BuildError, Context, ServiceParts};
use service_kit::http::Health;
use service_kit::worker::Reactions;
use tokio::net::TcpListener;

use reactions::inventory_updated::OnInventoryUpdated;
use reactions::order_cancelled::OnOrderCancelled;
use shipment::{DATABASE, Shipment};

/// The service on this listener.
///
/// # Errors
///
/// [`BuildError`].
pub fn build(context: &Context, listener: TcpListener) -> Result<Application, BuildError> {
    let shipments = context.store.collection::<Shipment>(DATABASE)?;
    let reactions = Reactions::new()
        .on(OnInventoryUpdated {
            shipments: shipments.clone(),
            clock: Arc::clone(&context.clock),
        })
        .on(OnOrderCancelled {
            shipments: shipments.clone(),
            clock: Arc::clone(&context.clock),
        });
    let parts = ServiceParts {
        name: names::SHIPMENT_SERVICE,
        api: api::routes(shipments.clone()),
        templates: &api::TEMPLATES,
        reactions,
        producer: context.producer(),
        health: Health::new(names::SHIPMENT_SERVICE),
    };
    context.application(listener, parts, move || {
        let shipments = shipments.clone();
        async move { shipments.prepare().await }
    })
}
