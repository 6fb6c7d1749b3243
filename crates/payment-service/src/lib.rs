//! payment-service captures the payment of each order, once, gives it back where the order comes to nothing, and says so.

mod api;
pub mod payment;
pub mod reactions;

use std::sync::Arc;

use contracts::names;
use service_kit::application::Application;
use service_kit::context::{BuildError, Context, ServiceParts};
use service_kit::http::Health;
use service_kit::worker::Reactions;
use tokio::net::TcpListener;

use payment::{DATABASE, DeclineRule, Payment};
use reactions::inventory_updated::OnInventoryUpdated;
use reactions::order_placed::OnOrderPlaced;

/// The service on this listener. `rule` says which payments are declined.
///
/// # Errors
///
/// [`BuildError`].
pub fn build(
    context: &Context,
    listener: TcpListener,
    rule: DeclineRule,
) -> Result<Application, BuildError> {
    let payments = context.store.collection::<Payment>(DATABASE)?;
    let reactions = Reactions::new()
        .on(OnOrderPlaced {
            payments: payments.clone(),
            rule,
            clock: Arc::clone(&context.clock),
        })
        .on(OnInventoryUpdated {
            payments: payments.clone(),
            clock: Arc::clone(&context.clock),
        });
    let parts = ServiceParts {
        name: names::PAYMENT_SERVICE,
        api: api::routes(payments.clone()),
        templates: &api::TEMPLATES,
        reactions,
        producer: context.producer(),
        health: Health::new(names::PAYMENT_SERVICE),
    };
    context.application(listener, parts, move || {
        let payments = payments.clone();
        async move { payments.prepare().await }
    })
}
