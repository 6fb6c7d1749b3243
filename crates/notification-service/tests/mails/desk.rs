//! A post office on an embedded store, and the events that are brought to it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use contracts::{
    Envelope, Event, Item, OrderId, PaymentProcessed, PaymentStatus, Quantity, ShipmentProcessed,
    ShipmentStatus, Timestamp, TrackingNumber,
};
use notification_service::mail::{DATABASE, Kind, Letterhead, Mail};
use notification_service::post::PostOffice;
use notification_service::reactions::payment_processed::OnPaymentProcessed;
use notification_service::reactions::shipment_processed::OnShipmentProcessed;
use notification_service::smtp::{Patience, Relay};
use service_kit::clock::ManualClock;
use service_kit::reaction::{Reaction, ReactionError};
use service_kit::store::{Collection, EmbeddedStore, Filter, Insert, Store};

use crate::smtp::Stub;

/// The bound on everything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, Box::pin(future))
        .await
        .unwrap_or_else(|_| panic!("{what} took longer than {PATIENCE:?}"))
}

/// Waits until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let looking = async {
        while !is_so().await {
            ticks.tick().await;
        }
    };
    within(what, looking).await;
}

/// 2026-11-26 at noon.
pub(crate) fn noon() -> Timestamp {
    "2026-11-26T12:00:00.000Z".parse().unwrap()
}

/// Numbered orders are in order.
pub(crate) fn order(number: u16) -> OrderId {
    let mut random = [0; 10];
    random[8..].copy_from_slice(&number.to_be_bytes());
    OrderId::new(noon(), random)
}

fn items() -> Vec<Item> {
    let item = |product: &str, pieces, price: &str| Item {
        product_id: product.parse().unwrap(),
        quantity: Quantity::new(pieces).unwrap(),
        price: price.parse().unwrap(),
    };
    vec![item("P001", 2, "29.99"), item("P002", 1, "49.99")]
}

pub(crate) fn payment(number: u16, status: PaymentStatus) -> PaymentProcessed {
    let reason = match status {
        PaymentStatus::Completed => None,
        PaymentStatus::Declined => Some("the total, 109.97, is above the limit of 100.00"),
        PaymentStatus::Refunded => Some("P001: 2 wanted, 1 left"),
        PaymentStatus::Cancelled => Some("cancelled by the customer"),
    };
    PaymentProcessed {
        order_id: order(number),
        customer_id: "CUST-42".parse().unwrap(),
        amount: "109.97".parse().unwrap(),
        status,
        reason: reason.map(str::to_owned),
        items: items(),
        shipping_address: "1 Main Street\n12345 Springfield".parse().unwrap(),
        timestamp: noon(),
    }
}

pub(crate) fn shipment(number: u16, status: ShipmentStatus) -> ShipmentProcessed {
    let order = order(number);
    ShipmentProcessed {
        order_id: order,
        customer_id: "CUST-42".parse().unwrap(),
        shipment_id: contracts::ShipmentId::of(order),
        items: items(),
        shipping_address: "1 Main Street\n12345 Springfield".parse().unwrap(),
        status,
        tracking_number: TrackingNumber::of(order),
        estimated_delivery: noon().plus_days(3),
        timestamp: noon(),
    }
}

/// A relay's bounds: far above what a step takes, and below what a test waits for a batch.
pub(crate) fn patience() -> Patience {
    Patience {
        acceptance: Duration::from_secs(20),
        ..Patience::default()
    }
}

/// The service without Kafka and HTTP.
pub(crate) struct Desk {
    pub(crate) faults: EmbeddedStore,
    pub(crate) clock: ManualClock,
    mails: Collection<Mail>,
    post: Arc<PostOffice>,
}

impl Desk {
    /// With a relay, or none.
    pub(crate) fn new(relay: Option<&Stub>) -> Self {
        let faults = EmbeddedStore::new();
        Self::on(faults, relay)
    }

    /// The same store, as another process comes to it.
    pub(crate) fn on(faults: EmbeddedStore, relay: Option<&Stub>) -> Self {
        let relay = relay.map(|stub| Relay::new(stub.url(), patience()));
        Self::with(faults, relay)
    }

    pub(crate) fn with(faults: EmbeddedStore, relay: Option<Relay>) -> Self {
        let clock = ManualClock::at(noon());
        let mails: Collection<Mail> = Store::Embedded(faults.clone())
            .collection(DATABASE)
            .unwrap();
        let (letterhead, shared) = (Letterhead::default(), Arc::new(clock.clone()));
        let post = PostOffice::new(mails.clone(), relay, letterhead, shared);
        Self {
            faults,
            clock,
            mails,
            post: Arc::new(post),
        }
    }

    pub(crate) async fn payments(&self, events: &[PaymentProcessed]) -> Result<(), ReactionError> {
        let post = Arc::clone(&self.post);
        react(&OnPaymentProcessed { post }, events).await
    }

    pub(crate) async fn shipments(
        &self,
        events: &[ShipmentProcessed],
    ) -> Result<(), ReactionError> {
        let post = Arc::clone(&self.post);
        react(&OnShipmentProcessed { post }, events).await
    }

    /// The mails of the first so many orders that are shipped, brought until all is done, as the kit does.
    pub(crate) async fn ship(&self, orders: u16) {
        let events: Vec<_> = (0..orders)
            .map(|number| shipment(number, ShipmentStatus::Shipped))
            .collect();
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        let trying = async {
            while let Err(error) = self.shipments(&events).await {
                assert!(error.is_unavailable(), "{error}");
                ticks.tick().await;
            }
        };
        within("sending", trying).await;
    }

    /// Puts a mail into the store by hand.
    pub(crate) async fn insert(&self, mail: Mail) {
        let inserted = self.mails.insert(mail).await;
        assert_eq!(inserted.unwrap(), Insert::Inserted);
    }

    /// All mails, in the order of their ids.
    pub(crate) async fn mails(&self) -> Vec<Mail> {
        let found = self.mails.list(&Filter::all(), None, 1000).await;
        let found = found.unwrap().items.into_iter();
        found.map(|mail| mail.document).collect()
    }

    /// The only mail.
    pub(crate) async fn mail(&self) -> Mail {
        let mut mails = self.mails().await;
        assert_eq!(mails.len(), 1, "{mails:?}");
        mails.remove(0)
    }
}

/// What a mail is about, for comparing.
pub(crate) fn about(mail: &Mail) -> (OrderId, Kind) {
    (mail.order_id, mail.kind)
}

async fn react<R: Reaction>(reaction: &R, events: &[R::Event]) -> Result<(), ReactionError>
where
    R::Event: Event + Clone,
{
    let batch: Vec<_> = events
        .iter()
        .map(|event| Envelope::new(event.clone(), None))
        .collect();
    let told = within("a batch", reaction.react(&batch)).await?;
    assert!(told.is_empty(), "a mail is told to nobody but the customer");
    Ok(())
}
