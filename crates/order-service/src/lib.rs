//! order-service takes orders and tells how far they are.

mod api;
pub mod order;
pub mod orders;
pub mod reactions;

use std::convert::Infallible;
use std::sync::Arc;

use contracts::{EncodeError, Envelope, Message, Timestamp, names};
use service_kit::application::{Application, BoxError};
use service_kit::context::{BuildError, Context, ServiceParts};
use service_kit::http::{Health, first_of};
use service_kit::ids::IdGenerator;
use service_kit::outbox::{self, OutboxDocument, Relay};
use service_kit::worker::Reactions;
use tokio::net::TcpListener;

use api::Shop;
use order::{Order, UNPUBLISHED};
use orders::Orders;
use reactions::inventory_updated::OnInventoryUpdated;
use reactions::payment_processed::OnPaymentProcessed;
use reactions::shipment_processed::OnShipmentProcessed;

/// The service on this listener. Orders get their ids from `ids`.
///
/// # Errors
///
/// [`BuildError`].
pub fn build(
    context: &Context,
    listener: TcpListener,
    ids: IdGenerator,
) -> Result<Application, BuildError> {
    let orders = Orders::new(&context.store)?;
    let producer = context.producer();
    let (relay, outbox) = Relay::new(
        names::ORDER_SERVICE,
        orders.collection().clone(),
        producer.clone(),
        Arc::clone(&context.clock),
    );
    let told = outbox.clone();
    // Shown and no reason to be down: orders are taken while Kafka is away, and it is just then that they wait here.
    let health = Health::new(names::ORDER_SERVICE).tells("outbox", move || {
        std::future::ready(Ok::<_, Infallible>(told.report()))
    });
    let redrive = outbox::route(outbox.clone());
    let reactions = Reactions::new()
        .on(OnPaymentProcessed {
            orders: orders.clone(),
        })
        .on(OnInventoryUpdated {
            orders: orders.clone(),
        })
        .on(OnShipmentProcessed {
            orders: orders.clone(),
        });
    let shop = Shop {
        orders: orders.clone(),
        outbox,
        ids,
        clock: Arc::clone(&context.clock),
    };
    let parts = ServiceParts {
        name: names::ORDER_SERVICE,
        api: first_of([api::routes(Arc::new(shop)), redrive]),
        templates: &api::TEMPLATES,
        reactions,
        producer,
        health,
    };
    let application = context.application(listener, parts, move || {
        let orders = orders.clone();
        async move { orders.collection().prepare().await }
    })?;
    Ok(
        application.with_task("outbox relay", move |stop| async move {
            relay.run(stop).await.map_err(BoxError::from)
        }),
    )
}

impl OutboxDocument for Order {
    const UNPUBLISHED: &'static str = UNPUBLISHED;

    fn messages(&self) -> Result<Vec<Message>, EncodeError> {
        let mut messages = Vec::with_capacity(1);
        if !self.unpublished {
            return Ok(messages);
        }
        if !self.placed_published {
            messages.push(Envelope::new(self.placed(), None).encode()?);
        }
        if let Some(cancelled) = self.cancelled() {
            messages.push(Envelope::new(cancelled, None).encode()?);
        }
        Ok(messages)
    }

    fn waiting_since(&self) -> Timestamp {
        match self.cancel_requested_at {
            // Then the cancellation is what waits.
            Some(asked) if self.placed_published => asked,
            _ => self.created_at,
        }
    }

    fn mark_published(&mut self, published: &Self) -> bool {
        // The order may have been asked back since it was published: then there is more to publish.
        let all = self.cancel_requested_at == published.cancel_requested_at;
        let known = self.placed_published && !(all && self.unpublished);
        self.placed_published = true;
        self.unpublished &= !all;
        !known
    }
}
