//! inventory-service takes an order's items from the stock, all of them or none, puts them back where the order is cancelled in
//! time, and says which.

mod api;
pub mod reactions;
pub mod stock;
pub mod updates;
pub mod warehouse;

use std::sync::Arc;
use std::time::Duration;

use contracts::names;
use service_kit::application::{Application, BoxError};
use service_kit::context::{BuildError, Context, ServiceParts};
use service_kit::http::Health;
use service_kit::worker::Reactions;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use reactions::payment_processed::OnPaymentProcessed;
use reactions::shipment_processed::OnShipmentProcessed;
use stock::Product;
use warehouse::Warehouse;

/// How often marks are looked for that a dead process left behind.
const SWEEP: Duration = Duration::from_secs(60);

/// The service on this listener. `stock` is put in where it is not there yet.
///
/// # Errors
///
/// [`BuildError`].
pub fn build(
    context: &Context,
    listener: TcpListener,
    stock: Vec<Product>,
) -> Result<Application, BuildError> {
    let warehouse = Arc::new(Warehouse::new(&context.store)?);
    let reactions = Reactions::new()
        .on(OnPaymentProcessed {
            warehouse: Arc::clone(&warehouse),
            clock: Arc::clone(&context.clock),
        })
        .on(OnShipmentProcessed {
            warehouse: Arc::clone(&warehouse),
            clock: Arc::clone(&context.clock),
        });
    let parts = ServiceParts {
        name: names::INVENTORY_SERVICE,
        api: api::routes(Arc::clone(&warehouse)),
        templates: &api::TEMPLATES,
        reactions,
        producer: context.producer(),
        health: Health::new(names::INVENTORY_SERVICE),
    };
    let seeded = Arc::clone(&warehouse);
    let application = context.application(listener, parts, move || {
        let (warehouse, stock) = (Arc::clone(&seeded), stock.clone());
        async move { warehouse.seed(stock).await }
    })?;
    Ok(application.with_task("sweep", move |stop| async move {
        sweep(&warehouse, &stop).await;
        Ok::<(), BoxError>(())
    }))
}

/// Settles leftovers at the start and then once in a while.
async fn sweep(warehouse: &Warehouse, stop: &CancellationToken) {
    loop {
        if let Err(error) = warehouse.settle_leftovers().await {
            tracing::warn!(%error, "cannot look for marks that were left behind");
        }
        if stop
            .run_until_cancelled(tokio::time::sleep(SWEEP))
            .await
            .is_none()
        {
            return;
        }
    }
}
